import { FewbitError } from "@fewbit/core";
import { type Batch, vectorOf } from "./batch.js";

/** What an engine gave for one text: a row of numbers for each token. */
export interface EngineRows {
  readonly tokens: Int32Array;
  readonly values: Float32Array;
}

/** How far two computations of the same numbers are from each other. */
export interface Difference {
  readonly max: number;
  /** Root of the mean of all differences squared. */
  readonly rms: number;
  /** `max` as a part of the range of the numbers. */
  readonly maxRelative: number;
}

/**
 * @param ours the rows of all texts, one after another
 * @throws `E_MODEL_MISMATCH` where rows are of another length; `E_LOGITS` where the engine gave NaN or infinity
 */
export function differenceOf(ours: Batch, theirs: readonly EngineRows[], path: string): Difference {
  const count = theirs.reduce((sum, { values }) => sum + values.length, 0);
  if (count !== ours.values.length)
    throw new FewbitError(
      "E_MODEL_MISMATCH",
      `After each token the file gives ${count / ours.tokens} numbers; the checkpoint gives ${ours.width}.`,
      { file: path },
      "Convert the checkpoint again.",
    );
  let at = 0;
  let max = 0;
  let squares = 0;
  let lowest = Number.POSITIVE_INFINITY;
  let highest = Number.NEGATIVE_INFINITY;
  for (const { values } of theirs)
    for (const value of values) {
      if (!Number.isFinite(value))
        throw new FewbitError(
          "E_LOGITS",
          `The converted file puts out ${value}.`,
          { file: path },
          "Check the checkpoint for weights that are not finite.",
        );
      const own = ours.values[at++]!;
      const difference = Math.abs(own - value);
      max = Math.max(max, difference);
      squares += difference ** 2;
      lowest = Math.min(lowest, own);
      highest = Math.max(highest, own);
    }
  return { max, rms: Math.sqrt(squares / count), maxRelative: max === 0 ? 0 : max / (highest - lowest) };
}

/** Perplexity of the texts by both computations: e to the mean of -ln p of every token but the first of a text. */
export function perplexities(
  ours: Batch,
  theirs: readonly EngineRows[],
): { readonly ours: number; readonly theirs: number } {
  let [own, other, count, row] = [0, 0, 0, 0];
  for (const { tokens, values } of theirs) {
    for (let i = 0; i + 1 < tokens.length; i++) {
      own += loss(vectorOf(ours, row + i), tokens[i + 1]!);
      other += loss(values.subarray(i * ours.width, (i + 1) * ours.width), tokens[i + 1]!);
      count++;
    }
    row += tokens.length;
  }
  return { ours: Math.exp(own / count), theirs: Math.exp(other / count) };
}

/** -ln of the probability that the softmax of the logits gives to a token. */
function loss(logits: Float64Array | Float32Array, token: number): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (const logit of logits) largest = Math.max(largest, logit);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - largest);
  return Math.log(sum) + largest - logits[token]!;
}
