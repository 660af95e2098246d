// The two ways in which Q4_1 and Q5_1 find scale, minimum and levels of a block.
import type { Weighting } from "./block.js";
import { sumOfSquares } from "./float.js";
import { searchScaleAndMin, weigh, weightedTrials } from "./search.js";

const f = Math.fround;

/** weight ≈ scale · level + min */
export interface Span {
  readonly scale: number;
  readonly min: number;
  readonly levels: Uint8Array;
}

/** Without importance: evenly from the smallest weight to the largest. With it: the search. */
export const findSpan = (x: Float32Array, top: number, weighting?: Weighting): Span =>
  weighting ? searched(x, top, weighting) : spread(x, top);

function spread(x: Float32Array, top: number): Span {
  let min = x[0]!;
  let max = x[0]!;
  for (const v of x) {
    if (v < min) min = v;
    if (v > max) max = v;
  }
  const scale = f(f(max - min) / top);
  const inverse = scale ? f(1 / scale) : 0;
  const levels = Uint8Array.from(x, (v) => {
    const level = f(f(f(v - min) * inverse) + 0.5);
    return Number.isFinite(level) ? Math.min(top, Math.trunc(level)) : 0; // a subnormal scale has an infinite inverse
  });
  return { scale, min, levels };
}

function searched(x: Float32Array, top: number, { importance, row }: Weighting): Span {
  const meanSquare = f(sumOfSquares(row) / row.length);
  const { scale, min, levels } = searchScaleAndMin(x, weigh(x, importance, meanSquare), top, weightedTrials);
  return { scale, min: -min, levels };
}
