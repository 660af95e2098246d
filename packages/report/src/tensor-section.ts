// The error of every tensor: heat maps, what they say by role, and the figures behind every cell.
import type { Candidate, TensorError } from "./data.js";
import { draw } from "./drawing.js";
import type { Facts, Standing } from "./facts.js";
import { formatDecibels } from "./figures.js";
import { classOf, type HeatScale, heatMap, heatScale } from "./heat-map.js";
import { type Content, html, isolated, type Markup } from "./markup.js";
import { placeOf } from "./roles.js";

/**
 * What the page's script knows of tensors, small: names and types are said once, figures are rounded to what is shown.
 * What JSON cannot hold is text: an exact tensor's SQNR is "Infinity".
 */
export interface TensorIsland {
  readonly names: readonly string[];
  readonly shapes: readonly string[];
  readonly types: readonly string[];
  readonly candidates: readonly {
    readonly label: string;
    readonly rows: readonly TensorRow[];
  }[];
}

type IslandFigure = number | "Infinity" | "-Infinity" | "NaN";

type TensorRow = readonly [
  name: number,
  from: number,
  to: number,
  sqnr: IslandFigure,
  rmse: IslandFigure,
  maxError: IslandFigure,
  cosine: IslandFigure,
  weightedSqnr?: IslandFigure,
];

/** The section and its data; undefined where no candidate was measured tensor by tensor. */
export function tensorSection({
  standings,
  best,
}: Facts): { readonly section: Markup; readonly island: TensorIsland; readonly classes: number } | undefined {
  const measured = standings.filter(({ candidate }) => (candidate.tensors ?? []).length > 0);
  if (measured.length === 0) return undefined;
  const scale = heatScale(measured.map(({ candidate }) => candidate));
  const numbers = new Map<string, number>();
  const island = islandOf(measured, numbers);
  const section = html`<section aria-labelledby="tensors"><h2 id="tensors">Where the error is</h2>
${
  scale === undefined
    ? html`<p>Every tensor is exactly that of the original.</p>`
    : html`<p>The signal-to-quantization-noise ratio (SQNR) of every tensor in dB: one bit more is about 6 dB, and higher is better. ${
        scale.exact.length > 0 &&
        `${scale.exact.length === 1 ? "One tensor is exact in every candidate and is" : `${scale.exact.length} tensors are exact in every candidate and are`} not drawn.`
      }</p>
${
  measured.length > 1 &&
  selector(
    measured,
    Math.max(
      0,
      measured.findIndex(({ candidate }) => candidate === best?.candidate),
    ),
  )
}
${legend(
  scale,
  measured.map(({ candidate }) => candidate),
)}
<div id="maps">${measured.map(
        ({ label, candidate }, i) =>
          html`<figure class="map" data-map="${i}"><figcaption>${isolated(label)}</figcaption><div class="scroll" tabindex="0" role="region" aria-label="Heat map of ${label}: arrow keys move from tensor to tensor">${draw(
            heatMap(label, candidate.tensors!, scale, (name) => numbers.get(name)!),
          )}</div></figure>`,
      )}</div><div id="tip" role="status" hidden></div>
${roleTable(measured, scale)}`
}
<details id="all" hidden><summary>All tensors of <span></span></summary><div class="scroll" tabindex="0" role="region" aria-label="Table of tensors, scrolls sideways"></div></details></section>`;
  return { section, island, classes: (scale?.thresholds.length ?? 0) + 1 };
}

/** Radio buttons, because arrow keys flip from map to map; hidden where there is no script and all maps are shown. */
const selector = (measured: readonly Standing[], first: number): Markup =>
  html`<fieldset class="choice" id="choice" hidden><legend>Candidate</legend>${measured.map(
    ({ label }, i) =>
      html`<label><input type="radio" name="map" value="${i}"${i === first && html` checked`}><span>${isolated(label)}</span></label>`,
  )}</fieldset>`;

