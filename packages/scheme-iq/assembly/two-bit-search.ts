// The entry nearest to eight weights: llama.cpp rounds x / scale to a point of the lattice and, if that is no entry,
// takes the candidate q of the point with the smallest
//
//   D(q) = Σ w (scale q − x)²,    w the root of the element's weight, all in single precision, in the order of the
//                                 coordinates; of equals the first in the list
//
// for each of 13 or 19 trial scales. Here most of that is settled in 16-bit integers.
//
// Scores. Let y = x / scale. Relative to a point all of 3s, D(q) / (4 scale²) changes in each coordinate by w (y − 2)
// at 1, by nothing at 3, by w (4 − y) at 5. These costs, with W = K w for w, are added for pairs of coordinates and
// rounded to integers: a table per pair of eight entries of 16 bits, the ninth, (3, 3), being 0. One swizzle looks up
// eight candidates. The sum over the pairs, less the sum of the smallest costs of each coordinate, is the score:
// what q costs beyond the point that y rounds to, from 0 to Σ W β, β = max(6, |2 y − 6|) being the most that a
// coordinate can cost beyond its smallest. K = 65000 / Σ w β, β with the y of the smallest trial scale, keeps scores
// within 16 bits, and sums may wrap on the way.
//
// Error. Rounding moves a score by at most 4 · ½, the difference of two by 4. llama.cpp's D̂ differs from D by at most
// u (10 |ρ| + 11 ρ²) w scale² in each coordinate, u = 2⁻²⁴, ρ = q − y: one rounding of scale · q, which ρ sees
// magnified by q / |ρ| ≤ 5 / |ρ|, twice, and 11 roundings of the term or of sums that contain it. In units of the score
// that is W u (10 |ρ| + 11 ρ²) / 4. With |ρ| ≤ |y − 3| + 2 ≤ 5 β / 6, with |y| ≤ FAR = 30 and so |ρ| ≤ 35, and with
// Σ W β ≤ 65000, the sum over the coordinates is below 2.75 u · 35 · 54167 + 2.5 u · 54167 < 0.33. The costs are computed
// in single precision from the inverse of the scale, itself rounded: less than 10 u Σ W (|y| + 4) < 0.06. So if two
// scores differ by 5 > 4 + 2 · 0.33 + 2 · 0.06, D̂ differs in the same direction. All candidates within TIE = 4 of the
// smallest score are compared as llama.cpp does it. Underflow: one unit of the score is 4 scale² / K of D, which
// `fixGroup` keeps above 1e-30, where the smallest subnormal is 1.4e-45; overflow likewise.
//
// Left-out candidates (two-bit-lattice.ts). Candidate b crosses all thresholds from the point that a crosses, and more.
// Each further threshold, 2 or 4 in one coordinate, costs W |y − 2| or W |y − 4|. If these are at least 1 the difference
// of D exceeds the error of D̂, 2 · 0.33 + 2 · 0.06. Sums of levels are even for all entries of the two codebooks that are
// searched in two shells, so b crosses two more thresholds at least: only where two of the sixteen thresholds of a group
// cost less than CLOSE = 1 are all candidates compared (`nearestOfAll`).
//
// Runs of trials. While trials round to the same point their candidates are the same, and every score and the cost of
// every threshold is linear in 1 / scale. If the same candidate wins by more than TIE at both ends of a run, it does so
// in between; if a threshold costs less than CLOSE in between, it does so at one end.
import { nearestInt } from "@fewbit/assembly";
import { CODES, LISTS, LIST_BLOCK, MASKS, NEAREST, ON_GRID, ROWS, entriesAt, measure, numberOf, shellsOf, sizeOf } from "./two-bit-lattice";
import {
  BREAKS,
  FIRST,
  FITTED,
  FIXED,
  FIXED_BYTES,
  INVERSES,
  ON_GRID_BIT,
  ROOT,
  SCALES,
  SCORES,
  STEPS,
  TABLES,
  UNIQUES,
  WINNERS,
  X,
} from "./two-bit-scratch";

