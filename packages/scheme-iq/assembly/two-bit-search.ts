// The entry nearest to eight weights: llama.cpp rounds x / scale to a point of the lattice and, if that is no entry,
// takes the candidate q of the point with the smallest
//
//   D(q) = Σ w (scale q − x)²,    w the root of the element's weight, all in single precision, in the order of the
//                                 coordinates; of equals the first in the list
//
// for each of 13 or 19 trial scales. Here most of that is settled in 16-bit integers.
//
// Scores. Let y = x / scale. Relative to a point all of 3s, D(q) / (4 scale²) changes in each coordinate by w (y − 2)
// at 1, by nothing at 3, by w (4 − y) at 5. With W = w · K these costs are rounded to integers and added: score(q).
// K = 32000 / Σ w (4 + |y|), with the largest y of all trials, keeps every sum of rounded costs below 32000 + 8 · ½ and
// so within 16 bits. Costs of pairs of coordinates form tables of eight entries of 16 bits, the ninth, (3, 3), being 0:
// one swizzle looks up eight candidates.
//
// Error. Rounding moves a score by at most 8 · ½, the difference of two by 8. llama.cpp's D̂ differs from D by at most
// u (10 |ρ| + 11 ρ²) w scale² in each coordinate, u = 2⁻²⁴, ρ = q − y: one rounding of scale · q, which ρ sees
// magnified by q / ρ ≤ 5 / ρ, twice, and 11 roundings of the term or of sums that contain it. In units of the score that
// is W u (10 |ρ| + 11 ρ²) / 4, and with |y| ≤ Y = 100, |ρ| ≤ |y| + 5 and Σ W (4 + |y|) ≤ 32000 the sum over the
// coordinates is below 2.75 u · 105 · 40000 + 2.5 u · 40000 < 0.7. The costs are computed in single precision from the
// inverse of the scale, itself rounded: relative errors of 4 u on sums of at most 32000, below 0.01. So if two scores
// differ by more than 8 + 2 · 0.7 + 0.02 < 10, D̂ differs in the same direction. All candidates within TIE = 10 of the
// smallest score are compared as llama.cpp does it. Underflow: one unit of the score is 4 scale² / K of D, kept above
// 1e-34 by `fixGroup`, where the smallest subnormal is 1.4e-45; overflow likewise.
//
// Left-out candidates (two-bit-lattice.ts). Candidate b crosses all thresholds from the point that a crosses, and more. If in
// each coordinate the computed |scale q − x| is no smaller for b than for a, so is each computed term, and, rounding
// being monotonic, each partial sum: D̂(b) ≥ D̂(a), and a comes first. A coordinate can break this only if x lies at the
// threshold 2 scale or 4 scale to within rounding, 40 u scale: where |y − 2| or |y − 4| is below SLACK = 1e-5, 168 u, all
// candidates are compared (`nearestOfAll`).
//
// Runs of trials. While trials round to the same point their candidates are the same, and every score is linear in
// 1 / scale. If the same candidate wins by more than TIE at both ends of a run, it does so in between.
import { nearestInt } from "@fewbit/assembly";
import { CODES, LISTS, LIST_BLOCK, MASKS, NEAREST, ON_GRID, ROWS, entriesAt, measure, numberOf, shellsOf, sizeOf } from "./two-bit-lattice";
import {
  BREAKS,
  FIRST,
  FITTED,
  FIXED,
  FIXED_BYTES,
  INVERSES,
  NEAR,
  ON_GRID_BIT,
  ROOT,
  SCALES,
  SCORES,
  STEPS,
  TABLES,
  WINNERS,
  X,
} from "./two-bit-scratch";

const TIE: i32 = 10;
const SLACK: f32 = 1e-5;
/** Beyond this |x / scale| everything is compared as llama.cpp does it. */
export const FAR: f32 = 100;
/** No candidate has a finite distance: llama.cpp gives up here. */
export const NONE: u32 = 0xffffffff;