function legend({ thresholds, exact }: HeatScale, candidates: readonly Candidate[]): Markup {
  const left = new Set(exact);
  const any = (test: (sqnr: number) => boolean): boolean =>
    candidates.some(({ tensors = [] }) => tensors.some(({ name, sqnr }) => !left.has(name) && test(sqnr)));
  const steps: [string, Content][] = Array.from({ length: thresholds.length + 1 }, (_, i) => [
    String(i),
    i === 0 ? (thresholds.length === 0 ? "all" : `below ${thresholds[0]}`) : `from ${thresholds[i - 1]}`,
  ]);
  if (any((sqnr) => sqnr === Number.POSITIVE_INFINITY)) steps.push(["exact", "exact"]);
  if (any(Number.isNaN)) steps.push(["nan", "not a number"]);
  return html`<ul class="legend" aria-label="Colours, in dB">${steps.map(
    ([kind, text]) =>
      html`<li><svg width="14" height="14" aria-hidden="true"><rect width="14" height="14" rx="2" fill="var(--heat-${kind})" stroke="var(--line)"/></svg> ${text}</li>`,
  )}</ul>`;
}

/** The worst and the median of each role: what the maps show, in words. */
function roleTable(measured: readonly Standing[], scale: HeatScale): Markup {
  const cells = measured.map(({ candidate }) => {
    const roles = new Map<string, TensorError[]>();
    for (const tensor of candidate.tensors!) {
      const { role } = placeOf(tensor.name);
      const list = roles.get(role);
      if (list === undefined) roles.set(role, [tensor]);
      else list.push(tensor);
    }
    return roles;
  });
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Table of roles, scrolls sideways"><table><caption><span>Median SQNR of each role in dB, and the worst layer's where it is at least 1 dB lower.</span></caption>
<thead><tr><th scope="col">Role</th>${measured.map(({ label }) => html`<th scope="col">${isolated(label)}</th>`)}</tr></thead>
<tbody>${scale.roles.map(
    (role) =>
      html`<tr><th scope="row">${isolated(role)}</th>${cells.map((roles) => roleCell(roles.get(role) ?? [], scale))}</tr>`,
  )}</tbody></table></div>`;
}

function roleCell(tensors: readonly TensorError[], { thresholds }: HeatScale): Markup {
  const sorted = tensors.map(({ sqnr }) => sqnr).sort((a, b) => a - b);
  const [worst, median] = [sorted[0], sorted[Math.floor((sorted.length - 1) / 2)]];
  if (worst === undefined || median === undefined) return html`<td>–</td>`;
  const types = [...new Set(tensors.map(({ quantized }) => quantized.dtype))].join(", ");
  const kind = median === Number.POSITIVE_INFINITY ? "exact" : (classOf(median, thresholds) ?? "nan");
  return html`<td><svg width="10" height="10" aria-hidden="true"><rect width="10" height="10" rx="2" fill="var(--heat-${kind})" stroke="var(--line)"/></svg> ${formatDecibels(median)}${
    median - worst >= 1 && html` <small>worst ${formatDecibels(worst)}</small>`
  }<small class="file">${types}</small></td>`;
}

function islandOf(measured: readonly Standing[], numbers: Map<string, number>): TensorIsland {
  const types = new Map<string, number>();
  const shapes: string[] = [];
  const numberOf = (map: Map<string, number>, key: string): number => {
    const known = map.get(key);
    if (known !== undefined) return known;
    map.set(key, map.size);
    return map.size - 1;
  };
  const candidates = measured.map(({ label, candidate }) => ({
    label,
    rows: candidate.tensors!.map(({ name, shape, original, quantized, ...figures }): TensorRow => {
      const number = numberOf(numbers, name);
      shapes[number] ??= shape.join(" × ");
      const row = [
        number,
        numberOf(types, original.dtype),
        numberOf(types, quantized.dtype),
        rounded(figures.sqnr, 2),
        significant(figures.rmse),
        significant(figures.maxError),
        rounded(figures.cosine, 6),
      ] as const;
      return figures.weightedSqnr === undefined ? row : [...row, rounded(figures.weightedSqnr, 2)];
    }),
  }));
  return { names: [...numbers.keys()], shapes, types: [...types.keys()], candidates };
}

const rounded = (value: number, places: number): IslandFigure => plain(Number(value.toFixed(places)));
const significant = (value: number): IslandFigure => plain(Number(value.toPrecision(3)));

const plain = (value: number): IslandFigure =>
  Number.isFinite(value) ? value : (String(value) as Exclude<IslandFigure, number>);
