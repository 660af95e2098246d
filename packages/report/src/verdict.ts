// The answer in plain words: which candidate, why, and what it costs.
import type { Facts, Standing } from "./facts.js";
import { formatBytes, formatChange, formatDecibels, formatPercent, formatSmall } from "./figures.js";
import { html, isolated, type Markup } from "./markup.js";

export function verdict(facts: Facts): Markup {
  const { best, standings } = facts;
  const only = standings.length === 1 ? standings[0] : undefined;
  const shown = best ?? only;
  return html`<section aria-labelledby="verdict"><h2 id="verdict">${headline(facts)}</h2>
${shown && html`<p class="lead">${cost(shown, facts)}</p>`}
${best === undefined && only === undefined && html`<p class="lead">${undecided(facts)}</p>`}
${standings.length > 1 && cards(facts)}
${reasons(facts)}</section>`;
}

function headline({ best, standings, data, measure }: Facts): Markup {
  if (standings.length === 0) return html`There are no candidates to compare`;
  if (best !== undefined) return html`${isolated(best.label)} is the best trade`;
  if (standings.length === 1) {
    const { candidate, label, loss } = standings[0]!;
    if (measure !== undefined && loss <= 0) return html`${isolated(label)} loses nothing`;
    return html`${isolated(label)} takes ${share(candidate.bytes, data.reference.bytes)} of the space`;
  }
  return html`No candidate stands out`;
}

const share = (bytes: number, whole: number): string =>
  whole > 0 ? formatPercent(bytes / whole, 0) : formatBytes(bytes);

/** Size first, then everything that was measured. */
function cost({ candidate }: Standing, { data: { reference } }: Facts): Markup {
  const { bytes, kld, sameTop, perplexity, perplexityRatio, weights } = candidate;
  const losses = [
    kld && html`its mean KL divergence is <b>${formatSmall(kld.mean)}</b> nats per token`,
    sameTop &&
      html`it finds the same token most probable as the original <b>${formatPercent(sameTop.value)}</b> of the time`,
    perplexity &&
      reference.perplexity &&
      html`perplexity goes from ${formatSmall(reference.perplexity.value, 4)} to ${formatSmall(perplexity.value, 4)} (<b>${formatChange((perplexityRatio?.value ?? perplexity.value / reference.perplexity.value) - 1)}</b>)`,
    kld === undefined && weights && weightLoss(weights.sqnr),
  ].filter((part) => part !== undefined && part !== false);
  return html`${formatBytes(bytes)} instead of ${formatBytes(reference.bytes)}: <b>${share(bytes, reference.bytes)}</b> of the size.${
    losses.length > 0 &&
    html` What it costs: ${losses.map((part, i) => html`${i > 0 && (i === losses.length - 1 ? ", and " : ", ")}${part}`)}.`
  }`;
}

const weightLoss = (sqnr: number): Markup =>
  sqnr === Number.POSITIVE_INFINITY
    ? html`nothing, every weight is exactly that of the original`
    : html`the weights keep a signal-to-noise ratio of <b>${formatDecibels(sqnr)} dB</b>`;

function undecided({ front, measure, smallest, closest }: Facts): Markup {
  if (measure === undefined) return html`Only sizes are known: nothing says what they cost.`;
  if (front.length === 0 || smallest === undefined || closest === undefined)
    return html`No candidate has a figure that can be compared.`;
  return html`${isolated(smallest.label)} is the smallest, ${isolated(closest.label)} the closest to the original, and nothing between them is worth more than the step from one to the other.`;
}

function cards(facts: Facts): Markup | false {
  const { best, closest, smallest } = facts;
  const named: [string, Standing | undefined][] = [
    ["Best trade", best],
    ["Closest to the original", closest === best ? undefined : closest],
    ["Smallest", smallest === best || smallest === closest ? undefined : smallest],
  ];
  const shown = named.filter((pair): pair is [string, Standing] => pair[1] !== undefined);
  return (
    shown.length > 0 &&
    html`<ul class="cards">${shown.map(([title, standing]) => card(title, standing, facts))}</ul>`
  );
}

function card(
  title: string,
  { candidate, label, loss }: Standing,
  { measure, data: { reference } }: Facts,
): Markup {
  const { bytes, bitsPerWeight, sameTop, weights } = candidate;
  return html`<li${title === "Best trade" && html` class="best"`}><h3>${title}</h3><p class="name">${isolated(label)}</p>
<dl><div><dt>Size</dt><dd>${formatBytes(bytes)} <small>${share(bytes, reference.bytes)}</small></dd></div>
${bitsPerWeight !== undefined && html`<div><dt>Bits per weight</dt><dd>${bitsPerWeight.toFixed(2)}</dd></div>`}
${measure === "divergence" && html`<div><dt>Mean KLD</dt><dd>${formatSmall(loss)}</dd></div>`}
${measure === "weights" && weights && html`<div><dt>SQNR</dt><dd>${formatDecibels(weights.sqnr)} dB</dd></div>`}
${sameTop && html`<div><dt>Same top token</dt><dd>${formatPercent(sameTop.value)}</dd></div>`}</dl></li>`;
}

/** The rule, stated; and what it left out. */
function reasons({
  best,
  close,
  front,
  standings,
  unmeasured,
  measure,
  smallest,
  closest,
}: Facts): Markup | false {
  const loss = measure === "weights" ? "error" : "divergence";
  const beaten = standings.filter(({ beatenBy }) => beatenBy !== undefined);
  const parts = [
    best !== undefined &&
      front.length >= 3 &&
      html`The rule: of the candidates that no other beats in both size and ${loss}, take the one that lies furthest below the straight line from the smallest (${isolated(smallest!.label)}) to the closest (${isolated(closest!.label)}), size against the logarithm of the ${loss}. Going smaller costs more from there, going larger gains less.`,
    best !== undefined &&
      front.length === 1 &&
      html`The rule: no other candidate is smaller, and none is closer to the original.`,
    beaten.length > 0 &&
      html`${beaten
        .slice(0, 6)
        .map(
          ({ label, beatenBy }, i) =>
            html`${i > 0 && "; "}${isolated(label)} is beaten by ${isolated(beatenBy!.label)}`,
        )}${beaten.length > 6 && `; and ${beaten.length - 6} more are beaten`}.`,
    close.length > 0 &&
      html`This text is too short to tell apart ${close.map(([a, b], i) => html`${i > 0 && ", "}${isolated(a.label)} and ${isolated(b.label)}`)}: their figures differ by less than twice their standard error.`,
    unmeasured.length > 0 &&
      html`Not compared, for want of a ${loss} that is a number: ${unmeasured.map(({ label }, i) => html`${i > 0 && ", "}${isolated(label)}`)}.`,
  ].filter((part) => part !== false);
  return (
    parts.length > 0 && html`<p class="note">${parts.map((part, i) => html`${i > 0 && " "}${part}`)}</p>`
  );
}