// Constants that must come from memory: V8 would build a literal anew at every use in a loop.
const MAGIC: usize = memory.data<f32>([12582912, 12582912, 12582912, 12582912], 16);
const MAGIC_BITS: usize = memory.data<u32>([0x4b400000, 0x4b400000, 0x4b400000, 0x4b400000], 16);
const ODD_BYTES: usize = memory.data<u16>([0x100, 0x100, 0x100, 0x100, 0x100, 0x100, 0x100, 0x100], 16);

/** 3^j. */
const POWERS: usize = memory.data<u16>([1, 3, 9, 27, 81, 243, 729, 2187]);

/** D̂ of one entry. */
// @ts-ignore: decorator
@inline
function distanceTo(row: usize, x: usize, scale: f32): f32 {
  let sum: f32 = 0;
  for (let j: usize = 0; j < 32; j += 4) {
    const error: f32 = scale * load<f32>(row + j, ROWS) - load<f32>(x + j, X);
    sum += load<f32>(x + j, ROOT) * error * error;
  }
  return sum;
}

/**
 * The nearest entry as llama.cpp finds it, whatever the numbers: rounding, then all candidates.
 * @param x offset of eight elements in the super-block
 * @returns the entry, with ON_GRID_BIT if the point is one; or NONE
 */
export function nearestOfAll(lattice: usize, x: usize, inverse: f32, scale: f32): u32 {
  let mask: u32 = 0;
  for (let j: u32 = 0; j < 8; j++) {
    const level = nearestInt(<f32>0.5 * (inverse * load<f32>(x + (<usize>j << 2), X) - <f32>1));
    if (level >= 1) mask |= 1 << j;
    if (level >= 2) mask |= 256 << j;
  }
  const place = load<u32>(lattice + (<usize>numberOf(mask) << 2), NEAREST);
  if (place & ON_GRID) return (place & 0xffff) | ON_GRID_BIT;
  const entries = sizeOf(lattice);
  const shells = shellsOf(lattice);
  const distances = measure(lattice, mask);
  let best = f32.MAX_VALUE;
  let nearest = NONE;
  for (let shell: u32 = 0; shell < shells; shell++)
    for (let group: usize = 0; group < entries; group += 16)
      for (let bits = entriesAt((distances >> (8 * shell)) & 255, group); bits; bits &= bits - 1) {
        const entry = group + ctz(bits);
        const d = distanceTo(lattice + (entry << 5), x, scale);
        if (d < best) {
          best = d;
          nearest = <u32>entry;
        }
      }
  return nearest;
}

/**
 * Prepares the scores of a group, for inverse scales up to `highest`:
 *
 *   FIXED + 0, 16     W x          + 32, 48     2 W          + 64, 80     4 W
 *
 * @returns false if the numbers are too small or too large, or the weights zero: `nearestOfAll` must decide
 */
export function fixGroup(group: usize, x: usize, highest: f32): bool {
  const w0 = v128.load(x, ROOT);
  const w1 = v128.load(x, ROOT + 16);
  const x0 = v128.load(x, X);
  const x1 = v128.load(x, X + 16);
  const inverse = f32x4.splat(highest);
  const four = f32x4.splat(4);
  const sums = f32x4.add(
    f32x4.mul(w0, f32x4.add(four, f32x4.mul(inverse, f32x4.abs(x0)))),
    f32x4.mul(w1, f32x4.add(four, f32x4.mul(inverse, f32x4.abs(x1)))),
  );
  const pairs = f32x4.add(sums, v128.shuffle<i32>(sums, sums, 2, 3, 0, 1));
  const sum = f32x4.extract_lane(pairs, 0) + f32x4.extract_lane(pairs, 1);
  // Trial scales differ by less than 1.5, fitted ones by less than that again: four orders of magnitude are left.
  const square = highest * highest;
  if (!(sum > <f32>1e-30 && sum > <f32>1e-25 * square && sum < <f32>1e25 * square && square < <f32>1e37)) return false;
  const k = f32x4.splat(<f32>32000 / sum);
  const fixed0 = f32x4.mul(w0, k);
  const fixed1 = f32x4.mul(w1, k);
  const at = FIXED + group * FIXED_BYTES;
  v128.store(at, f32x4.mul(fixed0, x0));
  v128.store(at, f32x4.mul(fixed1, x1), 16);
  const double0 = f32x4.add(fixed0, fixed0);
  const double1 = f32x4.add(fixed1, fixed1);
  v128.store(at, double0, 32);
  v128.store(at, double1, 48);
  v128.store(at, f32x4.add(double0, double0), 64);
  v128.store(at, f32x4.add(double1, double1), 80);
  return true;
}