const TIE: i32 = 4;
const CLOSE: f32 = 1;
/** Beyond this |x / scale| everything is compared as llama.cpp does it. */
export const FAR: f32 = 30;
/** No candidate has a finite distance: llama.cpp gives up here. */
export const NONE: u32 = 0xffffffff;

// Constants that must come from memory: V8 would build a literal anew at every use in a loop.
const MAGIC: usize = memory.data<f32>([12582912, 12582912, 12582912, 12582912], 16);
const LOW_HALVES: usize = memory.data<u32>([0xffff, 0xffff, 0xffff, 0xffff], 16);
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
  const six = f32x4.splat(6);
  const twice = f32x4.splat(highest + highest);
  const beyond0 = f32x4.pmax(six, f32x4.abs(f32x4.sub(f32x4.mul(twice, x0), six)));
  const beyond1 = f32x4.pmax(six, f32x4.abs(f32x4.sub(f32x4.mul(twice, x1), six)));
  const sums = f32x4.add(f32x4.mul(w0, beyond0), f32x4.mul(w1, beyond1));
  const pairs = f32x4.add(sums, v128.shuffle<i32>(sums, sums, 2, 3, 0, 1));
  const sum = f32x4.extract_lane(pairs, 0) + f32x4.extract_lane(pairs, 1);
  // Trial scales differ by less than 1.5, fitted ones by less than that again: four orders of magnitude are left.
  const square = highest * highest;
  if (!(sum > <f32>1e-30 && sum > <f32>1e-25 * square && sum < <f32>1e25 * square && square < <f32>1e37)) return false;
  const k = f32x4.splat(<f32>65000 / sum);
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

/** Bytes of the tables of one scale. */
const TABLES_BYTES: usize = 5 * 16;

/** The low halves of numbers rounded by `magic`, of a in the lower, of b in the upper lanes. */
// @ts-ignore: decorator
@inline
function integers(a: v128, b: v128, magic: v128, low: v128): v128 {
  return i16x8.narrow_i32x4_u(v128.and(f32x4.add(a, magic), low), v128.and(f32x4.add(b, magic), low));
}

/**
 * The four tables of costs at one scale, a vector per pair of coordinates (p, p + 4):
 *
 *   i16     0       1       2       3       4       5       6       7
 *   levels  (0, 1)  (1, 0)  (0, 0)  (0, 2)  (2, 1)  (1, 2)  (2, 2)  (2, 0)
 *
 * and a fifth vector: what to add to all sums of them, 8 less the sum of the smallest costs.
 */
// @ts-ignore: decorator
@inline
function makeTables(fixed: usize, inverse: f32, tables: usize): void {
  const magic = v128.load(MAGIC);
  const low = v128.load(LOW_HALVES);
  const splat = f32x4.splat(inverse);
  const y0 = f32x4.mul(splat, v128.load(fixed));
  const y1 = f32x4.mul(splat, v128.load(fixed, 16));
  const a0 = f32x4.sub(y0, v128.load(fixed, 32)); // level 0
  const a1 = f32x4.sub(y1, v128.load(fixed, 48));
  const b0 = f32x4.sub(v128.load(fixed, 64), y0); // level 2
  const b1 = f32x4.sub(v128.load(fixed, 80), y1);
  const first = integers(a0, b0, magic, low);
  const second = integers(a1, b1, magic, low);
  const same = integers(f32x4.add(a0, a1), f32x4.add(b0, b1), magic, low);
  const mixed = integers(f32x4.add(a0, b1), f32x4.add(b0, a1), magic, low);
  const zeros = v128.shuffle<i16>(first, second, 0, 8, 1, 9, 2, 10, 3, 11);
  const twos = v128.shuffle<i16>(first, second, 4, 12, 5, 13, 6, 14, 7, 15);
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
  const zero = f32x4.splat(0);
  let least = f32x4.add(f32x4.pmin(f32x4.pmin(a0, b0), zero), f32x4.pmin(f32x4.pmin(a1, b1), zero));
  least = f32x4.add(least, v128.shuffle<i32>(least, least, 2, 3, 0, 1));
  least = f32x4.add(least, v128.shuffle<i32>(least, least, 1, 0, 3, 2));
  const halves = v128.and(f32x4.add(least, magic), low);
  v128.store(tables, i16x8.sub(i16x8.splat(8), v128.or(halves, i32x4.shl(halves, 16))), 64);
}

