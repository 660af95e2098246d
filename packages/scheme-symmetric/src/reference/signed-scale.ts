// The two ways in which Q4_0 and Q5_0 find a scale and levels from 0 to 2·reach − 1, where `reach` stands for zero.
import type { Weighting } from "./block.js";
import { extreme, searchScale } from "./scale-search.js";

const f = Math.fround;

export interface Fit {
  readonly scale: number;
  readonly levels: Uint8Array;
}

/** Without importance: the scale that takes the largest magnitude to exactly -reach. */
export function rounded(x: Float32Array, reach: number): Fit {
  const scale = f(extreme(x) / -reach);
  const inverse = scale ? f(1 / scale) : 0;
  return {
    scale,
    levels: Uint8Array.from(x, (v) => {
      const level = f(f(v * inverse) + reach + 0.5);
      // A subnormal scale has an infinite inverse, and the level becomes 0.
      return Number.isFinite(level) ? Math.min(2 * reach - 1, Math.trunc(level)) : 0;
    }),
  };
}

/** With importance: an error counts by importance and by √(mean square of the row + square of the weight). */
export function searched(x: Float32Array, reach: number, { importance, row }: Weighting): Fit {
  let sum = 0;
  for (const v of row) sum = f(sum + f(v * v));
  const meanSquare = f(sum / row.length);
  const weights = Float32Array.from(x, (v, i) => importance[i]! * f(Math.sqrt(f(meanSquare + f(v * v)))));
  return searchScale(x, reach, weights);
}
