// What follows from the figures of a report: names to show, who beats whom, and which candidate is the best trade.
import type { Candidate, ReportData } from "./data.js";
import { knee, paretoFront } from "./trade.js";

/** What candidates are judged by: divergence where it was measured, else the error of the weights. */
export type Measure = "divergence" | "weights";

/** A candidate and what the page says of it. */
export interface Standing {
  readonly candidate: Candidate;
  /** Short, and unlike any other's. */
  readonly label: string;
  /** In the unit of `Facts.size`. */
  readonly size: number;
  /** Divergence in nats, or noise ÷ signal of the weights; NaN where it was not measured or is no number. */
  readonly loss: number;
  /** Standard error of `loss`; 0 where unknown. */
  readonly error: number;
  readonly onFront: boolean;
  /** One that is at least as small and as good, and better in one. */
  readonly beatenBy?: Standing;
}

/** Everything the page decides, before a word or a line of it is drawn. */
export interface Facts {
  readonly data: ReportData;
  /** Undefined where candidates have neither divergences nor errors of weights. */
  readonly measure?: Measure;
  readonly size: "bits" | "bytes";
  /** In the order of the data. */
  readonly standings: readonly Standing[];
  /** Smallest first. */
  readonly front: readonly Standing[];
  /** Undefined where no candidate stands out. */
  readonly best?: Standing;
  readonly closest?: Standing;
  readonly smallest?: Standing;
  /** Of which the measure is not a number. */
  readonly unmeasured: readonly Standing[];
  /** Neighbours of the front whose losses differ by less than twice their standard error. */
  readonly close: readonly (readonly [Standing, Standing])[];
}

export function factsOf(data: ReportData): Facts {
  const { candidates } = data;
  const measure: Measure | undefined = candidates.some(({ kld }) => kld !== undefined)
    ? "divergence"
    : candidates.some(({ weights }) => weights !== undefined)
      ? "weights"
      : undefined;
  const size = candidates.every(({ bitsPerWeight }) => bitsPerWeight !== undefined) ? "bits" : "bytes";
  const labels = labelsOf(candidates);
  const bare = candidates.map((candidate, i) => ({
    candidate,
    label: labels[i]!,
    size: size === "bits" ? candidate.bitsPerWeight! : candidate.bytes,
    ...lossOf(candidate, measure),
  }));
  const front = new Set(paretoFront(bare));
  const leaders = [...front];
  const standings = bare.map((offer): Standing => {
    const leader = front.has(offer)
      ? undefined
      : leaders.find(({ size, loss }) => size <= offer.size && loss <= offer.loss);
    return {
      ...offer,
      onFront: front.has(offer),
      ...(leader === undefined ? {} : { beatenBy: { ...leader, onFront: true } }),
    };
  });
  const ordered = standings.filter(({ onFront }) => onFront).sort((a, b) => a.size - b.size);
  const best =
    ordered.length === 1 && standings.length > 1
      ? ordered[0]
      : knee(
          ordered.filter(({ loss }) => loss > 0 && loss < Number.POSITIVE_INFINITY),
          Math.log,
        );
  const [smallest, closest] = [ordered[0], ordered.at(-1)];
  return {
    data,
    ...(measure === undefined ? {} : { measure }),
    size,
    standings,
    front: ordered,
    ...(best === undefined ? {} : { best }),
    ...(closest === undefined ? {} : { closest }),
    ...(smallest === undefined ? {} : { smallest }),
    close: ordered.slice(1).flatMap((larger, i) => {
      const smaller = ordered[i]!;
      return smaller.loss - larger.loss < 2 * Math.hypot(smaller.error, larger.error)
        ? [[smaller, larger] as const]
        : [];
    }),
    unmeasured: measure === undefined ? [] : standings.filter(({ loss }) => Number.isNaN(loss)),
  };
}

function lossOf(
  { kld, weights }: Candidate,
  measure: Measure | undefined,
): { readonly loss: number; readonly error: number } {
  if (measure === "divergence" && kld !== undefined) return { loss: kld.mean, error: finite(kld.error) };
  if (measure === "weights" && weights !== undefined) return { loss: 10 ** (-weights.sqnr / 10), error: 0 };
  return { loss: Number.NaN, error: 0 };
}

const finite = (error: number | undefined): number =>
  error !== undefined && Number.isFinite(error) ? error : 0;

/** Types where they tell all candidates apart, else names, else names with numbers. */
function labelsOf(candidates: readonly Candidate[]): string[] {
  const distinct = (labels: readonly (string | undefined)[]): labels is string[] =>
    labels.every((label) => label !== undefined && label !== "") && new Set(labels).size === labels.length;
  const choices = [
    candidates.map(({ type }) => type),
    candidates.map(({ name }) => name),
    candidates.map(({ file }) => file),
  ];
  return choices.find(distinct) ?? candidates.map(({ name }, i) => `${name} (${i + 1})`);
}
