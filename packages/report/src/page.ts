import { behaviour } from "./behaviour.js";
import type { ReportData, Text } from "./data.js";
import { distributionSection } from "./distribution-section.js";
import { draw, logTicks } from "./drawing.js";
import { type Facts, factsOf } from "./facts.js";
import { formatBytes, formatCount, formatFixed } from "./figures.js";
import { ladderChart } from "./ladder-chart.js";
import { html, isolated, jsonIsland, Markup, visibleStrings } from "./markup.js";
import { styleSheet } from "./style.js";
import { candidateTable, divergenceTable, probabilityTable } from "./tables.js";
import { tensorSection } from "./tensor-section.js";
import { divergenceTick, type TradePoint, tradeChart } from "./trade-chart.js";
import { verdict } from "./verdict.js";

/** What a page of ours says it was made by, within its first kilobyte: such a file may be replaced. */
export const GENERATOR = "fewbit report";

/** Transpilers that keep the names of functions, as tsx does, wrap functions in a call of this. */
const KEPT_NAMES = "const __name=(f)=>f;";

const WIDE = 1060;
/** What a section has room for on a phone of 360 px. */
const NARROW = 316;

/**
 * The whole report as one HTML document that loads nothing: its policy allows its own style and script, by their hashes,
 * and nothing else. The same data gives the same bytes.
 */
