// What a tensor's weights look like before and after, and how much use is made of the codes of its type.
import * as Plot from "@observablehq/plot";
import type { Codes, Distribution, Histogram } from "./data.js";
import { type Chart, draw } from "./drawing.js";
import type { Facts } from "./facts.js";
import { formatCount, formatPercent, formatSmall } from "./figures.js";
import { html, isolated, type Markup } from "./markup.js";

const WIDTH = 312;

export function distributionSection({ data, standings }: Facts): Markup | false {
  const distributions = data.distributions ?? [];
  if (distributions.length === 0) return false;
  const labels = new Map(standings.map(({ candidate, label }) => [candidate.file, label]));
  return html`<section aria-labelledby="weights"><h2 id="weights">Weights and codes</h2>
<p>Grey: the original weights. Line: the weights that the candidate decodes to. Below: how often each stored code is used.</p>
${distributions.map((distribution) => {
  const { tensor, shape, original, candidates } = distribution;
  return html`<h3>${isolated(tensor)}${shape && html` <small>${shape.join(" × ")}, ${formatCount(shape.reduce((a, b) => a * b, 1))} weights</small>`}</h3>
<div class="grid">${candidates.map(
    ({
      file,
      dtype,
      decoded,
      codes,
    }) => html`<figure class="small"><figcaption>${isolated(labels.get(file) ?? file)} <small>${isolated(dtype)}</small></figcaption>
${draw(weightsChart(tensor, original, decoded))}
${codes && html`${draw(codesChart(codes))}<p class="note">${usage(codes)}</p>`}</figure>`,
  )}</div>${sampled(distribution)}${outside(distribution)}`;
})}</section>`;
}

/** The outline of bars of one width, as shares of all: two points for each, so that one path draws them all. */
function outline(from: number, to: number, counts: readonly number[]): { at: number; share: number }[] {
  const all = counts.reduce((a, b) => a + b, 0) || 1;
  const width = (to - from) / counts.length;
  return counts.flatMap((count, i) => [
    { at: from + i * width, share: count / all },
    { at: from + (i + 1) * width, share: count / all },
  ]);
}

function weightsChart(tensor: string, original: Histogram, decoded: Histogram): Chart {
  const before = outline(original.from, original.to, original.counts);
  const after = outline(decoded.from, decoded.to, decoded.counts);
  return {
    label: `Histograms of the weights of ${tensor}, original and decoded, from ${formatSmall(original.from, 2)} to ${formatSmall(original.to, 2)}.`,
    options: {
      width: WIDTH,
      height: 150,
      marginTop: 6,
      marginRight: 8,
      marginBottom: 24,
      marginLeft: 8,
      x: { type: "linear", domain: [original.from, original.to] },
      // Few levels make tall bars: a square root keeps the rest in sight.
      y: { type: "sqrt", axis: null },
      marks: [
        Plot.axisX({
          ticks: 5,
          tickSize: 3,
          label: null,
          fill: "var(--muted)",
          stroke: "var(--line)",
          tickFormat: (value: number) => formatAxis(value),
        }),
        Plot.areaY(before, { x: "at", y1: 0, y2: "share", fill: "var(--band)" }),
        Plot.line(after, { x: "at", y: "share", stroke: "var(--accent)", strokeWidth: 1.25 }),
        Plot.ruleY([0], { stroke: "var(--muted)" }),
      ],
    },
  };
}

const formatAxis = (value: number): string => String(Number(value.toPrecision(3))).replace("-", "−");

/** Above this many, codes are an outline instead of bars. */
const MOST_BARS = 64;

function codesChart({ meaning, first, counts }: Codes): Chart {
  const many = counts.length > MOST_BARS;
  const [from, to] = [first - 0.5, first + counts.length - 0.5];
  const all = counts.reduce((a, b) => a + b, 0) || 1;
  const bars = counts.map((count, i) => ({ left: from + i, right: from + i + 1, share: count / all }));
  return {
    label: `How often each code is used: ${counts.length} codes, ${meaning}.`,
    options: {
      width: WIDTH,
      height: 90,
      marginTop: 6,
      marginRight: 8,
      marginBottom: 24,
      marginLeft: 8,
      x: { type: "linear", domain: [from, to] },
      // A codebook's first entry, all near zero, may be used more than all others together.
      y: { type: many ? "sqrt" : "linear", axis: null },
      marks: [
        Plot.axisX({
          ticks: counts.length <= 16 ? bars.map((_, i) => first + i) : 6,
          tickSize: 3,
          tickFormat: (code: number) => String(code).replace("-", "−"),
          label: null,
          fill: "var(--muted)",
          stroke: "var(--line)",
        }),
        many
          ? Plot.areaY(outline(from, to, counts), { x: "at", y1: 0, y2: "share", fill: "var(--accent)" })
          : Plot.rectY(bars, { x1: "left", x2: "right", y: "share", fill: "var(--accent)", inset: 0.5 }),
        Plot.ruleY([0], { stroke: "var(--muted)" }),
      ],
    },
  };
}

/** Entropy says how many bits of a code are information. */
function usage({ meaning, counts }: Codes): string {
  const all = counts.reduce((a, b) => a + b, 0);
  if (all === 0) return `${meaning}: no code is stored`;
  const used = counts.filter((count) => count > 0).length;
  const entropy = counts.reduce(
    (sum, count) => (count === 0 ? sum : sum - (count / all) * Math.log2(count / all)),
    0,
  );
  const bits = Math.log2(counts.length);
  return `${meaning}: ${used} of ${counts.length} used, ${entropy.toFixed(2)} of ${bits.toFixed(Number.isInteger(bits) ? 0 : 2)} bits are information`;
}

/** Weights of the original that were counted, in the picture or outside of it. */
const countedOf = ({ original: { counts, below = 0, above = 0 } }: Distribution): number =>
  counts.reduce((a, b) => a + b, 0) + below + above;

/** Large tensors are pictured by a part of their weights. */
function sampled(distribution: Distribution): Markup | false {
  const counted = countedOf(distribution);
  const all = distribution.shape?.reduce((a, b) => a * b, 1) ?? counted;
  return (
    counted < all &&
    html`<p class="note">Counted in ${formatCount(counted)} of the ${formatCount(all)} weights, from all over the tensor.</p>`
  );
}

function outside(distribution: Distribution): Markup | false {
  const { below = 0, above = 0, from, to } = distribution.original;
  const out = below + above;
  const all = countedOf(distribution);
  return (
    out > 0 &&
    html`<p class="note">${formatPercent(out / all, 2)} of the weights lie outside of the picture, below ${formatSmall(from, 2)} or above ${formatSmall(to, 2)}.</p>`
  );
}
