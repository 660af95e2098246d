// What IQ1_S and IQ1_M share: a weight is scale · (level − 1 + shift), level 0, 1 or 2, shift ±1⁄8, and eight levels
// at a time are an entry of the codebook.
import { codebook, nearestEntry } from "./iq1-codebook.js";

const f = Math.fround;

export const SHIFT = 1 / 8;

/** Sub-block: weights, and how much errors in them count. */
export interface SubBlock {
  readonly x: Float32Array;
  readonly w: Float32Array;
}

/** How a sub-block is rounded before the codebook has its say. */
export interface Split {
  readonly scale: number;
  /** Elements in ascending order that get level 0; those that get level 0 or 1. */
  readonly i1: number;
  readonly i2: number;
  /** Of every eight elements. */
  readonly shifts: readonly number[];
}

/** Sub-block as stored. */
export interface Fitted {
  readonly scale: number;
  readonly shifts: readonly number[];
  readonly entries: readonly number[];
}

/** Indices of x in ascending order of values, equal ones in their own order. */
export const ascending = (x: Float32Array): number[] => [...x.keys()].sort((a, b) => x[a]! - x[b]!);

/** Σ wxq and Σ wq² of a possible rounding. */
export interface Sums {
  readonly qx: number;
  readonly q2: number;
  readonly shifts: readonly number[];
}

/** The best split: for fixed levels the error falls by (Σwxq)² ⁄ Σwq², which is compared without a division. */
export function bestSplit(size: number, candidates: (i1: number, i2: number) => Sums[]): Split | undefined {
  let split: Split | undefined;
  let best = -3.4028234663852886e38;
  for (let i1 = 0; i1 <= size; i1++)
    for (let i2 = i1; i2 <= size; i2++)
      for (const { qx, q2, shifts } of candidates(i1, i2))
        if (q2 > 0 && f(qx * qx) > f(best * q2)) {
          const scale = f(qx / q2);
          best = f(scale * qx);
          split = { scale, i1, i2, shifts };
        }
  return split;
}

/** What eight elements become, in units of the scale. */
export const valuesOf = (entry: number, shift: number): number[] =>
  codebook[entry]!.map((level) => level - 1 + shift);

/** Sub-blocks without a split: a scale of 0. */
export const empty = (size: number): Fitted => ({
  scale: 0,
  shifts: Array.from({ length: size / 8 }, () => SHIFT),
  entries: Array.from({ length: size / 8 }, () => 0),
});

/**
 * Entries for a split, and the best scale for them. A negative scale is made positive first: levels and shifts are
 * mirrored then.
 */
export function fitEntries({ x, w }: SubBlock, split: Split): Fitted {
  const levels = new Uint8Array(x.length);
  ascending(x).forEach((i, rank) => {
    levels[i] = (rank >= split.i1 ? 1 : 0) + (rank >= split.i2 ? 1 : 0);
  });
  const negative = split.scale < 0;
  if (negative) levels.set(levels.map((level) => 2 - level));
  let scale = Math.abs(split.scale);
  const shifts = split.shifts.map((shift) => (negative ? -shift : shift));
  let moved = false;
  const entries = shifts.map((shift, k) => {
    const point = levels.subarray(8 * k, 8 * k + 8);
    const entry = nearestEntry(point, (j, level) => {
      const difference = f(f(scale * (level - 1 + shift)) - x[8 * k + j]!);
      return f(f(w[8 * k + j]! * difference) * difference);
    });
    moved ||= codebook[entry]!.some((level, j) => level !== point[j]);
    return entry;
  });
  if (moved) {
    const fit = new Fit();
    for (const [k, entry] of entries.entries()) fit.add({ x, w }, 8 * k, valuesOf(entry, shifts[k]!));
    if (fit.qx > 0 && fit.q2 > 0) scale = f(fit.qx / fit.q2);
  }
  return { scale, shifts, entries };
}

/** Σ wxq and Σ wq², whose quotient is the best scale for given q. */
export class Fit {
  qx = 0;
  q2 = 0;

  add({ x, w }: SubBlock, at: number, values: readonly number[]): void {
    values.forEach((q, i) => {
      const wq = f(w[at + i]! * q);
      this.qx = f(this.qx + f(wq * x[at + i]!));
      this.q2 = f(this.q2 + f(wq * q));
    });
  }
}

/** 0 … 7 for the odd scale 1 … 15 nearest to `scale`, given the inverse of the unit. */
export function scaleLevel(scale: number, inverse: number, round: (x: number) => number): number {
  return Math.max(0, Math.min(7, round(f(0.5 * f(f(inverse * scale) - 1)))));
}