/**
 * The four tables of costs at one scale, a vector per pair of coordinates (p, p + 4):
 *
 *   i16     0       1       2       3       4       5       6       7
 *   levels  (0, 1)  (1, 0)  (0, 0)  (0, 2)  (2, 1)  (1, 2)  (2, 2)  (2, 0)
 */
// @ts-ignore: decorator
@inline
function makeTables(fixed: usize, inverse: f32, tables: usize): void {
  const magic = v128.load(MAGIC);
  const bits = v128.load(MAGIC_BITS);
  const splat = f32x4.splat(inverse);
  const y0 = f32x4.mul(splat, v128.load(fixed));
  const y1 = f32x4.mul(splat, v128.load(fixed, 16));
  const zero0 = i32x4.sub(f32x4.add(f32x4.sub(y0, v128.load(fixed, 32)), magic), bits);
  const zero1 = i32x4.sub(f32x4.add(f32x4.sub(y1, v128.load(fixed, 48)), magic), bits);
  const two0 = i32x4.sub(f32x4.add(f32x4.sub(v128.load(fixed, 64), y0), magic), bits);
  const two1 = i32x4.sub(f32x4.add(f32x4.sub(v128.load(fixed, 80), y1), magic), bits);
  const low = i16x8.narrow_i32x4_s(zero0, two0); // 0 and 2 of the coordinates 0 … 3
  const high = i16x8.narrow_i32x4_s(zero1, two1); // of 4 … 7
  const same = i16x8.add(low, high); // (0, 0), (2, 2)
  const mixed = i16x8.add(low, v128.shuffle<i64>(high, high, 1, 0)); // (0, 2), (2, 0)
  const zeros = v128.shuffle<i16>(low, high, 0, 8, 1, 9, 2, 10, 3, 11);
  const twos = v128.shuffle<i16>(low, high, 4, 12, 5, 13, 6, 14, 7, 15);
  const bothZeros = v128.shuffle<i16>(same, mixed, 0, 8, 1, 9, 2, 10, 3, 11);
  const bothTwos = v128.shuffle<i16>(same, mixed, 4, 12, 5, 13, 6, 14, 7, 15);
  const zeros01 = v128.shuffle<i32>(zeros, bothZeros, 0, 4, 1, 5);
  const zeros23 = v128.shuffle<i32>(zeros, bothZeros, 2, 6, 3, 7);
  const twos01 = v128.shuffle<i32>(twos, bothTwos, 0, 4, 1, 5);
  const twos23 = v128.shuffle<i32>(twos, bothTwos, 2, 6, 3, 7);
  v128.store(tables, v128.shuffle<i64>(zeros01, twos01, 0, 2));
  v128.store(tables, v128.shuffle<i64>(zeros01, twos01, 1, 3), 16);
  v128.store(tables, v128.shuffle<i64>(zeros23, twos23, 0, 2), 32);
  v128.store(tables, v128.shuffle<i64>(zeros23, twos23, 1, 3), 48);
}

/** What won, and whether by more than TIE. */
const UNIQUE: u32 = 0x10000;

/**
 * Scores the candidates of a list at the scales of two trials, which may be the same.
 * Leaves the scores in SCORES: sixteen i16 of trial a, sixteen of trial b, for each list block.
 * @returns the smallest of trial a in the low, of trial b in the high half
 */