export async function renderReport(report: ReportData): Promise<string> {
  const facts = factsOf(visibleStrings(report));
  const { data } = facts;
  const title = data.title ?? `Quantized versions of ${data.reference.name}`;
  const tensors = tensorSection(facts);
  const style = styleSheet(tensors?.classes ?? 1);
  const script = `"use strict";${KEPT_NAMES}(${behaviour.toString()})();`;
  const policy = [
    "default-src 'none'",
    `style-src 'sha256-${await hashOf(style)}'`,
    `script-src 'sha256-${await hashOf(script)}'`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
  return `<!DOCTYPE html>\n${html`<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${new Markup(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<meta name="generator" content="${GENERATOR}">
<title>${title}</title>
<style>${new Markup(style)}</style>
</head>
<body>
<header><h1>${isolated(title)}</h1><button id="theme" type="button" hidden></button>${subject(data)}</header>
<main>
${verdict(facts)}
${tradeSection(facts)}
${data.candidates.length > 0 && html`<section aria-labelledby="figures"><h2 id="figures">All figures</h2>${candidateTable(facts)}</section>`}
${ladderSection(facts)}
${tensors?.section}
${distributionSection(facts)}
${reproduction(data)}
</main>
<footer><p>Made by fewbit. This page is complete in itself: it loads nothing, and sends nothing.</p></footer>
${tensors && html`<script type="application/json" id="data">${jsonIsland(tensors.island)}</script>`}
<script>${new Markup(script)}</script>
</body>
</html>`}\n`;
}

/** SHA-256 in base64, as policies name inline content. */
async function hashOf(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return btoa(String.fromCharCode(...new Uint8Array(digest)));
}

/** What was compared, with what, on what. */
function subject({ candidates, reference, text }: ReportData): Markup {
  const facts = [
    reference.type && isolated(reference.type),
    reference.parameters !== undefined && `${formatCount(reference.parameters)} weights`,
    formatBytes(reference.bytes),
    reference.bitsPerWeight !== undefined && `${formatFixed(reference.bitsPerWeight, 2)} bits per weight`,
  ].filter((part) => part !== undefined && part !== false && part !== "");
  return html`<p class="sub">${candidates.length === 1 ? "One candidate" : `${candidates.length} candidates`} against ${isolated(reference.file)} (${facts.map(
    (fact, i) => html`${i > 0 && ", "}${fact}`,
  )})${text && html`, on ${textFacts(text)}`}.</p>`;
}

const textFacts = ({ name, tokens, context, chunks }: Text): Markup =>
  html`${isolated(name)}: ${tokens.toLocaleString("en")} tokens scored, ${chunks} ${chunks === 1 ? "chunk" : "chunks"} of ${context}`;

function tradeSection({ standings, measure, size, best }: Facts): Markup | false {
  const points = standings
    .filter(({ loss }) => Number.isFinite(loss))
    .map(
      ({ label, candidate, size, loss, error, onFront }): TradePoint => ({
        label,
        detail: formatBytes(candidate.bytes),
        size: size === undefined ? candidate.bytes : size,
        loss,
        error,
        onFront,
        best: candidate === best?.candidate,
      }),
    );
  if (points.length < 2 || measure === undefined) return false;
  const ofText = measure === "divergence";
  const scaled = size === "bytes" ? points.map((point) => ({ ...point, size: point.size / 1e9 })) : points;
  const axes = {
    size: size === "bits" ? "bits per weight" : "size, GB",
    loss: ofText ? "mean KL divergence (nats per token, log scale)" : "SQNR of the weights, dB",
    ticks: ofText ? (low: number, high: number) => logTicks(low, high) : decibelTicks,
    tick: ofText ? divergenceTick : (noise: number) => formatFixed(-10 * Math.log10(noise), 0),
  };
  return html`<section aria-labelledby="trade"><h2 id="trade">What size costs</h2>
<p>${ofText ? "Down is closer to the original, left is smaller; a factor of the divergence is the same distance everywhere." : "Down is closer to the original, left is smaller."} The dashed line joins the candidates that no other beats in both.${
    scaled.some(({ error }) => error > 0) && " Bars are one standard error."
  }</p>
<figure><div class="wide">${draw(tradeChart(scaled, axes, WIDE, 460))}</div><div class="narrow">${draw(tradeChart(scaled, axes, NARROW, 340))}</div></figure>
<ul class="legend" aria-label="Signs">${best && html`<li>${sign("best")} best trade</li>`}<li>${sign("front")} not beaten</li>${
    standings.some(({ beatenBy }) => beatenBy !== undefined) &&
    html`<li>${sign("beaten")} beaten in both</li>`
  }${scaled.some(({ loss }) => loss <= 0) && html`<li>${sign("exact")} exact: below the scale</li>`}</ul></section>`;
}

/** Noise ÷ signal at round numbers of decibels. */
function decibelTicks(low: number, high: number): number[] {
  const [from, to] = [-10 * Math.log10(high), -10 * Math.log10(low)];
  const step = [1, 2, 5, 10, 20, 50].find((step) => (to - from) / step <= 9) ?? 100;
  const first = Math.ceil(from / step);
  return Array.from(
    { length: Math.max(0, Math.floor(to / step) - first + 1) },
    (_, i) => 10 ** (-((first + i) * step) / 10),
  );
}

type Sign =
  | "best"
  | "front"
  | "beaten"
  | "exact"
  | "range"
  | "middle"
  | "median"
  | "mean"
  | "p99"
  | "p999"
  | "max";

const signs: Readonly<Record<Sign, string>> = {
  best: '<path d="M0,-7L1.6,-2.2L6.7,-2.2L2.6,0.8L4.1,5.7L0,2.7L-4.1,5.7L-2.6,0.8L-6.7,-2.2L-1.6,-2.2Z" fill="var(--best)"/>',
  front: '<circle r="4.5" fill="var(--accent)"/>',
  beaten: '<circle r="4" fill="var(--surface)" stroke="var(--muted)" stroke-width="1.75"/>',
  exact: '<path d="M0,5L5,-4H-5Z" fill="var(--accent)"/>',
  range: '<path d="M-7,0H7" stroke="var(--accent)" stroke-width="1.5"/>',
  middle: '<rect x="-7" y="-4" width="14" height="8" fill="var(--band)"/>',
  median: '<path d="M0,-6V6" stroke="var(--ink)" stroke-width="2"/>',
  mean: '<path d="M0,-5.5L4,0L0,5.5L-4,0Z" fill="var(--best)"/>',
  p99: '<circle r="3.5" fill="var(--accent)"/>',
  p999: '<circle r="3.2" fill="var(--surface)" stroke="var(--accent)" stroke-width="1.75"/>',
  max: '<path d="M-3.5,-3.5L3.5,3.5M-3.5,3.5L3.5,-3.5" stroke="var(--muted)" stroke-width="1.75"/>',
};

const sign = (kind: Sign): Markup =>
  new Markup(`<svg width="16" height="16" viewBox="-8 -8 16 16" aria-hidden="true">${signs[kind]}</svg>`);

/** Above this many rows a chart says less than a table. */
const MOST_RUNGS = 40;

function ladderSection(facts: Facts): Markup | false {
  const rungs = [...facts.standings]
    .sort((a, b) => b.size - a.size)
    .flatMap(({ label, candidate: { kld } }) =>
      kld === undefined || Number.isNaN(kld.mean) ? [] : [{ label, kld }],
    );
  if (rungs.length === 0) return false;
  const shown = rungs.slice(0, MOST_RUNGS);
  return html`<section aria-labelledby="ladder"><h2 id="ladder">How the divergence is spread</h2>
<p>A mean hides the tokens where a candidate goes astray: the far right decides how often it says something else.${
    rungs.length > MOST_RUNGS && ` The chart shows the ${MOST_RUNGS} largest candidates, the tables all.`
  }</p>
<figure><div class="wide">${draw(ladderChart(shown, WIDE))}</div><div class="narrow">${draw(ladderChart(shown, NARROW))}</div></figure>
<ul class="legend" aria-label="Signs"><li>${sign("range")} 1 % to 99.9 %</li><li>${sign("middle")} 10 % to 90 %</li><li>${sign("median")} median</li><li>${sign("mean")} mean</li><li>${sign("p99")} 99 %</li><li>${sign("p999")} 99.9 %</li><li>${sign("max")} max</li></ul>
<details><summary>Percentiles as tables</summary>${divergenceTable(facts)}${probabilityTable(facts)}</details></section>`;
}

function reproduction({ commands = [], versions = {}, date }: ReportData): Markup | false {
  const named = [...Object.entries(versions), ...(date === undefined ? [] : [["measured", date] as const])];
  if (commands.length === 0 && named.length === 0) return false;
  return html`<section aria-labelledby="reproduce"><h2 id="reproduce">To do it again</h2>
${commands.length > 0 && html`<pre tabindex="0"><code id="commands">${commands.map((command, i) => `${i > 0 ? "\n" : ""}${command}`)}</code></pre><p><button id="copy" type="button" hidden>Copy</button></p>`}
${named.length > 0 && html`<dl class="versions">${named.map(([name, version]) => html`<div><dt>${isolated(name)}</dt><dd>${isolated(version)}</dd></div>`)}</dl>`}</section>`;
}
