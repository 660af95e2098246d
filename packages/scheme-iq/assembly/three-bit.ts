// What IQ3_XXS and IQ3_S share: 256 weights are eight sub-blocks of eight groups of four; magnitudes of a group are an
// entry of the codebook times the scale of the sub-block.
//
//   trials     the largest magnitude goes to 15 + 0.2 t, t = −15 … 15 or −9 … 9, and each group to the nearest entry
//   best       the trial with the largest (Σ w x q)² / Σ w q², compared without a division as llama.cpp does;
//              its scale is Σ w x q / Σ w q²
//   again      groups go to the entry nearest under that scale, which is then fitted again
//
// Sums run over the elements in order in every lane, and lanes hold four trials.
import { nearestInt } from "@fewbit/assembly";
import { ROWS } from "./three-bit-lattice";
import {
  EMPTY, ENTRIES, FITTED, HALF, HALVES, INVERSES, MAGIC, NUMERATORS, PAIR_MASK, REFUSED, ROOT, SCALES, SEVEN, SIGNS,
  SUB_SCALES, SUMS_QQ, SUMS_QX, W, WINNERS, WX, X,
} from "./three-bit-scratch";
import { offGrid, searchOnce, searchOncePlainly, searchPlainly, searchTrials } from "./three-bit-search";

/** `steps`: how far the trials reach to either side. */
export function makeThreeBitConstants(steps: i32): void {
  v128.store(0, f32x4.splat(0.5), HALF);
  v128.store(0, f32x4.splat(12582912.0), MAGIC);
  v128.store(0, i8x16.splat(7), SEVEN);
  v128.store(0, i32x4.splat(0x003f003f), PAIR_MASK);
  for (let t: i32 = 0; t < 32; t++)
    store<f32>(<usize>t << 2, <f32>15 + <f32>(min(t, 2 * steps) - steps) * <f32>0.2, NUMERATORS);
}

/** Fills W and ROOT: without importance an error counts by the element's square. */
export function weighSquares(source: usize): void {
  for (let p: usize = 0; p < 1024; p += 16) {
    const x = v128.load(source + p);
    const w = f32x4.mul(x, x);
    v128.store(p, w, W);
    v128.store(p, f32x4.sqrt(w), ROOT);
  }
}

/** Fills W and ROOT: importance · √(twice the mean square + x²). */
export function weighImportance(source: usize, importance: usize): void {
  let sum: f32 = 0;
  for (let p: usize = 0; p < 1024; p += 4) sum += load<f32>(source + p) * load<f32>(source + p);
  const variance = f32x4.splat((sum + sum) / <f32>256);
  for (let p: usize = 0; p < 1024; p += 16) {
    const x = v128.load(source + p);
    const w = f32x4.mul(v128.load(importance + p), f32x4.sqrt(f32x4.add(variance, f32x4.mul(x, x))));
    v128.store(p, w, W);
    v128.store(p, f32x4.sqrt(w), ROOT);
  }
}

/** Splits the super-block into SIGNS and the magnitudes X. */
export function splitSigns(source: usize): void {
  for (let k: usize = 0; k < 32; k++) takeSigns(source + (k << 5), k, negatives(source + (k << 5)));
}

/** As `splitSigns`, with an even number of minus signs in every eight: the sign that costs least is turned. */
export function splitEvenSigns(source: usize): void {
  for (let k: usize = 0; k < 32; k++) {
    const x = source + (k << 5);
    let signs = negatives(x);
    if (popcnt(signs) & 1) signs ^= 1 << leastCostly(x, k << 5);
    takeSigns(x, k, signs);
  }
}

/** A bit for each of eight elements below zero. */
// @ts-ignore: decorator
@inline
function negatives(x: usize): u32 {
  const zero = f32x4.splat(0);
  return i32x4.bitmask(f32x4.lt(v128.load(x), zero)) | (i32x4.bitmask(f32x4.lt(v128.load(x, 16), zero)) << 4);
}

function leastCostly(x: usize, at: usize): u32 {
  let found: u32 = 0;
  let least: f32 = 0;
  for (let i: u32 = 0; i < 8; i++) {
    const p = <usize>i << 2;
    const cost = load<f32>(at + p, W) * load<f32>(x + p) * load<f32>(x + p);
    if (i > 0 && !(cost < least)) continue;
    least = cost;
    found = i;
  }
  return found;
}

// @ts-ignore: decorator
@inline
function takeSigns(x: usize, k: usize, signs: u32): void {
  store<u8>(k, <u8>signs, SIGNS);
  for (let p: usize = 0; p < 32; p += 16, signs >>>= 4) {
    const at = (k << 5) + p;
    const magnitude = v128.xor(v128.load(x + p), signMask(signs));
    v128.store(at, magnitude, X);
    v128.store(at, f32x4.mul(v128.load(at, W), magnitude), WX);
  }
}