function scoreTwo(list: usize, end: usize, fixed: usize, a: f32, b: f32): v128 {
  makeTables(fixed, a, TABLES);
  makeTables(fixed, b, TABLES + 64);
  const odd = v128.load(ODD_BYTES);
  let leastA = i16x8.splat(0x7fff);
  let leastB = i16x8.splat(0x7fff);
  for (let out = SCORES; list < end; list += LIST_BLOCK, out += 64) {
    let codes = v128.load(list);
    let low = v128.or(i8x16.shuffle(codes, codes, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), odd);
    let high = v128.or(i8x16.shuffle(codes, codes, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), odd);
    let table = v128.load(TABLES);
    let a0 = i8x16.swizzle(table, low);
    let a1 = i8x16.swizzle(table, high);
    table = v128.load(TABLES, 64);
    let b0 = i8x16.swizzle(table, low);
    let b1 = i8x16.swizzle(table, high);

    codes = v128.load(list, 16);
    low = v128.or(i8x16.shuffle(codes, codes, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), odd);
    high = v128.or(i8x16.shuffle(codes, codes, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), odd);
    table = v128.load(TABLES, 16);
    a0 = i16x8.add(a0, i8x16.swizzle(table, low));
    a1 = i16x8.add(a1, i8x16.swizzle(table, high));
    table = v128.load(TABLES, 80);
    b0 = i16x8.add(b0, i8x16.swizzle(table, low));
    b1 = i16x8.add(b1, i8x16.swizzle(table, high));

    codes = v128.load(list, 32);
    low = v128.or(i8x16.shuffle(codes, codes, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), odd);
    high = v128.or(i8x16.shuffle(codes, codes, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), odd);
    table = v128.load(TABLES, 32);
    a0 = i16x8.add(a0, i8x16.swizzle(table, low));
    a1 = i16x8.add(a1, i8x16.swizzle(table, high));
    table = v128.load(TABLES, 96);
    b0 = i16x8.add(b0, i8x16.swizzle(table, low));
    b1 = i16x8.add(b1, i8x16.swizzle(table, high));

    codes = v128.load(list, 48);
    low = v128.or(i8x16.shuffle(codes, codes, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), odd);
    high = v128.or(i8x16.shuffle(codes, codes, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), odd);
    table = v128.load(TABLES, 48);
    a0 = i16x8.add(a0, i8x16.swizzle(table, low));
    a1 = i16x8.add(a1, i8x16.swizzle(table, high));
    table = v128.load(TABLES, 112);
    b0 = i16x8.add(b0, i8x16.swizzle(table, low));
    b1 = i16x8.add(b1, i8x16.swizzle(table, high));

    v128.store(out, a0);
    v128.store(out, a1, 16);
    v128.store(out, b0, 32);
    v128.store(out, b1, 48);
    leastA = i16x8.min_s(leastA, i16x8.min_s(a0, a1));
    leastB = i16x8.min_s(leastB, i16x8.min_s(b0, b1));
  }
  let least = i16x8.min_s(v128.shuffle<i64>(leastA, leastB, 0, 2), v128.shuffle<i64>(leastA, leastB, 1, 3));
  least = i16x8.min_s(least, v128.shuffle<i32>(least, least, 1, 0, 3, 2));
  return i16x8.min_s(least, i32x4.shr_u(least, 16)); // the low halves of each word hold it
}

/** The address of a list's first block, from NEAREST. */
// @ts-ignore: decorator
@inline
function listAt(lattice: usize, place: u32): usize {
  return lattice + LISTS + LIST_BLOCK * <usize>(place >> 8);
}

// @ts-ignore: decorator
@inline
function candidate(list: usize, i: u32): u32 {
  return <u32>load<u16>(list + LIST_BLOCK * <usize>(i >> 4) + (<usize>(i & 15) << 1), CODES);
}

/** Which of sixteen candidates score no more than this. */
// @ts-ignore: decorator
@inline
function within(scores: usize, limit: v128, left: u32): u32 {
  const bits = i8x16.bitmask(
    i8x16.narrow_i16x8_s(i16x8.le_s(v128.load(scores), limit), i16x8.le_s(v128.load(scores, 16), limit)),
  );
  return left < 16 ? bits & ((1 << left) - 1) : bits;
}

/** The best candidate of those just scored, with UNIQUE if its score is by more than TIE the smallest. */
// @ts-ignore: decorator
@inline
function winner(lattice: usize, list: usize, count: u32, scores: usize, least: i32, x: usize, scale: f32): u32 {
  const limit = i16x8.splat(<i16>(least + TIE));
  let best: u32 = 0;
  let close: u32 = 0;
  for (let i: u32 = 0, at = scores; i < count; i += 16, at += 64) {
    const bits = within(at, limit, count - i);
    close += popcnt(bits);
    if (bits) best = i + ctz(bits);
  }
  return close == 1 ? candidate(list, best) | UNIQUE : nearestOfClose(lattice, list, count, scores, limit, x, scale);
}

