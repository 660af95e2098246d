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
// eight places of a list. The sum over the pairs, less that of the point that y rounds to, is the score: what q costs
// beyond that point, from 0 to Σ W β, β = max(6, |2 y − 6|) being the most that a coordinate can cost beyond its smallest.
// K = 65000 / Σ w β, β with the y of the smallest scale, keeps scores within 16 bits; sums may wrap on the way.
//
// Trials. Sums are linear in 1 / scale. They are looked up at the first trial and just beyond the last, τ = 0 and 1, and
// interpolated in between. From end to end y grows by less than 0.31 y, a sum by less than Σ W 0.31 |y| < 21000 (β is
// never less than |y|), so that the difference is a signed number of 16 bits.
//
// Error. Rounding moves a sum by at most 4 · ½ at both ends and so in between, interpolation by another ½ and, τ being
// rounded to a multiple of 2⁻¹⁵, by 21000 · 2⁻¹⁶ < 0.33: two differ by 5.66 at most from what they should. llama.cpp's D̂
// differs from D by at most u (10 |ρ| + 11 ρ²) w scale² in each coordinate, u = 2⁻²⁴, ρ = q − y: one rounding of
// scale · q, which ρ sees magnified by q / |ρ| ≤ 5 / |ρ|, twice, and 11 roundings of the term or of sums that contain it.
// In units of the score that is W u (10 |ρ| + 11 ρ²) / 4. With |ρ| ≤ |y − 3| + 2 ≤ 5 β / 6, with |y| ≤ FAR = 30 and so
// |ρ| ≤ 35, and with Σ W β ≤ 65000, the sum over the coordinates is below 2.75 u · 35 · 54167 + 2.5 u · 54167 < 0.33. The
// costs are computed in single precision from the inverse of the scale, itself rounded, and τ supposes exact trials: less
// than 20 u Σ W (|y| + 4) < 0.13. So if two scores differ by 7 > 5.66 + 2 · 0.33 + 2 · 0.13, D̂ differs in the same
// direction. All candidates within TIE = 6 of the smallest score are compared as llama.cpp does it. Underflow: one unit
// of the score is 4 scale² / K of D, which `fixGroup` keeps above 1e-30, where the smallest subnormal is 1.4e-45;
// overflow likewise.
//
// Clear winners. Of candidates within TIE, the one with the smallest D̂ counts as unique if all others exceed it by more
// than four times the error E of D̂: then it is the nearest by more than 2 E, and so it is, in D̂ too, in between two
// scales at which it is unique, by whichever measure. Where no |y| leaves [0, 6], so that all β are 6 and |ρ| ≤ 5, E < u
// (50 + 275) / 4 · 65000 / 6 < 0.053 units of the score, else 0.33: MARGIN and WIDE_MARGIN are 0.25 and 1.5, in D / scale²
// four times that over K.
//
// Left-out candidates (two-bit-lattice.ts). Candidate b crosses all thresholds from the point that a crosses, and more.
// Each further threshold, 2 or 4 in one coordinate, costs W |y − 2| or W |y − 4|. If these are at least 1 the difference
// of D exceeds the error of D̂, 2 · 0.33 + 2 · 0.13. Sums of levels are even for all entries of the two codebooks that are
// searched in two shells, so b crosses two more thresholds at least: only where two of the sixteen thresholds of a group
// cost less than CLOSE = 1 are all candidates compared (`nearestOfAll`).
//
// Runs of trials. While trials round to the same point their candidates are the same, and every score and the cost of
// every threshold is linear in 1 / scale. If the same candidate wins by more than TIE at both ends of a run, it does so
// in between; if a threshold costs less than CLOSE in between, it does so at one end.
import { nearestInt } from "@fewbit/assembly";
import {
  LISTED,
  LISTS,
  LIST_BLOCK,
  NEAREST,
  ON_GRID,
  ROWS,
  entriesAt,
  measure,
  numberOf,
  shellsOf,
  sizeOf,
} from "./two-bit-lattice";
import { FIXED, FIXED_BYTES, MARGINS, ON_GRID_BIT, ROOT, SCORES, SUMS, UNIQUE_BIT, X } from "./two-bit-scratch";