/** The sign bit of every lane whose bit is set. */
// @ts-ignore: decorator
@inline
export function signMask(signs: u32): v128 {
  const clear = i32x4.eq(v128.and(i32x4.splat(signs), i32x4(1, 2, 4, 8)), i32x4.splat(0));
  return v128.andnot(i32x4.splat(0x80000000), clear);
}

/**
 * Finds scale and entries of sub-block j of the super-block in X and W.
 * @param floor a sub-block whose largest element is below is empty
 * @param all once a group is not on the grid, all groups are searched again; otherwise, only those that are not
 */
export function fitSubBlock(lattice: usize, j: usize, trials: usize, floor: f32, all: bool): void {
  const at = j << 7;
  const largest = maximum(at);
  const empty = largest < floor;
  store<u8>(j, <u8>empty, EMPTY);
  if (empty) {
    store<f32>(j << 2, 0, SUB_SCALES);
    v128.store(j << 4, i32x4.splat(0), ENTRIES);
    return;
  }
  makeScales(largest, trials);
  const span = regularSpan(at, largest);
  if (span > 0) searchTrials(lattice, at, trials);
  else searchPlainly(lattice, at, trials);
  const best = bestTrial(lattice, at, trials);
  let scale = largest / <f32>15;
  if (best >= 0) scale = load<f32>(best << 2, SUMS_QX) / load<f32>(best << 2, SUMS_QQ);
  v128.store(FITTED << 4, best < 0 ? i32x4.splat(0) : v128.load(best << 4, WINNERS), WINNERS);
  const off = best < 0 ? (all ? 255 : 0) : offGrid(lattice, best);
  if (off && scale > 0) scale = fitAgain(lattice, at, scale, all ? 255 : off, span > 0 && span < scale * 1e6);
  if (scale < 0) {
    scale = -scale;
    store<u32>(j << 2, ~load<u32>(j << 2, SIGNS), SIGNS);
  }
  if (scale != scale) store<u32>(0, 1, REFUSED);
  store<f32>(j << 2, scale, SUB_SCALES);
  v128.store(j << 4, v128.load(FITTED << 4, WINNERS), ENTRIES);
}

// @ts-ignore: decorator
@inline
function maximum(at: usize): f32 {
  let max = v128.load(at, X);
  for (let p = at + 16; p < at + 128; p += 16) max = f32x4.pmax(max, v128.load(p, X));
  max = f32x4.pmax(max, v128.shuffle<f32>(max, max, 2, 3, 0, 1));
  max = f32x4.pmax(max, v128.shuffle<f32>(max, max, 1, 0, 3, 2));
  return f32x4.extract_lane(max, 0);
}

/**
 * The largest |x| of a sub-block whose numbers are within bounds for the fast search: squares, products and sums are
 * finite, and x / scale is small enough for rounding. Otherwise 0.
 */
function regularSpan(at: usize, largest: f32): f32 {
  let span = f32x4.splat(0);
  let fine = i32x4.splat(-1);
  for (let p = at; p < at + 128; p += 16) {
    span = f32x4.pmax(span, f32x4.abs(v128.load(p, X)));
    fine = v128.and(fine, f32x4.lt(v128.load(p, W), f32x4.splat(1e20)));
  }
  span = f32x4.pmax(span, v128.shuffle<f32>(span, span, 2, 3, 0, 1));
  span = f32x4.pmax(span, v128.shuffle<f32>(span, span, 1, 0, 3, 2));
  const most = f32x4.extract_lane(span, 0);
  return i32x4.all_true(fine) && largest > <f32>1e-25 && most < largest * 1e5 && most < 1e10 ? most : 0;
}

/** The last trial repeats up to a multiple of four. */
// @ts-ignore: decorator
@inline
function makeScales(largest: f32, trials: usize): void {
  const max = f32x4.splat(largest);
  for (let p: usize = 0; p < trials << 2; p += 16) {
    const inverse = f32x4.div(v128.load(p, NUMERATORS), max);
    v128.store(p, inverse, INVERSES);
    v128.store(p, f32x4.mul(f32x4.splat(0.5), inverse), HALVES);
    v128.store(p, f32x4.div(f32x4.splat(1), inverse), SCALES);
  }
}

/** The best trial, or -1 if there is none. */
function bestTrial(lattice: usize, at: usize, trials: usize): i32 {
  for (let t = trials; t & 3; t++) v128.store(t << 4, v128.load(t << 4, WINNERS - 16), WINNERS);
  for (let t: usize = 0; t < trials; t += 4) sumFour(lattice + ROWS, at, t);
  let found = -1;
  let best: f32 = 0;
  for (let t: usize = 0; t < trials; t++) {
    const qx = load<f32>(t << 2, SUMS_QX);
    const qq = load<f32>(t << 2, SUMS_QQ);
    if (!(qq > 0 && qx * qx > best * qq)) continue;
    best = (qx / qq) * qx;
    found = <i32>t;
  }
  return found;
}

