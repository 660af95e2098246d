// What IQ4_NL and IQ4_XS share: sixteen values, and the scale of four blocks of 32 weights at once.
//
//   lanes        four independent blocks; element i of all four lies at X + 16 i, its weight at W + 16 i
//   values       -127 … 113, dense around zero; level k stands for VALUES[k]
//   trials       inverse = −127 ⁄ −max, then (t − 127) ⁄ max for t = −7 … 7, where max has the largest magnitude
//   best         the largest (Σ wxq)² ⁄ Σ wq², compared without a division as llama.cpp does
//
// llama.cpp finds the nearest value by bisection and two subtractions. Both are monotone and the middle m between two
// values is exact, so a number gets level k or more exactly if !(x < m) for the k-th middle: NaN, too, gets the
// highest. Middles are whole or half, so that ⌊x⌋ tells about the whole ones and ⌊x + ½⌋ about the others; both come
// from ⌊2x⌋, and fit in bytes after saturation: sixteen numbers are compared at once.
//
// Sums run over the elements in order in every lane, so they are the reference's to the last bit.
import { transpose } from "@fewbit/assembly";

/** Elements and weights of 32 elements of four lanes. */
export const X: usize = 1024;
export const W: usize = X + 32 * 16;
/** Results: four scales. */
export const SCALE: usize = W + 32 * 16;

const MAX: usize = SCALE + 16;
const BEST: usize = MAX + 16;
const CONSTANTS: usize = BEST + 16;

// Constants in memory: V8 would rebuild them at every use inside loops.
const VALUES: usize = CONSTANTS;
const MAGIC: usize = VALUES + 16;
const ONES: usize = MAGIC + 16;
/** One less than the nine whole middles, then than the six others rounded up, each in all bytes. */
const WHOLE: usize = ONES + 16;
const HALF: usize = WHOLE + 9 * 16;
/** First free address. */
export const IQ4_END: usize = HALF + 6 * 16;

/** Below this a block counts as all zero. */
const TINY: f32 = 1e-15;

export function makeIq4Constants(): void {
  v128.store(VALUES, i8x16(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113));
  v128.store(MAGIC, f32x4.splat(12582912.0));
  v128.store(ONES, i16x8.splat(1));
  let whole: usize = WHOLE;
  let half: usize = HALF;
  for (let k: usize = VALUES; k < VALUES + 15; k++) {
    const sum = <i32>load<i8>(k) + load<i8>(k, 1); // twice the middle
    const below = i8x16.splat(<i8>(((sum + 1) >> 1) - 1));
    if (sum & 1) {
      v128.store(half, below);
      half += 16;
    } else {
      v128.store(whole, below);
      whole += 16;
    }
  }
}

/** ⌊v⌋ as integers, for |v| < 2²². */
// @ts-ignore: decorator
@inline
function floors(v: v128, magic: v128): v128 {
  return i32x4.sub(f32x4.add(f32x4.floor(v), magic), magic);
}

/** Levels of sixteen numbers, given twice. */
// @ts-ignore: decorator
@inline
function levels(a: v128, b: v128, c: v128, d: v128): v128 {
  const magic = v128.load(0, MAGIC);
  const one = v128.load(0, ONES);
  const ab = i16x8.narrow_i32x4_s(floors(a, magic), floors(b, magic));
  const cd = i16x8.narrow_i32x4_s(floors(c, magic), floors(d, magic));
  const down = i8x16.narrow_i16x8_s(i16x8.shr_s(ab, 1), i16x8.shr_s(cd, 1));
  const up = i8x16.narrow_i16x8_s(i16x8.shr_s(i16x8.add(ab, one), 1), i16x8.shr_s(i16x8.add(cd, one), 1));
  let negative = i8x16.add(above(down, 0), above(down, 1));
  negative = i8x16.add(negative, i8x16.add(above(down, 2), above(down, 3)));
  negative = i8x16.add(negative, i8x16.add(above(down, 4), above(down, 5)));
  negative = i8x16.add(negative, i8x16.add(above(down, 6), above(down, 7)));
  negative = i8x16.add(negative, i8x16.add(above(down, 8), above(up, 9)));
  negative = i8x16.add(negative, i8x16.add(above(up, 10), above(up, 11)));
  negative = i8x16.add(negative, i8x16.add(above(up, 12), above(up, 13)));
  return i8x16.neg(i8x16.add(negative, above(up, 14)));
}

// @ts-ignore: decorator
@inline
function above(bytes: v128, middle: usize): v128 {
  return i8x16.gt_s(bytes, v128.load(WHOLE + 16 * middle));
}