const TIE: i16 = 6;
const CLOSE: f32 = 1;
/** By how much a clear winner's D / scale² is smaller than the others', times K / 65000. */
const MARGIN: f32 = 1 / 65000;
const WIDE_MARGIN: f32 = 6 / 65000;
/** Beyond this |x / scale| everything is compared as llama.cpp does it. */
export const FAR: f32 = 30;
/** No candidate has a finite distance: llama.cpp gives up here. */
export const NONE: u32 = 0xffffffff;

// Constants that must come from memory: V8 would build a literal anew at every use in a loop.
const MAGIC: usize = memory.data<f32>([12582912, 12582912, 12582912, 12582912], 16);
const LOW_HALVES: usize = memory.data<u32>([0xffff, 0xffff, 0xffff, 0xffff], 16);
const EVEN_NIBBLES: usize = memory.data<u32>([0x1e1e1e1e, 0x1e1e1e1e, 0x1e1e1e1e, 0x1e1e1e1e], 16);
const EIGHT: usize = memory.data<u16>([8, 8, 8, 8, 8, 8, 8, 8], 16);
const FIRST_LANE: usize = memory.data<u16>([0xffff, 0, 0, 0, 0, 0, 0, 0], 16);
const ODD_BYTES: usize = memory.data<u16>([0x100, 0x100, 0x100, 0x100, 0x100, 0x100, 0x100, 0x100], 16);

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
 * and MARGINS.
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
  const wide = v128.any_true(f32x4.gt(f32x4.pmax(beyond0, beyond1), six));
  store<f32>(group << 2, sum * (wide ? WIDE_MARGIN : MARGIN), MARGINS);
  return true;
}

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
 */
// @ts-ignore: decorator
@inline
export function makeTables(fixed: usize, inverse: f32, tables: usize): void {
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
}

