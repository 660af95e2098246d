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
  return Math.log(sumBelow(logits, peak)) + peak - logits[token]!;
}

/** Of e^-d: 2^-(i/256) and 2^-i. */
const STEPS = 256;
const fractions = Float64Array.from({ length: STEPS }, (_, i) => 2 ** (-i / STEPS));
const powers = Float64Array.from({ length: 128 }, (_, i) => 2 ** -i);
/** Beyond it nothing is left of e^-d beside 1, however many there are. */
const FAR = 80;

/** Σ e^(x - peak), to 11 digits; several times as fast as Math.exp. NaN where one of them is. */
function sumBelow(logits: Float32Array, peak: number): number {
  let sum = 0;
  for (let i = 0; i < logits.length; i++) {
    const below = peak - logits[i]!;
    if (below > FAR) continue;
    const steps = below * (STEPS / Math.LN2);
    const whole = steps | 0;
    const rest = (steps - whole) * (Math.LN2 / STEPS);
    sum +=
      powers[whole >> 8]! *
      fractions[whole & (STEPS - 1)]! *
      (1 - rest * (1 - rest * (1 / 2 - rest * (1 / 6))));
  }
  return sum;
}
