// How good the best split of a sub-block is at least, so that few splits need an exact comparison.
//
// llama.cpp goes through all splits and keeps one if qx² > best · q2, where qx = Σ wxq and q2 = Σ wq², in single
// precision: what it ends with has a score qx² ⁄ q2 within rounding errors of the largest. Here the score B of one good
// split comes first. Splits that score less than (1 − 2⁻¹⁰) B, the limit, are left out; for the others, a few, every
// operation is the reference's.
//
// Leaving out changes nothing, and no more does beginning with the limit as the best score. What the reference keeps and
// what is kept here may differ until one of them exceeds the limit by more than rounding errors; these are below 2⁻²² in
// a comparison, and below 3 · 10⁻⁴ should they add up over all of them. The good split, if no earlier one, exceeds what
// both have kept by more than that: both keep it, and are the same from there on.
//
// Which splits are left out is decided with fewer operations than the reference takes for a score, from the same sums
// X(i), W(i) over the first i sorted elements: since levels differ by 1, qx = q(2) X(n) − X(i1) − X(i2), and q2 is no
// harder. With u = 2⁻²⁴, M = Σ w|x| and W = Σ w, that makes a difference below 20 u M in qx and 20 u W in q2. Every |q|
// is at least 1⁄8, hence q2 ≥ W ⁄ 64 and its relative error is below 1280 u. B ≥ M² ⁄ 4 W is checked, hence |qx| > M ⁄ 17
// at the limit, and the relative error of its square is below 680 u. B itself is summed in another order: 42 u M and
// 42 u W, that is 4200 u. All errors together are below 7 · 10⁻⁴, less than 2⁻¹⁰.
import { W, X } from "./iq1";

/** The good split: smaller elements get level 0, larger ones level 2; its score. */
const LOW: usize = 0x9000;
const HIGH: usize = LOW + 16;
const GOOD: usize = HIGH + 16;
const LARGEST: usize = GOOD + 16;
const MAGNITUDE: usize = LARGEST + 16;
const TOTAL: usize = MAGNITUDE + 16;
const LEAST: usize = TOTAL + 16;
/** qx and q2 of a split with shift 1⁄8, then with −1⁄8; 64 bytes for each part of the sub-block with one shift. */
const PARTS: usize = LEAST + 16;
/** Splits that score less need no exact comparison; infinity in lanes that have no split at all. */
export const LIMIT: usize = PARTS + 2 * 64;
/** The splits that do need one, up to 561: addresses of sums over i1 and i2 elements. */
export const SPLITS: usize = LIMIT + 16;

/** How often the good split is improved: fewer splits remain to be compared. */
const PASSES = 2;

/** Sums over the elements of a sub-block, and a first split: magnitudes above 0.7 of their mean get an outer level. */
function measure(at: usize, size: usize): void {
  let magnitude = f32x4.splat(0);
  let total = magnitude;
  let largest = magnitude;
  let least = f32x4.splat(Infinity);
  for (const end = at + size; at < end; at += 16) {
    const w = v128.load(at, W);
    const x = f32x4.abs(v128.load(at, X));
    largest = f32x4.pmax(largest, x);
    magnitude = f32x4.add(magnitude, f32x4.mul(w, x));
    total = f32x4.add(total, w);
    least = f32x4.pmin(least, w);
  }
  v128.store(0, largest, LARGEST);
  v128.store(0, magnitude, MAGNITUDE);
  v128.store(0, total, TOTAL);
  v128.store(0, least, LEAST);
  const threshold = f32x4.mul(f32x4.splat(0.7), f32x4.div(magnitude, total));
  v128.store(0, f32x4.neg(threshold), LOW);
  v128.store(0, threshold, HIGH);
  v128.store(0, f32x4.splat(0), GOOD);
}

/** Sums of the split at LOW and HIGH over elements that have one shift. */
function sumPart(at: usize, size: usize, part: usize): void {
  const low = v128.load(0, LOW);
  const high = v128.load(0, HIGH);
  let outerX = f32x4.splat(0);
  let outerW = outerX;
  let signedW = outerX;
  let sumX = outerX;
  let sumW = outerX;
  for (const end = at + size; at < end; at += 16) {
    const x = v128.load(at, X);
    const w = v128.load(at, W);
    const wx = f32x4.mul(w, x);
    const below = f32x4.lt(x, low);
    const above = f32x4.gt(x, high);
    sumX = f32x4.add(sumX, wx);
    sumW = f32x4.add(sumW, w);
    outerX = f32x4.sub(f32x4.add(outerX, v128.and(wx, above)), v128.and(wx, below));
    outerW = f32x4.add(outerW, v128.and(w, v128.or(above, below)));
    signedW = f32x4.sub(f32x4.add(signedW, v128.and(w, above)), v128.and(w, below));
  }
  // Σ w (l + s) x and Σ w (l + s)² for l = −1, 0, 1
  const shiftX = f32x4.mul(sumX, f32x4.splat(1.0 / 8));
  const shiftW = f32x4.mul(signedW, f32x4.splat(1.0 / 4));
  const q2 = f32x4.add(f32x4.mul(sumW, f32x4.splat(1.0 / 64)), outerW);
  v128.store(part, f32x4.add(outerX, shiftX), PARTS);
  v128.store(part, f32x4.add(q2, shiftW), PARTS + 16);
  v128.store(part, f32x4.sub(outerX, shiftX), PARTS + 32);
  v128.store(part, f32x4.sub(q2, shiftW), PARTS + 48);
}

