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
  DISTINCT, EMPTY, ENTRIES, ENTRY_MASK, FIRSTS, HALF, HALVES, INVERSES, LARGEST, MAGIC, MARKS, NUMERATORS, PAIR_MASK,
  PER_INVERSE, REFUSED, ROOT, SCALES, SEVEN, SIGNS, SPANS, STATES, SUB_SCALES, SUMS_QQ, SUMS_QX, TRIALS_BYTES,
  VARIANCES, W, WINNERS, WINNERS_BYTES, WX, X,
} from "./three-bit-scratch";
import { searchOnce, searchOncePlainly } from "./three-bit-nearest";
import { offGrid, searchPlainly, searchTrials, settleBetween } from "./three-bit-runs";

/** `steps`: how far the trials reach to either side. */
export function makeThreeBitConstants(steps: i32): void {
  v128.store(0, f32x4.splat(0.5), HALF);
  v128.store(0, f32x4.splat(12582912.0), MAGIC);
  v128.store(0, i8x16.splat(7), SEVEN);
  v128.store(0, i32x4.splat(0x003f003f), PAIR_MASK);
  v128.store(0, i16x8.splat(511), ENTRY_MASK);
  memory.fill(WINNERS, 0, 32 * WINNERS_BYTES);
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

/** Fills W and ROOT: importance · √(variance + x²), with twice the mean square for the variance. */
export function weighImportance(source: usize, importance: usize, variance: f32): void {
  const floor = f32x4.splat(variance);
  for (let p: usize = 0; p < 1024; p += 16) {
    const x = v128.load(source + p);
    const w = f32x4.mul(v128.load(importance + p), f32x4.sqrt(f32x4.add(floor, f32x4.mul(x, x))));
    v128.store(p, w, W);
    v128.store(p, f32x4.sqrt(w), ROOT);
  }
}

/** VARIANCES of four super-blocks in a row, twice the mean square of each, summed in order. */
export function measureFour(source: usize): void {
  let sum = f32x4.splat(0);
  for (const end = source + 1024; source < end; source += 16) {
    const a = v128.load(source);
    const b = v128.load(source, 1024);
    const c = v128.load(source, 2048);
    const d = v128.load(source, 3072);
    const ab = v128.shuffle<f32>(a, b, 0, 4, 1, 5);
    const cd = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
    const ab2 = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
    const cd2 = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
    const x0 = v128.shuffle<f64>(ab, cd, 0, 2);
    const x1 = v128.shuffle<f64>(ab, cd, 1, 3);
    const x2 = v128.shuffle<f64>(ab2, cd2, 0, 2);
    const x3 = v128.shuffle<f64>(ab2, cd2, 1, 3);
    sum = f32x4.add(sum, f32x4.mul(x0, x0));
    sum = f32x4.add(sum, f32x4.mul(x1, x1));
    sum = f32x4.add(sum, f32x4.mul(x2, x2));
    sum = f32x4.add(sum, f32x4.mul(x3, x3));
  }
  v128.store(0, f32x4.div(f32x4.add(sum, sum), f32x4.splat(256)), VARIANCES);
}

/** The same of one super-block. */
export function measureOne(source: usize): void {
  let sum: f32 = 0;
  for (const end = source + 1024; source < end; source += 4) sum += load<f32>(source) * load<f32>(source);
  store<f32>(0, (sum + sum) / <f32>256, VARIANCES);
}

/** Splits the super-block into SIGNS and the magnitudes X. */
export function splitSigns(source: usize): void {
  for (let k: usize = 0; k < 32; k++) takeSigns(source + (k << 5), k, negatives(source + (k << 5)));
}

/** As `splitSigns`, with an even number of minus signs in every eight: the sign that costs least is turned. */
export function splitEvenSigns(source: usize): void {
  for (let k: usize = 0; k < 32; k++) {
    const x = source + (k << 5);
    const signs = negatives(x);
    // Always searched for: whether the number is odd cannot be predicted.
    takeSigns(x, k, signs ^ ((popcnt(signs) & 1) << leastCostly(x, k << 5)));
  }
}

/** A bit for each of eight elements below zero. */
// @ts-ignore: decorator
@inline
function negatives(x: usize): u32 {
  const zero = f32x4.splat(0);
  return i32x4.bitmask(f32x4.lt(v128.load(x), zero)) | (i32x4.bitmask(f32x4.lt(v128.load(x, 16), zero)) << 4);
}

/** The first of eight elements with the least w x x. */
// @ts-ignore: decorator
@inline
function leastCostly(x: usize, at: usize): u32 {
  const x0 = v128.load(x);
  const x1 = v128.load(x, 16);
  const a = f32x4.mul(f32x4.mul(v128.load(at, W), x0), x0);
  const b = f32x4.mul(f32x4.mul(v128.load(at, W + 16), x1), x1);
  if (!i32x4.all_true(v128.and(f32x4.eq(a, a), f32x4.eq(b, b)))) return leastCostlyOfAny(x, at);
  let least = f32x4.pmin(a, b);
  least = f32x4.pmin(least, v128.shuffle<f32>(least, least, 2, 3, 0, 1));
  least = f32x4.pmin(least, v128.shuffle<f32>(least, least, 1, 0, 3, 2));
  return ctz(i16x8.bitmask(i16x8.narrow_i32x4_s(f32x4.eq(a, least), f32x4.eq(b, least))));
}

/** The same with llama.cpp's comparisons, where some are NaN. */
function leastCostlyOfAny(x: usize, at: usize): u32 {
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
 * Finds scales and entries of the super-block in X and W, of two sub-blocks at a time: each step of the search has more
 * to do at once then.
 * @param floor a sub-block whose largest element is below is empty
 * @param all once a group is not on the grid, all groups are searched again; otherwise, only those that are not
 */
export function fitSubBlocks(lattice: usize, trials: usize, floor: f32, all: bool): void {
  for (let j: usize = 0; j < 8; j += 2) {
    measureSubBlock(j, trials, floor);
    measureSubBlock(j + 1, trials, floor);
    const firstSub = <usize>!(load<f32>(0, SPANS) > 0);
    const endSub: usize = load<f32>(4, SPANS) > 0 ? 2 : 1;
    if (firstSub < endSub) searchTrials(lattice, j << 7, firstSub, endSub, trials);
    fitSubBlock(lattice, j, trials, all);
    fitSubBlock(lattice, j + 1, trials, all);
  }
}

/** Notes SPANS and LARGEST, and trial scales unless the sub-block is empty. */
function measureSubBlock(j: usize, trials: usize, floor: f32): void {
  const at = j << 7;
  const sub = j & 1;
  const largest = maximum(at);
  const empty = largest < floor;
  store<u8>(j, <u8>empty, EMPTY);
  store<f32>(sub << 2, largest, LARGEST);
  store<f32>(sub << 2, empty ? -1 : regularSpan(at, largest), SPANS);
  if (!empty) makeScales(sub, largest, trials);
}

function fitSubBlock(lattice: usize, j: usize, trials: usize, all: bool): void {
  const at = j << 7;
  const sub = j & 1;
  const span = load<f32>(sub << 2, SPANS);
  if (span < 0) {
    store<f32>(j << 2, 0, SUB_SCALES);
    v128.store(j << 4, i32x4.splat(0), ENTRIES);
    return;
  }
  if (span == 0) searchPlainly(lattice, at, sub, trials);
  const best = bestChoice(lattice, at, sub, trials);
  let scale = load<f32>(sub << 2, LARGEST) / <f32>15;
  let off: u32 = all ? 255 : 0;
  let entries = i32x4.splat(0);
  if (best >= 0) {
    scale = load<f32>(best << 2, SUMS_QX) / load<f32>(best << 2, SUMS_QQ);
    off = offGrid(lattice, sub, trialOf(best));
    entries = v128.load(best << 4, DISTINCT);
  }
  v128.store(j << 4, entries, ENTRIES);
  if (off && scale > 0) {
    const groups = all ? 255 : off;
    if (span > 0 && span < scale * 1e6)
      searchAgain(lattice, j, scale, groups & ~settleBetween(scale, trials, j, groups));
    else searchAgainPlainly(lattice, j, scale, groups);
    // With the entries that the scale was fitted to, it stays.
    if (best < 0 || v128.any_true(v128.xor(v128.load(j << 4, ENTRIES), entries))) scale = fitScale(lattice, j, scale);
  }
  if (scale < 0) {
    scale = -scale;
    store<u32>(j << 2, ~load<u32>(j << 2, SIGNS), SIGNS);
  }
  if (scale != scale) store<u32>(0, 1, REFUSED);
  store<f32>(j << 2, scale, SUB_SCALES);
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
    fine = v128.and(fine, f32x4.lt(v128.load(p, ROOT), f32x4.splat(1e10)));
  }
  span = f32x4.pmax(span, v128.shuffle<f32>(span, span, 2, 3, 0, 1));
  span = f32x4.pmax(span, v128.shuffle<f32>(span, span, 1, 0, 3, 2));
  const most = f32x4.extract_lane(span, 0);
  return i32x4.all_true(fine) && largest > <f32>1e-25 && most < largest * 1e5 && most < 1e10 ? most : 0;
}

/** The last trial repeats up to a multiple of four. */
// @ts-ignore: decorator
@inline
function makeScales(sub: usize, largest: f32, trials: usize): void {
  const max = f32x4.splat(largest);
  const to = sub * TRIALS_BYTES;
  for (let p: usize = 0; p < trials << 2; p += 16) {
    const inverse = f32x4.div(v128.load(p, NUMERATORS), max);
    v128.store(to + p, inverse, INVERSES);
    v128.store(to + p, f32x4.mul(f32x4.splat(0.5), inverse), HALVES);
    v128.store(to + p, f32x4.div(f32x4.splat(1), inverse), SCALES);
  }
  store<f32>(sub << 2, <f32>1 / (load<f32>(to, INVERSES + 4) - load<f32>(to, INVERSES)), PER_INVERSE);
}

/**
 * Lists the distinct choices of entries, and finds the best: returns its place, or -1 if there is none.
 *
 * llama.cpp accepts a trial if (Σ w x q)² > best · Σ w q q, and then sets best = scale · Σ w x q. Trials that lead to
 * the same entries follow each other and have the same sums.
 */
function bestChoice(lattice: usize, at: usize, sub: usize, trials: usize): i32 {
  const count = listDistinct(sub, trials);
  for (let d: usize = 0; d < count; d += 4) sumFour(lattice + ROWS, at, d);
  let found = -1;
  let best: f32 = 0;
  for (let d: usize = 0; d < count; d++) {
    const qx = load<f32>(d << 2, SUMS_QX);
    const qq = load<f32>(d << 2, SUMS_QQ);
    if (!(qq > 0 && qx * qx > best * qq)) continue;
    best = (qx / qq) * qx;
    found = <i32>d;
  }
  return found;
}

/** Returns how many there are; the last is repeated up to a multiple of four. Fills STATES and empties WINNERS. */
function listDistinct(sub: usize, trials: usize): usize {
  const mask = v128.load(0, ENTRY_MASK);
  const zero = i32x4.splat(0);
  let state = zero;
  let before = i32x4.splat(-1);
  let count: usize = 0;
  let to = STATES;
  for (let left = load<u32>(sub << 2, MARKS); left; left &= left - 1, to += 16) {
    const t = <usize>ctz(left);
    const row = t * WINNERS_BYTES + (sub << 4);
    const written = v128.load(row, WINNERS);
    v128.store(row, zero, WINNERS);
    state = v128.bitselect(state, written, i16x8.eq(written, zero));
    v128.store(to, state);
    const entries = v128.and(state, mask);
    // Always written, counted if it differs: a branch would often be mispredicted.
    v128.store(count << 4, entries, DISTINCT);
    store<u8>(count, <u8>t, FIRSTS);
    count += <usize>v128.any_true(v128.xor(entries, before));
    before = entries;
  }
  store<u8>(count, <u8>trials, FIRSTS);
  for (let d = count; d & 3; d++) v128.store(d << 4, before, DISTINCT);
  return count;
}

/**
 * The trial that llama.cpp takes of those that lead to choice d. They have equal sums, so that the first counts, or, if
 * rounding makes a choice better than itself, the last: they may differ in whether groups are on the grid.
 */
function trialOf(d: usize): usize {
  const qx = load<f32>(d << 2, SUMS_QX);
  const qq = load<f32>(d << 2, SUMS_QQ);
  return qx * qx > (qx / qq) * qx * qq ? <usize>load<u8>(d, FIRSTS + 1) - 1 : load<u8>(d, FIRSTS);
}

/** Sums over the sub-block for choices d … d + 3, one in each lane. */
function sumFour(rows: usize, at: usize, d: usize): void {
  let qx = f32x4.splat(0);
  let qq = f32x4.splat(0);
  const first = d << 4;
  for (let g: usize = 0; g < 8; g++) {
    const from = first + (g << 1);
    const a = v128.load(rows + (<usize>load<u16>(from, DISTINCT) << 4));
    const b = v128.load(rows + (<usize>load<u16>(from, DISTINCT + 16) << 4));
    const c = v128.load(rows + (<usize>load<u16>(from, DISTINCT + 32) << 4));
    const e = v128.load(rows + (<usize>load<u16>(from, DISTINCT + 48) << 4));
    const ab = v128.shuffle<f32>(a, b, 0, 4, 1, 5);
    const cd = v128.shuffle<f32>(c, e, 0, 4, 1, 5);
    const ab2 = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
    const cd2 = v128.shuffle<f32>(c, e, 2, 6, 3, 7);
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
  v128.store(d << 2, qx, SUMS_QX);
  v128.store(d << 2, qq, SUMS_QQ);
}

/** Gives each of these groups the entry nearest under this scale. */
function searchAgain(lattice: usize, j: usize, scale: f32, groups: u32): void {
  for (; groups; groups &= groups - 1) {
    const g = <usize>ctz(groups);
    store<u16>((j << 4) + (g << 1), <u16>searchOnce(lattice, (j << 7) + (g << 4), scale), ENTRIES);
  }
}

function searchAgainPlainly(lattice: usize, j: usize, scale: f32, groups: u32): void {
  for (; groups; groups &= groups - 1) {
    const g = <usize>ctz(groups);
    store<u16>((j << 4) + (g << 1), <u16>searchOncePlainly(lattice, (j << 7) + (g << 4), scale), ENTRIES);
  }
}

/** The scale that suits the entries of a sub-block best, unless all its weights are zero. */
function fitScale(lattice: usize, j: usize, scale: f32): f32 {
  const entries = v128.load(j << 4, ENTRIES);
  for (let p: usize = 0; p < 64; p += 16) v128.store(p, entries, DISTINCT);
  sumFour(lattice + ROWS, j << 7, 0);
  const qq = load<f32>(0, SUMS_QQ);
  return qq > 0 ? load<f32>(0, SUMS_QX) / qq : scale;
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