/** Whether more than one threshold costs less than CLOSE at one of two scales. */
export function hasClose(fixed: usize, a: f32, b: f32): bool {
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

/**
 * Looks up the places of a list. SUMS has, for each list block, sixteen sums at the first scale, and sixteen differences
 * from there to the second.
 */
export function lookUp(list: usize, end: usize, first: usize, second: usize): void {
  const odd = v128.load(ODD_BYTES);
  const even = v128.load(EVEN_NIBBLES);
  for (let out = SUMS; list < end; list += LIST_BLOCK, out += 64) {
    const codes01 = v128.load(list);
    const codes23 = v128.load(list, 16);
    let codes = v128.and(i16x8.shl(codes01, 1), even);
    let low = v128.or(i8x16.shuffle(codes, codes, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), odd);
    let high = v128.or(i8x16.shuffle(codes, codes, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), odd);
    let table = v128.load(first);
    let a0 = i8x16.swizzle(table, low);
    let a1 = i8x16.swizzle(table, high);
    table = v128.load(second);
    let b0 = i8x16.swizzle(table, low);
    let b1 = i8x16.swizzle(table, high);

    codes = v128.and(i16x8.shr_u(codes01, 3), even);
    low = v128.or(i8x16.shuffle(codes, codes, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), odd);
    high = v128.or(i8x16.shuffle(codes, codes, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), odd);
    table = v128.load(first, 16);
    a0 = i16x8.add(a0, i8x16.swizzle(table, low));
    a1 = i16x8.add(a1, i8x16.swizzle(table, high));
    table = v128.load(second, 16);
    b0 = i16x8.add(b0, i8x16.swizzle(table, low));
    b1 = i16x8.add(b1, i8x16.swizzle(table, high));

    codes = v128.and(i16x8.shl(codes23, 1), even);
    low = v128.or(i8x16.shuffle(codes, codes, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), odd);
    high = v128.or(i8x16.shuffle(codes, codes, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), odd);
    table = v128.load(first, 32);
    a0 = i16x8.add(a0, i8x16.swizzle(table, low));
    a1 = i16x8.add(a1, i8x16.swizzle(table, high));
    table = v128.load(second, 32);
    b0 = i16x8.add(b0, i8x16.swizzle(table, low));
    b1 = i16x8.add(b1, i8x16.swizzle(table, high));

    codes = v128.and(i16x8.shr_u(codes23, 3), even);
    low = v128.or(i8x16.shuffle(codes, codes, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), odd);
    high = v128.or(i8x16.shuffle(codes, codes, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), odd);
    table = v128.load(first, 48);
    a0 = i16x8.add(a0, i8x16.swizzle(table, low));
    a1 = i16x8.add(a1, i8x16.swizzle(table, high));
    table = v128.load(second, 48);
    b0 = i16x8.add(b0, i8x16.swizzle(table, low));
    b1 = i16x8.add(b1, i8x16.swizzle(table, high));

    v128.store(out, a0);
    v128.store(out, a1, 16);
    v128.store(out, i16x8.sub(b0, a0), 32);
    v128.store(out, i16x8.sub(b1, a1), 48);
  }
}

/** The address of a list's first block, from NEAREST. */
// @ts-ignore: decorator
@inline
export function listAt(lattice: usize, place: u32): usize {
  return lattice + LISTS + LIST_BLOCK * <usize>(place >> 8);
}

// @ts-ignore: decorator
@inline
function candidate(list: usize, i: u32): u32 {
  return <u32>load<u16>(list + LIST_BLOCK * <usize>(i >> 4) + (<usize>(i & 15) << 1), LISTED);
}

/** Which of sixteen places score no more than this. */
// @ts-ignore: decorator
@inline
function placesWithin(a: v128, b: v128, limit: v128): u32 {
  return i8x16.bitmask(i8x16.narrow_i16x8_s(i16x8.le_u(a, limit), i16x8.le_u(b, limit)));
}

/** The same of stored scores, where `left` places are left. */
// @ts-ignore: decorator
@inline
function within(scores: usize, limit: v128, left: u32): u32 {
  const bits = placesWithin(v128.load(scores), v128.load(scores, 16), limit);
  return left < 16 ? bits & ((1 << left) - 1) : bits;
}

/** The place of the best candidate in the low byte, and its entry, with UNIQUE_BIT if it is unique. */
function winner(lattice: usize, list: usize, count: u32, scores: usize, limit: v128, x: usize, scale: f32): u32 {
  let best: u32 = 0;
  let close: u32 = 0;
  for (let i: u32 = 0, at = scores; i < count; i += 16, at += 64) {
    const bits = within(at, limit, count - i);
    close += popcnt(bits);
    if (bits) best = i + ctz(bits);
  }
  if (close != 1) return nearestOfClose(lattice, list, count, scores, limit, x, scale);
  return best | ((candidate(list, best) | UNIQUE_BIT) << 8);
}

/** As `winner`, of a candidate that alone is close. */
// @ts-ignore: decorator
@inline
function onlyOne(list: usize, bit: u32): u32 {
  const place = <u32>ctz(bit);
  return place | ((candidate(list, place) | UNIQUE_BIT) << 8);
}

/** As `winner`, if the best of the candidates whose bits are set is a clear winner; otherwise NONE. */
function clearWinner(lattice: usize, list: usize, bits: u32, x: usize, scale: f32): u32 {
  const s = f32x4.splat(scale);
  const x0 = v128.load(x, X);
  const x1 = v128.load(x, X + 16);
  const w0 = v128.load(x, ROOT);
  const w1 = v128.load(x, ROOT + 16);
  let best = f32.MAX_VALUE;
  let second = f32.MAX_VALUE;
  let nearest: u32 = 0;
  for (; bits; bits &= bits - 1) {
    const at = <u32>ctz(bits);
    const row = lattice + (<usize>candidate(list, at) << 5);
    const error0 = f32x4.sub(f32x4.mul(s, v128.load(row, ROWS)), x0);
    const error1 = f32x4.sub(f32x4.mul(s, v128.load(row, ROWS + 16)), x1);
    const terms = f32x4.add(
      f32x4.mul(f32x4.mul(w0, error0), error0),
      f32x4.mul(f32x4.mul(w1, error1), error1),
    );
    const pairs = f32x4.add(terms, v128.shuffle<i32>(terms, terms, 2, 3, 0, 1));
    const d = f32x4.extract_lane(pairs, 0) + f32x4.extract_lane(pairs, 1);
    const less = d < best;
    const other = less ? best : d;
    second = other < second ? other : second;
    best = less ? d : best;
    nearest = less ? at : nearest;
  }
  if (!(second - best > load<f32>(x >> 3, MARGINS) * scale * scale)) return NONE;
  return nearest | ((candidate(list, nearest) | UNIQUE_BIT) << 8);
}

/** Compares candidates with close scores as llama.cpp does it, and returns what `winner` does. */
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
  let second = f32.MAX_VALUE;
  let nearest: u32 = 0;
  for (let i: u32 = 0; i < count; i += 16, scores += 64)
    for (let bits = within(scores, limit, count - i); bits; bits &= bits - 1) {
      const at = i + ctz(bits);
      const d = distanceTo(lattice + (<usize>candidate(list, at) << 5), x, scale);
      const less = d < best;
      const other = less ? best : d;
      second = other < second ? other : second;
      best = less ? d : best;
      nearest = less ? at : nearest;
    }
  const unique = second - best > load<f32>(x >> 3, MARGINS) * scale * scale ? UNIQUE_BIT : 0;
  return nearest | ((candidate(list, nearest) | unique) << 8);
}