/** Fills LIMIT for a sub-block with one shift. Returns whether it may be used: see `setLimit`. */
export function boundOfWhole(at: usize, size: usize, tiny: f32): bool {
  measure(at, size);
  for (let pass = 0; pass < PASSES; pass++) {
    sumPart(at, size, 0);
    const zero = f32x4.splat(0);
    improve(0, zero, zero, 0.125);
    improve(32, zero, zero, -0.125);
  }
  return setLimit(tiny);
}

/** Fills LIMIT for a sub-block whose halves have a shift each. */
export function boundOfHalves(at: usize, size: usize, tiny: f32): bool {
  measure(at, size);
  for (let pass = 0; pass < PASSES; pass++) {
    sumPart(at, size / 2, 0);
    sumPart(at + size / 2, size / 2, 64);
    const plusX = v128.load(64, PARTS);
    const plusW = v128.load(64, PARTS + 16);
    const minusX = v128.load(64, PARTS + 32);
    const minusW = v128.load(64, PARTS + 48);
    improve(0, plusX, plusW, 0.125);
    improve(0, minusX, minusW, 0);
    improve(32, plusX, plusW, 0);
    improve(32, minusX, minusW, -0.125);
  }
  return setLimit(tiny);
}

/**
 * Tries a pair of shifts: (qx of a part + qx)² ⁄ (q2 of it + q2). If it is the best so far, the next split is at the
 * places that are nearest to two levels under its scale.
 */
// @ts-ignore: decorator
@inline
function improve(part: usize, qx: v128, q2: v128, shift: f32): void {
  const sumX = f32x4.add(v128.load(part, PARTS), qx);
  const scale = f32x4.div(sumX, f32x4.add(v128.load(part, PARTS + 16), q2));
  const score = f32x4.mul(scale, sumX);
  const best = v128.load(0, GOOD);
  const better = f32x4.gt(score, best);
  v128.store(0, v128.bitselect(score, best, better), GOOD);
  const low = f32x4.mul(scale, f32x4.splat(shift - 0.5));
  const high = f32x4.mul(scale, f32x4.splat(shift + 0.5));
  v128.store(0, v128.bitselect(low, v128.load(0, LOW), better), LOW);
  v128.store(0, v128.bitselect(high, v128.load(0, HIGH), better), HIGH);
}

/**
 * Whether every lane either has no split, or numbers so far from the ends of the range that the errors above hold. No
 * split: all elements below `tiny`, or no weight, so that Σ wq² is never positive.
 */
// @ts-ignore: decorator
@inline
function setLimit(tiny: f32): bool {
  const best = v128.load(0, GOOD);
  const magnitude = v128.load(0, MAGNITUDE);
  const total = v128.load(0, TOTAL);
  const zero = f32x4.splat(0);
  const positive = f32x4.ge(v128.load(0, LEAST), zero);
  const none = v128.or(
    f32x4.lt(v128.load(0, LARGEST), f32x4.splat(tiny)),
    v128.and(positive, f32x4.eq(total, zero)),
  );
  const good = f32x4.ge(f32x4.mul(f32x4.mul(f32x4.splat(4), best), total), f32x4.mul(magnitude, magnitude));
  const usable = v128.and(
    v128.and(positive, good),
    v128.and(isModerate(best), v128.and(isModerate(total), isModerate(f32x4.mul(magnitude, magnitude)))),
  );
  v128.store(0, v128.bitselect(f32x4.splat(Infinity), f32x4.mul(best, f32x4.splat(1 - 1.0 / 1024)), none), LIMIT);
  return i32x4.all_true(v128.or(none, usable));
}

// @ts-ignore: decorator
@inline
function isModerate(v: v128): v128 {
  return v128.and(f32x4.gt(v, f32x4.splat(1e-30)), f32x4.lt(v, f32x4.splat(1e30)));
}