/** Compares candidates with close scores as llama.cpp does it. */
function nearestOfClose(
  lattice: usize,
  list: usize,
  count: u32,
  scores: usize,
  limit: v128,
  x: usize,
  scale: f32,
): u32 {
  let best = f32.MAX_VALUE;
  let nearest: u32 = 0;
  for (let i: u32 = 0; i < count; i += 16, scores += 64)
    for (let bits = within(scores, limit, count - i); bits; bits &= bits - 1) {
      const entry = candidate(list, i + ctz(bits));
      const d = distanceTo(lattice + (<usize>entry << 5), x, scale);
      if (d < best) {
        best = d;
        nearest = entry;
      }
    }
  return nearest;
}

/** Bit t: the winner of trial t is known and unique. */
let uniques: u32 = 0;

function searchTwo(lattice: usize, place: u32, group: usize, x: usize, a: u32, b: u32): void {
  const list = listAt(lattice, place);
  const count = place & 255;
  const at = <usize>a << 2;
  const bt = <usize>b << 2;
  const end = list + LIST_BLOCK * <usize>((count + 15) >> 4);
  const least = scoreTwo(list, end, FIXED + group * FIXED_BYTES, load<f32>(at, INVERSES), load<f32>(bt, INVERSES));
  const first = winner(lattice, list, count, SCORES, i16x8.extract_lane_s(least, 0), x, load<f32>(at, SCALES));
  const second = winner(lattice, list, count, SCORES + 32, i16x8.extract_lane_s(least, 4), x, load<f32>(bt, SCALES));
  store<u16>((<usize>a << 3) + (group << 1), <u16>first, WINNERS);
  store<u16>((<usize>b << 3) + (group << 1), <u16>second, WINNERS);
  uniques |= (first >> 16) << a;
  uniques |= (second >> 16) << b;
}

/** Finds the winners of the trials between two that are done. */
function searchBetween(lattice: usize, place: u32, group: usize, x: usize, a: u32, b: u32): void {
  if (b - a < 2) return;
  const out = WINNERS + (group << 1);
  const won = load<u16>(out + (<usize>a << 3));
  if (won == load<u16>(out + (<usize>b << 3)) && ((uniques >> a) & (uniques >> b) & 1)) {
    for (let t = a + 1; t < b; t++) store<u16>(out + (<usize>t << 3), won);
    return;
  }
  const third = (b - a + 1) / 3;
  const c = a + third;
  const d = b - third;
  searchTwo(lattice, place, group, x, c, d);
  searchBetween(lattice, place, group, x, a, c);
  searchBetween(lattice, place, group, x, c, d);
  searchBetween(lattice, place, group, x, d, b);
}

/**
 * The winners of all trials of one group, after `findBreaks` and `fixGroup`.
 */
export function searchGroup(lattice: usize, group: usize, x: usize, trials: u32): void {
  const breaks = load<u32>(group << 2, BREAKS);
  const near = load<u32>(group << 2, NEAR);
  const steps = STEPS + (group << 6);
  const out = WINNERS + (group << 1);
  let number = load<u32>(group << 2, FIRST);
  uniques = 0;
  for (let t: u32 = 0, next: u32 = 0; t < trials; t = next) {
    number += <u32>load<u16>(steps + (<usize>t << 1));
    const later = breaks & (0xfffffffe << t);
    next = later ? ctz(later) : trials;
    const place = load<u32>(lattice + (<usize>number << 2), NEAREST);
    if (place & ON_GRID)
      for (let i = t; i < next; i++) store<u16>(out + (<usize>i << 3), <u16>(place | ON_GRID_BIT));
    else if ((near >> t) & ((1 << (next - t)) - 1))
      for (let i = t; i < next; i++) searchTrial(lattice, group, x, i);
    else {
      searchTwo(lattice, place, group, x, t, next - 1);
      searchBetween(lattice, place, group, x, t, next - 1);
    }
  }
}