/**
 * The winners among what was looked up last, at two scales, the results in the halves of 64 bits:
 *
 *   bit     63 … 40 and 31 … 8                              39 … 32 and 7 … 0
 *           entry, with UNIQUE_BIT if it wins by a margin   its place in the list
 *
 * @param place of NEAREST
 * @param a τ of the first scale in 15 bits, b of the second
 */
export function compareTwo(
  lattice: usize,
  place: u32,
  x: usize,
  a: i16,
  b: i16,
  scaleA: f32,
  scaleB: f32,
): u64 {
  const list = listAt(lattice, place);
  const count = place & 255;
  const tauA = i16x8.splat(a);
  const tauB = i16x8.splat(b);
  let from = v128.load(SUMS);
  let by = v128.load(SUMS, 32);
  let a0 = i16x8.add(from, i16x8.q15mulr_sat_s(by, tauA));
  let b0 = i16x8.add(from, i16x8.q15mulr_sat_s(by, tauB));
  const eight = v128.load(EIGHT);
  const baseA = i16x8.sub(v128.shuffle<i16>(a0, a0, 0, 0, 0, 0, 0, 0, 0, 0), eight);
  const baseB = i16x8.sub(v128.shuffle<i16>(b0, b0, 0, 0, 0, 0, 0, 0, 0, 0), eight);
  const point = v128.load(FIRST_LANE); // takes no part
  a0 = v128.or(i16x8.sub(a0, baseA), point);
  b0 = v128.or(i16x8.sub(b0, baseB), point);
  from = v128.load(SUMS, 16);
  by = v128.load(SUMS, 48);
  let a1 = i16x8.sub(i16x8.add(from, i16x8.q15mulr_sat_s(by, tauA)), baseA);
  let b1 = i16x8.sub(i16x8.add(from, i16x8.q15mulr_sat_s(by, tauB)), baseB);
  v128.store(SCORES, a0);
  v128.store(SCORES, a1, 16);
  v128.store(SCORES, b0, 32);
  v128.store(SCORES, b1, 48);
  let leastA = i16x8.min_u(a0, a1);
  let leastB = i16x8.min_u(b0, b1);
  if (count <= 32) {
    // Nearly all lists: one or two blocks.
    let moreA: v128 = leastA;
    let moreB: v128 = leastB;
    let c0 = a0;
    let c1 = a1;
    let d0 = b0;
    let d1 = b1;
    if (count > 16) {
      from = v128.load(SUMS, 64);
      by = v128.load(SUMS, 96);
      c0 = i16x8.sub(i16x8.add(from, i16x8.q15mulr_sat_s(by, tauA)), baseA);
      d0 = i16x8.sub(i16x8.add(from, i16x8.q15mulr_sat_s(by, tauB)), baseB);
      from = v128.load(SUMS, 80);
      by = v128.load(SUMS, 112);
      c1 = i16x8.sub(i16x8.add(from, i16x8.q15mulr_sat_s(by, tauA)), baseA);
      d1 = i16x8.sub(i16x8.add(from, i16x8.q15mulr_sat_s(by, tauB)), baseB);
      v128.store(SCORES, c0, 64);
      v128.store(SCORES, c1, 80);
      v128.store(SCORES, d0, 96);
      v128.store(SCORES, d1, 112);
      moreA = i16x8.min_u(leastA, i16x8.min_u(c0, c1));
      moreB = i16x8.min_u(leastB, i16x8.min_u(d0, d1));
    }
    const least = smallestOf(moreA, moreB);
    const limitA = i16x8.splat(<i16>i16x8.extract_lane_u(least, 0) + TIE);
    const limitB = i16x8.splat(<i16>i16x8.extract_lane_u(least, 4) + TIE);
    let bitsA = placesWithin(a0, a1, limitA);
    let bitsB = placesWithin(b0, b1, limitB);
    if (count > 16) {
      bitsA |= placesWithin(c0, c1, limitA) << 16;
      bitsB |= placesWithin(d0, d1, limitB) << 16;
    }
    const places = 0xffffffff >>> (32 - count);
    bitsA &= places;
    bitsB &= places;
    let wonA = bitsA & (bitsA - 1) ? clearWinner(lattice, list, bitsA, x, scaleA) : onlyOne(list, bitsA);
    let wonB = bitsB & (bitsB - 1) ? clearWinner(lattice, list, bitsB, x, scaleB) : onlyOne(list, bitsB);
    if (wonA == NONE) wonA = nearestOfClose(lattice, list, count, SCORES, limitA, x, scaleA);
    if (wonB == NONE) wonB = nearestOfClose(lattice, list, count, SCORES + 32, limitB, x, scaleB);
    return <u64>wonA | (<u64>wonB << 32);
  }
  for (let at: usize = 64, end = <usize>count << 2; at < end; at += 64) {
    from = v128.load(at, SUMS);
    by = v128.load(at, SUMS + 32);
    a0 = i16x8.sub(i16x8.add(from, i16x8.q15mulr_sat_s(by, tauA)), baseA);
    b0 = i16x8.sub(i16x8.add(from, i16x8.q15mulr_sat_s(by, tauB)), baseB);
    from = v128.load(at, SUMS + 16);
    by = v128.load(at, SUMS + 48);
    a1 = i16x8.sub(i16x8.add(from, i16x8.q15mulr_sat_s(by, tauA)), baseA);
    b1 = i16x8.sub(i16x8.add(from, i16x8.q15mulr_sat_s(by, tauB)), baseB);
    v128.store(at, a0, SCORES);
    v128.store(at, a1, SCORES + 16);
    v128.store(at, b0, SCORES + 32);
    v128.store(at, b1, SCORES + 48);
    leastA = i16x8.min_u(leastA, i16x8.min_u(a0, a1));
    leastB = i16x8.min_u(leastB, i16x8.min_u(b0, b1));
  }
  const least = smallestOf(leastA, leastB);
  const limitA = i16x8.splat(<i16>i16x8.extract_lane_u(least, 0) + TIE);
  const limitB = i16x8.splat(<i16>i16x8.extract_lane_u(least, 4) + TIE);
  const wonA = winner(lattice, list, count, SCORES, limitA, x, scaleA);
  const wonB = winner(lattice, list, count, SCORES + 32, limitB, x, scaleB);
  return <u64>wonA | (<u64>wonB << 32);
}