/** Levels of the sixteen weights at `x` under any scale, also a NaN or infinite one; `inverse` in all lanes. */
// @ts-ignore: decorator
@inline
export function levelsUnder(x: usize, inverse: v128): v128 {
  return levels(
    bounded(f32x4.mul(inverse, v128.load(x))),
    bounded(f32x4.mul(inverse, v128.load(x, 16))),
    bounded(f32x4.mul(inverse, v128.load(x, 32))),
    bounded(f32x4.mul(inverse, v128.load(x, 48))),
  );
}

/** Twice v between -512 and 512, where NaN is 512. */
// @ts-ignore: decorator
@inline
function bounded(v: v128): v128 {
  v = f32x4.pmax(f32x4.splat(-256), f32x4.pmin(f32x4.splat(256), v));
  return f32x4.add(v, v);
}

/** Fills X and W for weights that count as their own squares. `stride`: bytes from block to block. */
export function gather(source: usize, stride: usize): void {
  for (let i: usize = 0; i < 128; i += 16) transpose(source + i, stride, X + 4 * i);
  for (let p: usize = 0; p < 512; p += 16) {
    const x = v128.load(p, X);
    v128.store(p, f32x4.mul(x, x), W);
  }
}

/** Fills X, and W with the importances. */
export function gatherWeighted(source: usize, stride: usize, importance: usize, importanceStride: usize): void {
  for (let i: usize = 0; i < 128; i += 16) {
    transpose(source + i, stride, X + 4 * i);
    transpose(importance + i, importanceStride, W + 4 * i);
  }
}

/** Turns the importances in W to weights of errors: importance · √(σ² + x²). */
// @ts-ignore: decorator
@inline
export function weigh(sigma2: v128): void {
  for (let p: usize = 0; p < 512; p += 16) {
    const x = v128.load(p, X);
    v128.store(p, f32x4.mul(v128.load(p, W), f32x4.sqrt(f32x4.add(sigma2, f32x4.mul(x, x)))), W);
  }
}

/** Two trials share the loads of elements and weights. `first`: nothing has been tried yet. */
// @ts-ignore: decorator
@inline
function tryTwo(inverseA: v128, inverseB: v128, first: bool): void {
  const values = v128.load(0, VALUES);
  const twiceA = f32x4.add(inverseA, inverseA);
  const twiceB = f32x4.add(inverseB, inverseB);
  let qxA = f32x4.splat(0);
  let qxB = qxA;
  let q2A = qxA;
  let q2B = qxA;
  for (let p: usize = 0; p < 512; p += 64) {
    const x0 = v128.load(p, X);
    const x1 = v128.load(p, X + 16);
    const x2 = v128.load(p, X + 32);
    const x3 = v128.load(p, X + 48);
    const bytesA = i8x16.swizzle(
      values,
      levels(f32x4.mul(twiceA, x0), f32x4.mul(twiceA, x1), f32x4.mul(twiceA, x2), f32x4.mul(twiceA, x3)),
    );
    const bytesB = i8x16.swizzle(
      values,
      levels(f32x4.mul(twiceB, x0), f32x4.mul(twiceB, x1), f32x4.mul(twiceB, x2), f32x4.mul(twiceB, x3)),
    );
    const lowA = i16x8.extend_low_i8x16_s(bytesA);
    const highA = i16x8.extend_high_i8x16_s(bytesA);
    const lowB = i16x8.extend_low_i8x16_s(bytesB);
    const highB = i16x8.extend_high_i8x16_s(bytesB);
    const w0 = v128.load(p, W);
    const a0 = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(lowA));
    const b0 = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(lowB));
    qxA = f32x4.add(qxA, f32x4.mul(f32x4.mul(w0, a0), x0));
    q2A = f32x4.add(q2A, f32x4.mul(f32x4.mul(w0, a0), a0));
    qxB = f32x4.add(qxB, f32x4.mul(f32x4.mul(w0, b0), x0));
    q2B = f32x4.add(q2B, f32x4.mul(f32x4.mul(w0, b0), b0));
    const w1 = v128.load(p, W + 16);
    const a1 = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(lowA));
    const b1 = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(lowB));
    qxA = f32x4.add(qxA, f32x4.mul(f32x4.mul(w1, a1), x1));
    q2A = f32x4.add(q2A, f32x4.mul(f32x4.mul(w1, a1), a1));
    qxB = f32x4.add(qxB, f32x4.mul(f32x4.mul(w1, b1), x1));
    q2B = f32x4.add(q2B, f32x4.mul(f32x4.mul(w1, b1), b1));
    const w2 = v128.load(p, W + 32);
    const a2 = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(highA));
    const b2 = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(highB));
    qxA = f32x4.add(qxA, f32x4.mul(f32x4.mul(w2, a2), x2));
    q2A = f32x4.add(q2A, f32x4.mul(f32x4.mul(w2, a2), a2));
    qxB = f32x4.add(qxB, f32x4.mul(f32x4.mul(w2, b2), x2));
    q2B = f32x4.add(q2B, f32x4.mul(f32x4.mul(w2, b2), b2));
    const w3 = v128.load(p, W + 48);
    const a3 = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(highA));
    const b3 = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(highB));
    qxA = f32x4.add(qxA, f32x4.mul(f32x4.mul(w3, a3), x3));
    q2A = f32x4.add(q2A, f32x4.mul(f32x4.mul(w3, a3), a3));
    qxB = f32x4.add(qxB, f32x4.mul(f32x4.mul(w3, b3), x3));
    q2B = f32x4.add(q2B, f32x4.mul(f32x4.mul(w3, b3), b3));
  }
  if (first) {
    const scale = v128.and(f32x4.div(qxA, q2A), f32x4.gt(q2A, f32x4.splat(0)));
    v128.store(0, scale, SCALE);
    v128.store(0, f32x4.mul(scale, qxA), BEST);
  } else keepBetter(qxA, q2A);
  keepBetter(qxB, q2B);
}