/** Whether llama.cpp would have given up on this super-block. */
export let refused: bool = false;

export function acceptBlock(): void {
  refused = false;
}

export function refuseBlock(): void {
  refused = true;
}

/** The winner of one trial, whatever the numbers. */
export function searchTrial(lattice: usize, group: usize, x: usize, trial: u32): void {
  const at = <usize>trial << 2;
  const found = nearestOfAll(lattice, x, load<f32>(at, INVERSES), load<f32>(at, SCALES));
  if (found == NONE) refuseBlock();
  store<u16>((<usize>trial << 3) + (group << 1), found == NONE ? 0 : <u16>found, WINNERS);
}

/**
 * Where the points of two groups change from trial to trial: fills FIRST, BREAKS, NEAR and STEPS.
 *
 * A level rises from 0 to 1 where x · inverse > 2 and from 1 to 2 where it is ≥ 4: rounding of (y − 1) / 2 with ties to
 * even. Inverse scales grow from trial to trial, but not so much that an element could pass both thresholds.
 * @param group the first of the two
 * @param x offset of sixteen elements
 * @param span what the inverse scale of trial t is 5 + (t − trials / 2) / 10 parts of
 */
export function findBreaks(group: usize, x: usize, trials: u32, span: f32): void {
  const low = f32x4.splat(load<f32>(0, INVERSES));
  const high = f32x4.splat(load<f32>(<usize>(trials - 1) << 2, INVERSES));
  const above2 = f32x4.splat(<f32>2 + SLACK);
  const above4 = f32x4.splat(<f32>4 + SLACK);
  const below2 = f32x4.splat(<f32>2 - SLACK);
  const below4 = f32x4.splat(<f32>4 - SLACK);
  const x0 = v128.load(x, X);
  const x1 = v128.load(x, X + 16);
  const x2 = v128.load(x, X + 32);
  const x3 = v128.load(x, X + 48);
  let y0 = f32x4.mul(low, x0);
  let y1 = f32x4.mul(low, x1);
  let y2 = f32x4.mul(low, x2);
  let y3 = f32x4.mul(low, x3);
  const always2 = signs(f32x4.gt(y0, above2), f32x4.gt(y1, above2), f32x4.gt(y2, above2), f32x4.gt(y3, above2));
  const always4 = signs(f32x4.gt(y0, above4), f32x4.gt(y1, above4), f32x4.gt(y2, above4), f32x4.gt(y3, above4));
  y0 = f32x4.mul(high, x0);
  y1 = f32x4.mul(high, x1);
  y2 = f32x4.mul(high, x2);
  y3 = f32x4.mul(high, x3);
  const once2 = signs(f32x4.gt(y0, below2), f32x4.gt(y1, below2), f32x4.gt(y2, below2), f32x4.gt(y3, below2));
  const once4 = signs(f32x4.gt(y0, below4), f32x4.gt(y1, below4), f32x4.gt(y2, below4), f32x4.gt(y3, below4));
  const zero = i32x4.splat(0);
  const g = group << 2;
  store<u32>(g, numberOf((always2 & 255) | ((always4 & 255) << 8)), FIRST);
  store<u32>(g, numberOf((always2 >> 8) | (always4 & 0xff00)), FIRST + 4);
  store<u64>(g, 0, BREAKS);
  store<u64>(g, 0, NEAR);
  const s = group << 6;
  v128.store(s, zero, STEPS);
  v128.store(s, zero, STEPS + 16);
  v128.store(s, zero, STEPS + 32);
  v128.store(s, zero, STEPS + 64);
  v128.store(s, zero, STEPS + 80);
  v128.store(s, zero, STEPS + 96);
  const lowest = <f32>5 - <f32>0.1 * <f32>(trials >> 1);
  for (let bits = once2 & ~always2; bits; bits &= bits - 1) {
    const i = <usize>ctz(bits);
    const v = load<f32>(x + (i << 2), X);
    let t = guess(<f32>2 * span / v, lowest, trials);
    while (t < trials && !(load<f32>(<usize>t << 2, INVERSES) * v > <f32>2)) t++;
    while (t > 0 && load<f32>(<usize>(t - 1) << 2, INVERSES) * v > <f32>2) t--;
    passes(group, i, t, v, <f32>2, trials);
  }
  for (let bits = once4 & ~always4; bits; bits &= bits - 1) {
    const i = <usize>ctz(bits);
    const v = load<f32>(x + (i << 2), X);
    let t = guess(<f32>4 * span / v, lowest, trials);
    while (t < trials && !(load<f32>(<usize>t << 2, INVERSES) * v >= <f32>4)) t++;
    while (t > 0 && load<f32>(<usize>(t - 1) << 2, INVERSES) * v >= <f32>4) t--;
    passes(group, i, t, v, <f32>4, trials);
  }
}