/** Whether more than one threshold costs less than CLOSE at one of two scales. */
function hasClose(fixed: usize, a: f32, b: f32): bool {
  return popcnt(closeThresholds(fixed, a) | closeThresholds(fixed, b)) > 1;
}

// @ts-ignore: decorator
@inline
function closeThresholds(fixed: usize, inverse: f32): u32 {
  const close = f32x4.splat(CLOSE);
  const splat = f32x4.splat(inverse);
  const y0 = f32x4.mul(splat, v128.load(fixed));
  const y1 = f32x4.mul(splat, v128.load(fixed, 16));
  return signs(
    f32x4.lt(f32x4.abs(f32x4.sub(y0, v128.load(fixed, 32))), close),
    f32x4.lt(f32x4.abs(f32x4.sub(y1, v128.load(fixed, 48))), close),
    f32x4.lt(f32x4.abs(f32x4.sub(v128.load(fixed, 64), y0)), close),
    f32x4.lt(f32x4.abs(f32x4.sub(v128.load(fixed, 80), y1)), close),
  );
}

/** What won, and whether by more than TIE. */
const UNIQUE: u32 = 0x10000;

/**
 * Scores the candidates of a list at the scales of two trials, which may be the same.
 * Leaves the scores in SCORES: sixteen u16 of trial a, sixteen of trial b, for each list block.
 * @returns the smallest of trial a in the low, of trial b in the high half
 */
