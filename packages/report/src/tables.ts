// Tables with the figures of the charts, for sorting, for reading aloud and for paper.
import type { Candidate, Estimate, ModelFacts, Percentiles } from "./data.js";
import type { Facts } from "./facts.js";
import {
  digitsOf,
  formatBytes,
  formatChange,
  formatDecibels,
  formatFixed,
  formatPercent,
  formatSmall,
} from "./figures.js";
import { type Content, html, isolated, type Markup } from "./markup.js";

interface Figure {
  readonly title: string;
  readonly about: string;
  /** What is sorted by; undefined where it was not measured. */
  value(candidate: Candidate): number | undefined;
  text(candidate: Candidate): Content;
  /** The same of the reference; nothing where it has no such figure. */
  reference?(reference: ModelFacts): Content;
}

function estimate(figure: Estimate | undefined, unit = ""): Content {
  if (figure === undefined) return "–";
  const { value, error } = figure;
  const places = digitsOf(figure);
  return html`${formatFixed(value, places)}${unit}${error !== undefined && html` <small>± ${formatFixed(error, places)}</small>`}`;
}

/** A fraction and its error, in per cent. */
const percentage = ({ value, error }: Estimate): Content =>
  error === undefined ? formatPercent(value) : estimate({ value: value * 100, error: error * 100 }, " %");

const figures: readonly Figure[] = [
  {
    title: "Size",
    about: "of all files",
    value: ({ bytes }) => bytes,
    text: ({ bytes }) => formatBytes(bytes),
    reference: ({ bytes }) => formatBytes(bytes),
  },
  {
    title: "Bits/weight",
    about: "bytes of the tensors × 8 ÷ weights",
    value: ({ bitsPerWeight }) => bitsPerWeight,
    text: ({ bitsPerWeight }) => formatFixed(bitsPerWeight, 2),
    reference: ({ bitsPerWeight }) => formatFixed(bitsPerWeight, 2),
  },
  {
    title: "Mean KLD",
    about:
      "mean Kullback-Leibler divergence of the candidate's next-token probabilities from the reference's, nats per token: 0 where both say the same",
    value: ({ kld }) => kld?.mean,
    text: ({ kld }) =>
      kld && estimate({ value: kld.mean, ...(kld.error === undefined ? {} : { error: kld.error }) }),
  },
  {
    title: "99.9 % KLD",
    about: "one token in a thousand diverges more than this",
    value: ({ kld }) => kld?.p999,
    text: ({ kld }) => formatSmall(kld?.p999),
  },
  {
    title: "Same top",
    about: "how often both models hold the same token most probable",
    value: ({ sameTop }) => sameTop?.value,
    text: ({ sameTop }) => sameTop && percentage(sameTop),
  },
  {
    title: "RMS Δp",
    about: "root mean square of the change of the probability of the text's own token",
    value: ({ deltaP }) => deltaP?.rms,
    text: ({ deltaP }) =>
      deltaP &&
      percentage({ value: deltaP.rms, ...(deltaP.rmsError === undefined ? {} : { error: deltaP.rmsError }) }),
  },
  {
    title: "Perplexity",
    about: "of the text: lower is better",
    value: ({ perplexity }) => perplexity?.value,
    text: ({ perplexity }) => estimate(perplexity),
    reference: ({ perplexity }) => estimate(perplexity),
  },
  {
    title: "Ratio",
    about: "perplexity ÷ that of the reference",
    value: ({ perplexityRatio }) => perplexityRatio?.value,
    text: ({ perplexityRatio }) => estimate(perplexityRatio),
  },
  {
    title: "SQNR, dB",
    about: "signal-to-quantization-noise ratio of all weights: higher is better",
    value: ({ weights }) => weights?.sqnr,
    text: ({ weights }) => formatDecibels(weights?.sqnr),
  },
  {
    title: "Weighted SQNR, dB",
    about: "the same, each column counted by its importance",
    value: ({ weights }) => weights?.weightedSqnr,
    text: ({ weights }) => formatDecibels(weights?.weightedSqnr),
  },
  {
    title: "Prompt, t/s",
    about: "tokens per second while reading a prompt",
    value: ({ speed }) => speed?.prompt?.value,
    text: ({ speed }) => estimate(speed?.prompt),
    reference: ({ speed }) => estimate(speed?.prompt),
  },
  {
    title: "Generation, t/s",
    about: "tokens per second while writing",
    value: ({ speed }) => speed?.generate?.value,
    text: ({ speed }) => estimate(speed?.generate),
    reference: ({ speed }) => estimate(speed?.generate),
  },
];