// @ts-ignore: decorator
@inline
function signs(a: v128, b: v128, c: v128, d: v128): u32 {
  return i8x16.bitmask(i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d)));
}

/** About the first trial that passes; the caller corrects it. */
// @ts-ignore: decorator
@inline
function guess(needed: f32, lowest: f32, trials: u32): u32 {
  return <u32>max<i32>(0, min<i32>(<i32>trials, <i32>ceil<f32>((needed - lowest) * <f32>10)));
}

/** Element i passes a threshold in trial t. */
// @ts-ignore: decorator
@inline
function passes(group: usize, i: usize, t: u32, v: f32, threshold: f32, trials: u32): void {
  const g = group + (i >> 3);
  let near: u32 = 0;
  if (t < trials) {
    const at = STEPS + (g << 6) + (<usize>t << 1);
    store<u16>(at, load<u16>(at) + load<u16>(POWERS + ((i & 7) << 1)));
    store<u32>(g << 2, load<u32>(g << 2, BREAKS) | (1 << t), BREAKS);
    if (load<f32>(<usize>t << 2, INVERSES) * v - threshold < SLACK) near = 1 << t;
  }
  if (t > 0 && threshold - load<f32>(<usize>(t - 1) << 2, INVERSES) * v < SLACK) near |= 1 << (t - 1);
  if (near) store<u32>(g << 2, load<u32>(g << 2, NEAR) | near, NEAR);
}

/**
 * The nearest entry at one scale that was fitted.
 * @param highest up to which inverse scale the group is fixed; 0: not at all
 */
export function searchFitted(lattice: usize, group: usize, x: usize, inverse: f32, scale: f32, highest: f32): u32 {
  const splat = f32x4.splat(inverse);
  const two = f32x4.splat(2);
  const four = f32x4.splat(4);
  const slack = f32x4.splat(SLACK);
  const y0 = f32x4.mul(splat, v128.load(x, X));
  const y1 = f32x4.mul(splat, v128.load(x, X + 16));
  const near0 = f32x4.pmin(f32x4.abs(f32x4.sub(y0, two)), f32x4.abs(f32x4.sub(y0, four)));
  const near1 = f32x4.pmin(f32x4.abs(f32x4.sub(y1, two)), f32x4.abs(f32x4.sub(y1, four)));
  const far = f32x4.splat(FAR);
  const doubtful = v128.or(
    v128.or(f32x4.lt(near0, slack), f32x4.lt(near1, slack)),
    v128.or(f32x4.gt(f32x4.abs(y0), far), f32x4.gt(f32x4.abs(y1), far)),
  );
  if (v128.any_true(doubtful) || !(inverse <= highest || fixGroup(group, x, inverse)))
    return nearestOfAll(lattice, x, inverse, scale);
  const mask = signs(f32x4.gt(y0, two), f32x4.gt(y1, two), f32x4.ge(y0, four), f32x4.ge(y1, four));
  const place = load<u32>(lattice + (<usize>numberOf(mask) << 2), NEAREST);
  if (place & ON_GRID) return (place & 0xffff) | ON_GRID_BIT;
  store<f32>(FITTED << 2, inverse, INVERSES);
  store<f32>(FITTED << 2, scale, SCALES);
  searchTwo(lattice, place, group, x, FITTED, FITTED);
  return <u32>load<u16>((<usize>FITTED << 3) + (group << 1), WINNERS);
}
