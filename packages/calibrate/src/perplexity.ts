import type { EngineContext } from "@fewbit/core";
import type { Portion, Reading } from "./reading.js";

/** How many tokens were scored, and their losses -ln p added up. */
export interface Losses {
  readonly count: number;
  readonly sum: number;
}

/**
 * Losses of the second half of every chunk, as llama-imatrix scores them.
 * @returns undefined where logits are NaN or infinite
 */
export function lossesOf(
  context: EngineContext,
  reading: Reading,
  portion: Portion,
  contextSize: number,
): Losses | undefined {
  let [count, sum] = [0, 0];
  const first = Math.max(contextSize >> 1, portion.from);
  // The last token of a chunk has no successor in it.
  const end = Math.min(contextSize - 1, portion.from + portion.length);
  for (let i = 0; i < portion.chunks; i++)
    for (let position = first; position < end; position++) {
      const logits = context.logits(i * portion.length + position - portion.from);
      sum += lossOf(logits, reading.next(portion.chunk + i, position));
      count++;
    }
  return Number.isFinite(sum) ? { count, sum } : undefined;
}

function lossOf(logits: Float32Array, token: number): number {
  let peak = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < logits.length; i++) if (logits[i]! > peak) peak = logits[i]!;
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i]! - peak);
  return Math.log(sum) + peak - logits[token]!;
}