/** All candidates and what was measured of them; columns that nobody has are left out. */
export function candidateTable({ data, standings, best }: Facts): Markup {
  const shown = figures.filter(({ value }) =>
    data.candidates.some((candidate) => value(candidate) !== undefined),
  );
  const { reference } = data;
  return html`<div class="tools" hidden><label>Filter <input type="search" id="filter" autocomplete="off"></label> <output id="matches" for="filter"></output></div>
<div class="scroll" tabindex="0" role="region" aria-label="Table of candidates, scrolls sideways">
<table id="candidates"><caption><span>Candidates against ${isolated(reference.name)}. ± is one standard error.</span></caption>
<thead><tr><th scope="col" aria-sort="none"><span>Candidate</span></th>${shown.map(
    ({ title, about }) => html`<th scope="col" aria-sort="none" title="${about}"><span>${title}</span></th>`,
  )}</tr></thead>
<tbody class="reference"><tr><th scope="row">${isolated(reference.name)} <small class="aside">${reference.type && html`${isolated(reference.type)}, `}reference</small></th>${shown.map(
    ({ reference: own }) => html`<td>${own?.(reference) ?? ""}</td>`,
  )}</tr></tbody>
<tbody class="rows">${standings.map(
    ({ candidate, label, beatenBy }) =>
      html`<tr${beatenBy && html` class="beaten"`}><th scope="row" data-value="${label}">${isolated(label)}${
        candidate.file !== label && html`<small class="file">${isolated(candidate.file)}</small>`
      }${candidate === best?.candidate && html`<span class="tag">best trade</span>`}${
        beatenBy && html`<small class="aside">beaten by ${isolated(beatenBy.label)}</small>`
      }</th>${shown.map(({ value, text }) => {
        const number = value(candidate);
        return html`<td${number !== undefined && html` data-value="${String(number)}"`}>${text(candidate) ?? "–"}</td>`;
      })}</tr>`,
  )}</tbody></table></div>
<details><summary>What the figures mean</summary><dl class="terms">${shown.map(
    ({ title, about }) => html`<div><dt>${title}:</dt> <dd>${about}</dd></div>`,
  )}</dl></details>`;
}

const rungs: readonly (readonly [keyof Percentiles, string])[] = [
  ["max", "Max"],
  ["p999", "99.9 %"],
  ["p99", "99 %"],
  ["p95", "95 %"],
  ["p90", "90 %"],
  ["p75", "75 %"],
  ["median", "Median"],
  ["p25", "25 %"],
  ["p10", "10 %"],
  ["p5", "5 %"],
  ["p1", "1 %"],
  ["p01", "0.1 %"],
  ["min", "Min"],
];

function percentileTable<T extends Percentiles & { readonly mean: number }>(
  caption: string,
  { standings }: Facts,
  pick: (candidate: Candidate) => T | undefined,
  text: (value: number | undefined) => string,
): Markup | false {
  const rows = standings.flatMap(({ candidate, label }) => {
    const figures = pick(candidate);
    return figures === undefined ? [] : [{ label, figures }];
  });
  const columns = rungs.filter(([key]) => rows.some(({ figures }) => figures[key] !== undefined));
  return (
    rows.length > 0 &&
    html`<div class="scroll" tabindex="0" role="region" aria-label="${caption}, scrolls sideways"><table><caption><span>${caption}</span></caption>
<thead><tr><th scope="col">Candidate</th><th scope="col">Mean</th>${columns.map(([, title]) => html`<th scope="col">${title}</th>`)}</tr></thead>
<tbody>${rows.map(
      ({ label, figures }) =>
        html`<tr><th scope="row">${isolated(label)}</th><td>${text(figures.mean)}</td>${columns.map(([key]) => html`<td>${text(figures[key])}</td>`)}</tr>`,
    )}</tbody></table></div>`
  );
}

export const divergenceTable = (facts: Facts): Markup | false =>
  percentileTable(
    "KL divergence of single tokens, nats",
    facts,
    ({ kld }) => kld,
    (value) => formatSmall(value),
  );

export const probabilityTable = (facts: Facts): Markup | false =>
  percentileTable(
    "Change of the probability of the text's own token",
    facts,
    ({ deltaP }) => deltaP,
    (value) => formatChange(value),
  );