/** The smallest of a in lane 0, of b in lane 4. */
// @ts-ignore: decorator
@inline
function smallestOf(a: v128, b: v128): v128 {
  let least = i16x8.min_u(v128.shuffle<i64>(a, b, 0, 2), v128.shuffle<i64>(a, b, 1, 3));
  least = i16x8.min_u(least, v128.shuffle<i32>(least, least, 1, 0, 3, 2));
  return i16x8.min_u(least, i32x4.shr_u(least, 16));
}

/** After `compareTwo`, how far between the scales, from 0 to 1, candidate j at b overtakes candidate i at a. */
export function crossing(i: u32, j: u32): f32 {
  const lead = scoreOf(j, 0) - scoreOf(i, 0);
  return lead / (lead + scoreOf(i, 32) - scoreOf(j, 32) + 1);
}

// @ts-ignore: decorator
@inline
function scoreOf(place: u32, offset: usize): f32 {
  return <f32>load<u16>((<usize>(place >> 4) << 6) + (<usize>(place & 15) << 1) + offset, SCORES);
}

/** Whether llama.cpp would have given up on this super-block. */
export let refused: bool = false;

export function acceptBlock(): void {
  refused = false;
}

export function refuseBlock(): void {
  refused = true;
}

/** A bit per lane that is all ones. */
// @ts-ignore: decorator
@inline
export function signs(a: v128, b: v128, c: v128, d: v128): u32 {
  return i8x16.bitmask(i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d)));
}