// @ts-ignore: decorator
@inline
function keepBetter(qx: v128, q2: v128): void {
  const best = v128.load(0, BEST);
  const better = v128.and(f32x4.gt(q2, f32x4.splat(0)), f32x4.gt(f32x4.mul(qx, qx), f32x4.mul(best, q2)));
  const scale = f32x4.div(qx, q2);
  v128.store(0, v128.bitselect(f32x4.mul(scale, qx), best, better), BEST);
  v128.store(0, v128.bitselect(scale, v128.load(0, SCALE), better), SCALE);
}

/** From X and W to SCALE. */
export function searchScales(): void {
  let largest = f32x4.splat(0);
  let max = largest;
  for (let p: usize = 0; p < 512; p += 16) {
    const x = v128.load(p, X);
    const magnitude = f32x4.abs(x);
    max = v128.bitselect(x, max, f32x4.gt(magnitude, largest));
    largest = f32x4.pmax(largest, magnitude);
  }
  const filled = f32x4.ge(largest, f32x4.splat(TINY));
  if (!v128.any_true(filled)) {
    v128.store(0, f32x4.splat(0), SCALE);
    return;
  }
  v128.store(0, max, MAX);
  const positive = f32x4.div(f32x4.splat(1), f32x4.div(f32x4.neg(max), f32x4.splat(-127)));
  tryTwo(positive, f32x4.div(f32x4.splat(-134), max), true);
  for (let place: f32 = -133; place < -120; place += 2) tryPair(place);
  v128.store(0, v128.and(v128.load(0, SCALE), filled), SCALE);
}

/** A function of its own, called often, so that V8 soon replaces its first, slow code. */
function tryPair(place: f32): void {
  const max = v128.load(0, MAX);
  tryTwo(f32x4.div(f32x4.splat(place), max), f32x4.div(f32x4.splat(place + 1), max), false);
}

/** Sixteen bytes of two levels each, times a scale, to 32 float32. */
export function decodeLevels(bytes: usize, target: usize, scale: f32): void {
  const values = i8x16(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
  const nibbles = v128.load(bytes);
  storeScaled(target, i8x16.swizzle(values, v128.and(nibbles, i8x16.splat(15))), scale);
  storeScaled(target + 64, i8x16.swizzle(values, i8x16.shr_u(nibbles, 4)), scale);
}

/** Sixteen signed bytes times a scale, to sixteen float32. */
// @ts-ignore: decorator
@inline
function storeScaled(target: usize, bytes: v128, scale: f32): void {
  const factor = f32x4.splat(scale);
  const low = i16x8.extend_low_i8x16_s(bytes);
  const high = i16x8.extend_high_i8x16_s(bytes);
  v128.store(target, f32x4.mul(factor, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(low))));
  v128.store(target, f32x4.mul(factor, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(low))), 16);
  v128.store(target, f32x4.mul(factor, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(high))), 32);
  v128.store(target, f32x4.mul(factor, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(high))), 48);
}