/** Sums over the sub-block for the winners of four trials, one in each lane. */
function sumFour(rows: usize, at: usize, t: usize): void {
  let qx = f32x4.splat(0);
  let qq = f32x4.splat(0);
  const first = t << 4;
  for (let g: usize = 0; g < 8; g++) {
    const winner = first + (g << 1);
    const a = v128.load(rows + (<usize>load<u16>(winner, WINNERS) << 4));
    const b = v128.load(rows + (<usize>load<u16>(winner, WINNERS + 16) << 4));
    const c = v128.load(rows + (<usize>load<u16>(winner, WINNERS + 32) << 4));
    const d = v128.load(rows + (<usize>load<u16>(winner, WINNERS + 48) << 4));
    const ab = v128.shuffle<f32>(a, b, 0, 4, 1, 5);
    const cd = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
    const ab2 = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
    const cd2 = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
    const q0 = v128.shuffle<f64>(ab, cd, 0, 2);
    const q1 = v128.shuffle<f64>(ab, cd, 1, 3);
    const q2 = v128.shuffle<f64>(ab2, cd2, 0, 2);
    const q3 = v128.shuffle<f64>(ab2, cd2, 1, 3);
    const p = at + (g << 4);
    qx = f32x4.add(qx, f32x4.mul(v128.load32_splat(p, WX), q0));
    qq = f32x4.add(qq, f32x4.mul(f32x4.mul(v128.load32_splat(p, W), q0), q0));
    qx = f32x4.add(qx, f32x4.mul(v128.load32_splat(p, WX + 4), q1));
    qq = f32x4.add(qq, f32x4.mul(f32x4.mul(v128.load32_splat(p, W + 4), q1), q1));
    qx = f32x4.add(qx, f32x4.mul(v128.load32_splat(p, WX + 8), q2));
    qq = f32x4.add(qq, f32x4.mul(f32x4.mul(v128.load32_splat(p, W + 8), q2), q2));
    qx = f32x4.add(qx, f32x4.mul(v128.load32_splat(p, WX + 12), q3));
    qq = f32x4.add(qq, f32x4.mul(f32x4.mul(v128.load32_splat(p, W + 12), q3), q3));
  }
  v128.store(t << 2, qx, SUMS_QX);
  v128.store(t << 2, qq, SUMS_QQ);
}

/** Gives each of these groups the entry nearest under this scale. Returns the scale that suits best then. */
function fitAgain(lattice: usize, at: usize, scale: f32, groups: u32, regular: bool): f32 {
  for (; groups; groups &= groups - 1) {
    const g = <usize>ctz(groups);
    const group = at + (g << 4);
    const entry = regular ? searchOnce(lattice, group, scale) : searchOncePlainly(lattice, group, scale);
    store<u16>(g << 1, <u16>entry, WINNERS + (FITTED << 4));
  }
  const entries = v128.load(FITTED << 4, WINNERS);
  for (let p: usize = 16; p < 64; p += 16) v128.store(p, entries, WINNERS + (FITTED << 4));
  sumFour(lattice + ROWS, at, FITTED);
  const qq = load<f32>(FITTED << 2, SUMS_QQ);
  return qq > 0 ? load<f32>(FITTED << 2, SUMS_QX) / qq : scale;
}

/** Of the super-block's eight sub-blocks. */
export function largestScale(): f32 {
  let largest: f32 = 0;
  for (let p: usize = 0; p < 32; p += 4) {
    const scale = load<f32>(p, SUB_SCALES);
    largest = largest > scale ? largest : scale;
  }
  return largest;
}

/** The level l of a sub-block's scale, which stands for 2 l + 1 steps. */
// @ts-ignore: decorator
@inline
export function scaleLevel(j: usize, inverse: f32): u32 {
  return max(0, min(15, nearestInt(<f32>0.5 * (inverse * load<f32>(j << 2, SUB_SCALES) - <f32>1))));
}

/** The low bytes of a sub-block's entries. */
// @ts-ignore: decorator
@inline
export function entryBytes(j: usize): u64 {
  const low = v128.and(v128.load(j << 4, ENTRIES), i16x8.splat(255));
  return i64x2.extract_lane(i8x16.narrow_i16x8_u(low, low), 0);
}

/** A bit for each of a sub-block's entries from 256 up. */
// @ts-ignore: decorator
@inline
export function entryBits(j: usize): u32 {
  return i16x8.bitmask(i16x8.shl(v128.load(j << 4, ENTRIES), 7));
}