function scoreTwo(list: usize, end: usize, fixed: usize, a: f32, b: f32): v128 {
  makeTables(fixed, a, TABLES);
  makeTables(fixed, b, TABLES + TABLES_BYTES);
  const odd = v128.load(ODD_BYTES);
  const baseA = v128.load(TABLES, 64);
  const baseB = v128.load(TABLES, TABLES_BYTES + 64);
  let leastA = i16x8.splat(-1);
  let leastB = i16x8.splat(-1);
  for (let out = SCORES; list < end; list += LIST_BLOCK, out += 64) {
    let codes = v128.load(list);
    let low = v128.or(i8x16.shuffle(codes, codes, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), odd);
    let high = v128.or(i8x16.shuffle(codes, codes, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), odd);
    let table = v128.load(TABLES);
    let a0 = i16x8.add(baseA, i8x16.swizzle(table, low));
    let a1 = i16x8.add(baseA, i8x16.swizzle(table, high));
    table = v128.load(TABLES, TABLES_BYTES);
    let b0 = i16x8.add(baseB, i8x16.swizzle(table, low));
    let b1 = i16x8.add(baseB, i8x16.swizzle(table, high));

    codes = v128.load(list, 16);
    low = v128.or(i8x16.shuffle(codes, codes, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), odd);
    high = v128.or(i8x16.shuffle(codes, codes, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), odd);
    table = v128.load(TABLES, 16);
    a0 = i16x8.add(a0, i8x16.swizzle(table, low));
    a1 = i16x8.add(a1, i8x16.swizzle(table, high));
    table = v128.load(TABLES, TABLES_BYTES + 16);
    b0 = i16x8.add(b0, i8x16.swizzle(table, low));
    b1 = i16x8.add(b1, i8x16.swizzle(table, high));

    codes = v128.load(list, 32);
    low = v128.or(i8x16.shuffle(codes, codes, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), odd);
    high = v128.or(i8x16.shuffle(codes, codes, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), odd);
    table = v128.load(TABLES, 32);
    a0 = i16x8.add(a0, i8x16.swizzle(table, low));
    a1 = i16x8.add(a1, i8x16.swizzle(table, high));
    table = v128.load(TABLES, TABLES_BYTES + 32);
    b0 = i16x8.add(b0, i8x16.swizzle(table, low));
    b1 = i16x8.add(b1, i8x16.swizzle(table, high));

    codes = v128.load(list, 48);
    low = v128.or(i8x16.shuffle(codes, codes, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), odd);
    high = v128.or(i8x16.shuffle(codes, codes, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), odd);
    table = v128.load(TABLES, 48);
    a0 = i16x8.add(a0, i8x16.swizzle(table, low));
    a1 = i16x8.add(a1, i8x16.swizzle(table, high));
    table = v128.load(TABLES, TABLES_BYTES + 48);
    b0 = i16x8.add(b0, i8x16.swizzle(table, low));
    b1 = i16x8.add(b1, i8x16.swizzle(table, high));

    v128.store(out, a0);
    v128.store(out, a1, 16);
    v128.store(out, b0, 32);
    v128.store(out, b1, 48);
    leastA = i16x8.min_u(leastA, i16x8.min_u(a0, a1));
    leastB = i16x8.min_u(leastB, i16x8.min_u(b0, b1));
  }
  let least = i16x8.min_u(v128.shuffle<i64>(leastA, leastB, 0, 2), v128.shuffle<i64>(leastA, leastB, 1, 3));
  least = i16x8.min_u(least, v128.shuffle<i32>(least, least, 1, 0, 3, 2));
  return i16x8.min_u(least, i32x4.shr_u(least, 16)); // the low halves of each word hold it
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
    i8x16.narrow_i16x8_s(i16x8.le_u(v128.load(scores), limit), i16x8.le_u(v128.load(scores, 16), limit)),
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

/** Leaves the winners of two trials in WINNERS, and says in UNIQUES whether they are unique. */
function searchTwo(lattice: usize, place: u32, group: usize, x: usize, a: u32, b: u32): void {
  const list = listAt(lattice, place);
  const count = place & 255;
  const at = <usize>a << 2;
  const bt = <usize>b << 2;
  const end = list + LIST_BLOCK * <usize>((count + 15) >> 4);
  const least = scoreTwo(list, end, FIXED + group * FIXED_BYTES, load<f32>(at, INVERSES), load<f32>(bt, INVERSES));
  const first = winner(lattice, list, count, SCORES, i16x8.extract_lane_u(least, 0), x, load<f32>(at, SCALES));
  const second = winner(lattice, list, count, SCORES + 32, i16x8.extract_lane_u(least, 4), x, load<f32>(bt, SCALES));
  store<u16>((<usize>a << 3) + (group << 1), <u16>first, WINNERS);
  store<u16>((<usize>b << 3) + (group << 1), <u16>second, WINNERS);
  const uniques = load<u32>(group << 2, UNIQUES);
  store<u32>(group << 2, uniques | ((first >> 16) << a) | ((second >> 16) << b), UNIQUES);
}

/** Finds the winners of the trials between two that are done. */
function searchBetween(lattice: usize, place: u32, group: usize, x: usize, a: u32, b: u32): void {
  if (b - a < 2) return;
  const out = WINNERS + (group << 1);
  const won = load<u16>(out + (<usize>a << 3));
  const uniques = load<u32>(group << 2, UNIQUES);
  if (won == load<u16>(out + (<usize>b << 3)) && ((uniques >> a) & (uniques >> b) & 1)) {
    for (let t = a + 1; t < b; t++) store<u16>(out + (<usize>t << 3), won);
    store<u32>(group << 2, uniques | ((1 << b) - (1 << a)), UNIQUES);
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

/** The winners of all trials of one group, after `findBreaks` and `fixGroup`. */
export function searchGroup(lattice: usize, group: usize, x: usize, trials: u32): void {
  const breaks = load<u32>(group << 2, BREAKS);
  const steps = STEPS + (group << 6);
  const out = WINNERS + (group << 1);
  const fixed = FIXED + group * FIXED_BYTES;
  const pruned = shellsOf(lattice) > 1;
  let number = load<u32>(group << 2, FIRST);
  store<u32>(group << 2, 0, UNIQUES);
  for (let t: u32 = 0, next: u32 = 0; t < trials; t = next) {
    number += <u32>load<u16>(steps + (<usize>t << 1));
    const later = breaks & (0xfffffffe << t);
    next = later ? ctz(later) : trials;
    const last = next - 1;
    const place = load<u32>(lattice + (<usize>number << 2), NEAREST);
    if (place & ON_GRID) {
      for (let i = t; i < next; i++) store<u16>(out + (<usize>i << 3), <u16>(place | ON_GRID_BIT));
      store<u32>(group << 2, load<u32>(group << 2, UNIQUES) | ((1 << next) - (1 << t)), UNIQUES);
    } else if (
      pruned && hasClose(fixed, load<f32>(<usize>t << 2, INVERSES), load<f32>(<usize>last << 2, INVERSES))
    )
      for (let i = t; i < next; i++) searchTrial(lattice, group, x, i);
    else {
      searchTwo(lattice, place, group, x, t, last);
      searchBetween(lattice, place, group, x, t, last);
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
 * Where the points of two groups change from trial to trial: fills FIRST, BREAKS and STEPS.
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
  const two = f32x4.splat(2);
  const four = f32x4.splat(4);
  const x0 = v128.load(x, X);
  const x1 = v128.load(x, X + 16);
  const x2 = v128.load(x, X + 32);
  const x3 = v128.load(x, X + 48);
  let y0 = f32x4.mul(low, x0);
  let y1 = f32x4.mul(low, x1);
  let y2 = f32x4.mul(low, x2);
  let y3 = f32x4.mul(low, x3);
  const always2 = signs(f32x4.gt(y0, two), f32x4.gt(y1, two), f32x4.gt(y2, two), f32x4.gt(y3, two));
  const always4 = signs(f32x4.ge(y0, four), f32x4.ge(y1, four), f32x4.ge(y2, four), f32x4.ge(y3, four));
  y0 = f32x4.mul(high, x0);
  y1 = f32x4.mul(high, x1);
  y2 = f32x4.mul(high, x2);
  y3 = f32x4.mul(high, x3);
  const once2 = signs(f32x4.gt(y0, two), f32x4.gt(y1, two), f32x4.gt(y2, two), f32x4.gt(y3, two));
  const once4 = signs(f32x4.ge(y0, four), f32x4.ge(y1, four), f32x4.ge(y2, four), f32x4.ge(y3, four));
  const zero = i32x4.splat(0);
  const g = group << 2;
  store<u32>(g, numberOf((always2 & 255) | ((always4 & 255) << 8)), FIRST);
  store<u32>(g, numberOf((always2 >> 8) | (always4 & 0xff00)), FIRST + 4);
  store<u64>(g, 0, BREAKS);
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
    let t = guess((<f32>2 * span) / v, lowest, trials);
    while (!(load<f32>(<usize>t << 2, INVERSES) * v > <f32>2)) t++;
    while (load<f32>(<usize>(t - 1) << 2, INVERSES) * v > <f32>2) t--;
    passes(group + (i >> 3), i & 7, t);
  }
  for (let bits = once4 & ~always4; bits; bits &= bits - 1) {
    const i = <usize>ctz(bits);
    const v = load<f32>(x + (i << 2), X);
    let t = guess((<f32>4 * span) / v, lowest, trials);
    while (!(load<f32>(<usize>t << 2, INVERSES) * v >= <f32>4)) t++;
    while (load<f32>(<usize>(t - 1) << 2, INVERSES) * v >= <f32>4) t--;
    passes(group + (i >> 3), i & 7, t);
  }
}

/** A bit per lane that is all ones. */
// @ts-ignore: decorator
@inline
function signs(a: v128, b: v128, c: v128, d: v128): u32 {
  return i8x16.bitmask(i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d)));
}

/** About the first trial that passes; not the first of all, which does not, and at most the last, which does. */
// @ts-ignore: decorator
@inline
function guess(needed: f32, lowest: f32, trials: u32): u32 {
  return <u32>max<i32>(1, min<i32>(<i32>trials - 1, <i32>ceil<f32>((needed - lowest) * <f32>10)));
}

/** Coordinate j passes a threshold in trial t. */
// @ts-ignore: decorator
@inline
function passes(group: usize, j: usize, t: u32): void {
  const at = STEPS + (group << 6) + (<usize>t << 1);
  store<u16>(at, load<u16>(at) + load<u16>(POWERS + (j << 1)));
  store<u32>(group << 2, load<u32>(group << 2, BREAKS) | (1 << t), BREAKS);
}

/**
 * The nearest entry at one scale that was fitted.
 * @param trials their number if they were searched by `searchGroup`, or 0
 * @param span as in `findBreaks`
 */
export function searchFitted(
  lattice: usize,
  group: usize,
  x: usize,
  inverse: f32,
  scale: f32,
  trials: u32,
  span: f32,
): u32 {
  let highest: f32 = 0;
  if (trials) {
    // Between two trials of a run that a unique candidate wins it wins as well.
    const t = <i32>floor<f32>((inverse * span - <f32>5) * <f32>10) + <i32>(trials >> 1);
    const between =
      t >= 0 &&
      t < <i32>trials - 1 &&
      load<f32>(t << 2, INVERSES) <= inverse &&
      inverse <= load<f32>(t << 2, INVERSES + 4) &&
      ((load<u32>(group << 2, UNIQUES) >> t) & 3) == 3 &&
      !((load<u32>(group << 2, BREAKS) >> (t + 1)) & 1);
    if (between) {
      const at = (<usize>t << 3) + (group << 1);
      const won = load<u16>(at, WINNERS);
      if (won == load<u16>(at, WINNERS + 8)) return won;
    }
    highest = load<f32>(<usize>(trials - 1) << 2, INVERSES);
  }
  const splat = f32x4.splat(inverse);
  const two = f32x4.splat(2);
  const four = f32x4.splat(4);
  const y0 = f32x4.mul(splat, v128.load(x, X));
  const y1 = f32x4.mul(splat, v128.load(x, X + 16));
  const far = f32x4.splat(FAR);
  const beyond = v128.or(f32x4.gt(f32x4.abs(y0), far), f32x4.gt(f32x4.abs(y1), far));
  if (v128.any_true(beyond) || !(inverse <= highest || fixGroup(group, x, inverse)))
    return nearestOfAll(lattice, x, inverse, scale);
  const mask = signs(f32x4.gt(y0, two), f32x4.gt(y1, two), f32x4.ge(y0, four), f32x4.ge(y1, four));
  const place = load<u32>(lattice + (<usize>numberOf(mask) << 2), NEAREST);
  if (place & ON_GRID) return (place & 0xffff) | ON_GRID_BIT;
  if (shellsOf(lattice) > 1 && hasClose(FIXED + group * FIXED_BYTES, inverse, inverse))
    return nearestOfAll(lattice, x, inverse, scale);
  store<f32>(FITTED << 2, inverse, INVERSES);
  store<f32>(FITTED << 2, scale, SCALES);
  searchTwo(lattice, place, group, x, FITTED, FITTED);
  return <u32>load<u16>((<usize>FITTED << 3) + (group << 1), WINNERS);
}
