// The entry nearest to four weights: llama.cpp rounds x / scale to a point of the lattice and, if that is no entry,
// takes the candidate q of the point with the smallest
//
//   D(q) = Σ w (scale q − x)²,    w the root of the element's weight, all in single precision, in the order of the
//                                 coordinates; of equals the first in the list
//
// for each of 31 or 19 trial scales. As the scale shrinks, a group rounds to four or five points in turn. While it stays
// at one, a run of trials, its candidates are the same, and
//
//   D(q) / scale = scale · A − B + C,    A = Σ w q²,  B = Σ 2 w x q,  C = Σ w x² / scale
//
// is linear in the scale but for C, which all share: a candidate that is nearest at both ends of a run is nearest in
// between. So A and B are computed once in a run, and scale · A − B at both ends.
//
// Error. Let u = 2⁻²⁴, M = 225 scale Σ w + C. llama.cpp's D̂ differs from D by less than 18.4 u scale M: one rounding of
// scale · q, at most |scale q| u, moves the square of a difference d by 2.1 |d| |scale q| u, and seven roundings act on
// the square, the term and the sums that contain it, 7.1 u d²; with |d| ≤ scale q + |x|, both together are below
// 9.2 u w (scale q + |x|)² ≤ 18.4 u w (scale² q² + x²), and q ≤ 15. The computed scale · A − B differs from the exact one
// by less than 12.1 u M: A has four roundings, B five, the product and the difference one each, and 2 |x| q ≤ x² / scale
// + scale q². So if two candidates differ by more than 61 u M, D̂ differs in the same direction; DOUBT = 80 u leaves room
// for the roundings of M and of the comparison. M is convex in the scale, so that a lead of DOUBT · M at both ends of a
// run is one in between. Wherever the lead is smaller, the candidates are compared as llama.cpp does it. Underflow is of
// no concern while Σ w x² > 1e-30, and overflow while the sub-block is regular (three-bit.ts).
//
// Left-out candidates (three-bit-lattice.ts). Candidate b crosses all thresholds from the point that a crosses, and
// more. If in each coordinate the computed |scale q − x| is no smaller for b than for a, so is each computed term, and,
// rounding being monotonic, each partial sum: D̂(b) ≥ D̂(a), and a, being nearer to the point, comes first in the list. A
// coordinate can break this only if x / 2 scale lies at a threshold, 1, 2 … 7, to within rounding, 48 u; where it is
// nearer than SLACK = 64 u, all candidates are compared. In neighbouring trials x / 2 scale differs by more than
// 1 / 100, so that this happens only in the first and the last trial of a run.
import { nearestInt } from "@fewbit/assembly";
import {
  LIST_BLOCK, ON_GRID, POINTS, candidateCount, candidates, entryAt, winnerCount, winners,
} from "./three-bit-lattice";
import {
  CHOSEN, CHOSEN_BYTES, DISTANCES, DOUBTS, HALF, HALVES, INVERSES, LINES, MAGIC, PAIR_MASK, PER_INVERSE, REFUSED, ROOT, ROUNDED,
  ROUNDED_BYTES, SCALES, SEVEN, TWICE, X,
} from "./three-bit-scratch";

const DOUBT: f32 = 80 / 16777216;
const SLACK: f32 = 64 / 16777216;

/** The first of the nearest candidates of a list, computed as llama.cpp does, with candidates in the lanes. */
function nearest(list: usize, count: u32, at: usize, scale: f32): u32 {
  const s = f32x4.splat(scale);
  let least = f32x4.splat(f32.MAX_VALUE);
  const stop = <usize>((count + 7) >>> 3) << 5;
  for (let p = list, to: usize = 0; to < stop; p += LIST_BLOCK, to += 32) {
    let q = v128.load8x8_u(p);
    let w = v128.load32_splat(at, ROOT);
    let x = v128.load32_splat(at, X);
    let a = term(s, low(q), w, x);
    let b = term(s, high(q), w, x);
    q = v128.load8x8_u(p, 8);
    w = v128.load32_splat(at, ROOT + 4);
    x = v128.load32_splat(at, X + 4);
    a = f32x4.add(a, term(s, low(q), w, x));
    b = f32x4.add(b, term(s, high(q), w, x));
    q = v128.load8x8_u(p, 16);
    w = v128.load32_splat(at, ROOT + 8);
    x = v128.load32_splat(at, X + 8);
    a = f32x4.add(a, term(s, low(q), w, x));
    b = f32x4.add(b, term(s, high(q), w, x));
    q = v128.load8x8_u(p, 24);
    w = v128.load32_splat(at, ROOT + 12);
    x = v128.load32_splat(at, X + 12);
    a = f32x4.add(a, term(s, low(q), w, x));
    b = f32x4.add(b, term(s, high(q), w, x));
    v128.store(to, a, DISTANCES);
    v128.store(to, b, DISTANCES + 16);
    least = f32x4.pmin(f32x4.pmin(least, a), b);
  }
  least = f32x4.pmin(least, v128.shuffle<f32>(least, least, 2, 3, 0, 1));
  least = f32x4.pmin(least, v128.shuffle<f32>(least, least, 1, 0, 3, 2));
  if (f32x4.extract_lane(least, 0) == f32.MAX_VALUE) {
    // No distance is finite: llama.cpp gives up here.
    store<u32>(0, 1, REFUSED);
    return 0;
  }
  let c: u32 = 0;
  let equal = 0;
  for (let from: usize = 0; from < stop; from += 16, c += 4) {
    equal = i32x4.bitmask(f32x4.eq(v128.load(from, DISTANCES), least));
    if (equal) break;
  }
  return entryAt(list, c + ctz(equal));
}

// @ts-ignore: decorator
@inline
function low(q: v128): v128 {
  return f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_u(q));
}

// @ts-ignore: decorator
@inline
function high(q: v128): v128 {
  return f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_u(q));
}

// @ts-ignore: decorator
@inline
function term(s: v128, q: v128, w: v128, x: v128): v128 {
  const difference = f32x4.sub(f32x4.mul(s, q), x);
  return f32x4.mul(f32x4.mul(w, difference), difference);
}

/** The point that the group of four elements at offset `at` rounds to, as llama.cpp computes it for all numbers. */
function roundPlainly(at: usize, inverse: f32): u32 {
  let point: u32 = 0;
  for (let j: usize = 0; j < 4; j++) {
    const level = nearestInt(<f32>0.5 * (inverse * load<f32>(at + (j << 2), X) - <f32>1));
    point |= <u32>max(0, min(7, level)) << (3 * <u32>j);
  }
  return point;
}

/** The entry of a point, or the nearest of all its candidates. */
function entryOf(lattice: usize, point: u32, at: usize, scale: f32): u32 {
  const found = load<u32>(lattice + (<usize>point << 2), POINTS);
  if (found & ON_GRID) return found & 0xffff;
  return nearest(candidates(lattice, found), candidateCount(found), at, scale);
}

/** Points and winners of all trials of the sub-block at offset `at`, one by one. */
export function searchPlainly(lattice: usize, at: usize, trials: usize): void {
  for (let t: usize = 0; t < trials; t++)
    for (let g: usize = 0; g < 8; g++) {
      const group = at + (g << 4);
      const point = roundPlainly(group, load<f32>(t << 2, INVERSES));
      store<u16>(g * ROUNDED_BYTES + (t << 1), <u16>point, ROUNDED);
      choose(g, t, entryOf(lattice, point, group, load<f32>(t << 2, SCALES)));
    }
}

/** The entry of one group under any scale. */
export function searchOncePlainly(lattice: usize, at: usize, scale: f32): u32 {
  return entryOf(lattice, roundPlainly(at, <f32>1 / scale), at, scale);
}

/** A bit for each group of the sub-block whose point in trial t is no entry. */
export function offGrid(lattice: usize, t: usize): u32 {
  let groups: u32 = 0;
  for (let g: u32 = 0; g < 8; g++) {
    const point = <usize>load<u16>(<usize>g * ROUNDED_BYTES + (t << 1), ROUNDED);
    groups |= (~load<u32>(lattice + (point << 2), POINTS) >>> 31) << g;
  }
  return groups;
}

// @ts-ignore: decorator
@inline
function choose(g: usize, t: usize, entry: u32): void {
  store<u16>(g * CHOSEN_BYTES + (t << 1), <u16>entry, CHOSEN);
}

/** For trials first … end − 1, and some behind, which are chosen for later. */
// @ts-ignore: decorator
@inline
function chooseAll(g: usize, first: usize, end: usize, entry: u32): void {
  const entries = i16x8.splat(<i16>entry);
  const row = g * CHOSEN_BYTES;
  for (let p = row + (first << 1); p < row + (end << 1); p += 16) v128.store(p, entries, CHOSEN);
}

/** Points and winners of all trials of a regular sub-block. */
export function searchTrials(lattice: usize, at: usize, trials: usize): void {
  roundTrials(at, trials);
  for (let g: usize = 0; g < 8; g++) searchGroup(lattice, at + (g << 4), g, trials);
}

/**
 * Rounds eight groups in all trials. With z = x / 2 scale the level is the integer nearest to z − ½, ties to even; the
 * difference is exact where it matters, as is 2 z − 1 in llama.cpp.
 */
function roundTrials(at: usize, trials: usize): void {
  const half = v128.load(0, HALF);
  const magic = v128.load(0, MAGIC);
  const seven = v128.load(0, SEVEN);
  const pairs = v128.load(0, PAIR_MASK);
  for (let t: usize = 0; t < trials; t += 4) {
    const h0 = v128.load32_splat(t << 2, HALVES);
    const h1 = v128.load32_splat(t << 2, HALVES + 4);
    const h2 = v128.load32_splat(t << 2, HALVES + 8);
    const h3 = v128.load32_splat(t << 2, HALVES + 12);
    let to = ROUNDED + (t << 1);
    for (let p = at; p < at + 128; p += 16, to += ROUNDED_BYTES) {
      const x = v128.load(p, X);
      const a = i16x8.narrow_i32x4_s(rounded(x, h0, half, magic), rounded(x, h1, half, magic));
      const b = i16x8.narrow_i32x4_s(rounded(x, h2, half, magic), rounded(x, h3, half, magic));
      let bits = i8x16.min_u(i8x16.narrow_i16x8_u(a, b), seven);
      // Four bytes to twelve bits.
      bits = v128.and(v128.or(bits, i32x4.shr_u(bits, 5)), pairs);
      bits = v128.and(v128.or(bits, i32x4.shr_u(bits, 10)), i32x4.splat(0xfff));
      store<i64>(to, i64x2.extract_lane(i16x8.narrow_i32x4_s(bits, bits), 0));
    }
  }
}

// @ts-ignore: decorator
@inline
function rounded(x: v128, halfInverse: v128, half: v128, magic: v128): v128 {
  return i32x4.sub(f32x4.add(f32x4.sub(f32x4.mul(x, halfInverse), half), magic), magic);
}

/** Bit t: trial t rounds to another point than trial t − 1. Bits 0 and `trials` are set too. */
// @ts-ignore: decorator
@inline
function changes(g: usize, trials: usize): u32 {
  const p = g * ROUNDED_BYTES;
  const a = i16x8.eq(v128.load(p, ROUNDED), v128.load(p, ROUNDED - 2));
  const b = i16x8.eq(v128.load(p, ROUNDED + 16), v128.load(p, ROUNDED + 14));
  const c = i16x8.eq(v128.load(p, ROUNDED + 32), v128.load(p, ROUNDED + 30));
  const d = i16x8.eq(v128.load(p, ROUNDED + 48), v128.load(p, ROUNDED + 46));
  const same = i8x16.bitmask(i8x16.narrow_i16x8_s(a, b)) | (i8x16.bitmask(i8x16.narrow_i16x8_s(c, d)) << 16);
  const end = 1 << <u32>trials;
  return (~same & (end - 1)) | end | 1;
}

function searchGroup(lattice: usize, at: usize, g: usize, trials: usize): void {
  const x = v128.load(at, X);
  const w = v128.load(at, ROOT);
  const wx = f32x4.mul(w, x);
  v128.store(0, f32x4.add(wx, wx), TWICE);
  const sumWxx = sumLanes(f32x4.mul(wx, x));
  store<f32>(0, DOUBT * 225 * sumLanes(w), DOUBTS);
  store<f32>(0, DOUBT * sumWxx, DOUBTS + 4);
  let left = changes(g, trials);
  let end = <usize>ctz(left);
  while (end < trials) {
    const first = end;
    left &= left - 1;
    end = <usize>ctz(left);
    const point = load<u32>(lattice + (<usize>load<u16>(g * ROUNDED_BYTES + (first << 1), ROUNDED) << 2), POINTS);
    if (point & ON_GRID) chooseAll(g, first, end, point & 0xffff);
    else if (sumWxx > <f32>1e-30) searchRun(lattice, point, at, g, first, end);
    else for (let t = first; t < end; t++) choose(g, t, nearestOfAll(lattice, point, at, t));
  }
}

// @ts-ignore: decorator
@inline
function sumLanes(v: v128): f32 {
  v = f32x4.add(v, v128.shuffle<f32>(v, v, 2, 3, 0, 1));
  return f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1);
}

function nearestOfAll(lattice: usize, point: u32, at: usize, t: usize): u32 {
  return nearest(candidates(lattice, point), candidateCount(point), at, load<f32>(t << 2, SCALES));
}

/** Winners of the trials first … end − 1, which round to the same point. */
function searchRun(lattice: usize, point: u32, at: usize, g: usize, first: usize, end: usize): void {
  const count = winnerCount(point);
  const list = winners(lattice, point);
  makeLines(list, count, at);
  const last = end - 1;
  const close = closest(count, first, last);
  const a = <u32>close;
  const b = <u32>(close >>> 32);
  if (a & (a - 1) || b & (b - 1)) searchEach(list, count, at, g, first, end);
  else if (a == b) chooseAll(g, first, end, entryAt(list, ctz(a)));
  else {
    const middle = max(first + 1, min(last, crossing(ctz(a), ctz(b))));
    if (middle - 1 == first && middle == last || closest(count, middle - 1, middle) == close) {
      chooseAll(g, first, middle, entryAt(list, ctz(a)));
      chooseAll(g, middle, end, entryAt(list, ctz(b)));
    } else searchEach(list, count, at, g, first, end);
  }
  if (count == candidateCount(point)) return;
  if (atThreshold(at, load<f32>(first << 2, HALVES))) choose(g, first, nearestOfAll(lattice, point, at, first));
  if (atThreshold(at, load<f32>(last << 2, HALVES))) choose(g, last, nearestOfAll(lattice, point, at, last));
}

/** One trial after the other. */
function searchEach(list: usize, count: u32, at: usize, g: usize, first: usize, end: usize): void {
  for (let t = first; t < end; t++) {
    const close = <u32>closest(count, t, t);
    const one = (close & (close - 1)) == 0;
    chooseAll(g, t, t + 1, one ? entryAt(list, ctz(close)) : nearest(list, count, at, load<f32>(t << 2, SCALES)));
  }
}

/** LINES of a list: A and B of every candidate. */
// @ts-ignore: decorator
@inline
function makeLines(list: usize, count: u32, at: usize): void {
  const stop = <usize>((count + 7) >>> 3) << 6;
  for (let p = list, to: usize = 0; to < stop; p += LIST_BLOCK, to += 64) {
    let q = v128.load8x8_u(p);
    let w = v128.load32_splat(at, ROOT);
    let wx = v128.load32_splat(0, TWICE);
    let l = low(q);
    let h = high(q);
    let a = f32x4.mul(w, f32x4.mul(l, l));
    let c = f32x4.mul(w, f32x4.mul(h, h));
    let b = f32x4.mul(wx, l);
    let d = f32x4.mul(wx, h);
    q = v128.load8x8_u(p, 8);
    w = v128.load32_splat(at, ROOT + 4);
    wx = v128.load32_splat(0, TWICE + 4);
    l = low(q);
    h = high(q);
    a = f32x4.add(a, f32x4.mul(w, f32x4.mul(l, l)));
    c = f32x4.add(c, f32x4.mul(w, f32x4.mul(h, h)));
    b = f32x4.add(b, f32x4.mul(wx, l));
    d = f32x4.add(d, f32x4.mul(wx, h));
    q = v128.load8x8_u(p, 16);
    w = v128.load32_splat(at, ROOT + 8);
    wx = v128.load32_splat(0, TWICE + 8);
    l = low(q);
    h = high(q);
    a = f32x4.add(a, f32x4.mul(w, f32x4.mul(l, l)));
    c = f32x4.add(c, f32x4.mul(w, f32x4.mul(h, h)));
    b = f32x4.add(b, f32x4.mul(wx, l));
    d = f32x4.add(d, f32x4.mul(wx, h));
    q = v128.load8x8_u(p, 24);
    w = v128.load32_splat(at, ROOT + 12);
    wx = v128.load32_splat(0, TWICE + 12);
    l = low(q);
    h = high(q);
    v128.store(to, f32x4.add(a, f32x4.mul(w, f32x4.mul(l, l))), LINES);
    v128.store(to, f32x4.add(c, f32x4.mul(w, f32x4.mul(h, h))), LINES + 16);
    v128.store(to, f32x4.add(b, f32x4.mul(wx, l)), LINES + 32);
    v128.store(to, f32x4.add(d, f32x4.mul(wx, h)), LINES + 48);
  }
}

/**
 * For trials t (in the low half) and u (in the high half): a bit for each candidate whose scale · A − B is the least,
 * or so close that the exact D̂ must decide.
 */
function closest(count: u32, t: usize, u: usize): u64 {
  const s = v128.load32_splat(t << 2, SCALES);
  const r = v128.load32_splat(u << 2, SCALES);
  const inverses = v128.shuffle<f32>(v128.load32_splat(t << 2, INVERSES), v128.load32_splat(u << 2, INVERSES), 0, 1, 4, 5);
  const doubt = f32x4.add(
    f32x4.mul(v128.load32_splat(0, DOUBTS), v128.shuffle<f32>(s, r, 0, 1, 4, 5)),
    f32x4.mul(v128.load32_splat(0, DOUBTS + 4), inverses),
  );
  if (count > 8) return closestOfMany(count, s, r, doubt);
  const s0 = score(s, 0);
  const s1 = score(s, 16);
  const r0 = score(r, 0);
  const r1 = score(r, 16);
  const limits = f32x4.add(leastOfBoth(f32x4.pmin(s0, s1), f32x4.pmin(r0, r1)), doubt);
  const bits = closeBits(s0, s1, r0, r1, limits) & (0x0101 * ((1 << count) - 1));
  return <u64>(bits & 255) | (<u64>(bits >>> 8) << 32);
}

function closestOfMany(count: u32, s: v128, r: v128, doubt: v128): u64 {
  const stop = <usize>((count + 7) >>> 3) << 6;
  let leastS = f32x4.splat(f32.MAX_VALUE);
  let leastR = leastS;
  for (let p: usize = 0; p < stop; p += 64) {
    leastS = f32x4.pmin(leastS, f32x4.pmin(score(s, p), score(s, p + 16)));
    leastR = f32x4.pmin(leastR, f32x4.pmin(score(r, p), score(r, p + 16)));
  }
  const limits = f32x4.add(leastOfBoth(leastS, leastR), doubt);
  let closeS: u32 = 0;
  let closeR: u32 = 0;
  let shift: u32 = 0;
  for (let p: usize = 0; p < stop; p += 64, shift += 8) {
    const bits = closeBits(score(s, p), score(s, p + 16), score(r, p), score(r, p + 16), limits);
    closeS |= (bits & 255) << shift;
    closeR |= (bits >>> 8) << shift;
  }
  const valid = (1 << count) - 1;
  return <u64>(closeS & valid) | (<u64>(closeR & valid) << 32);
}

// @ts-ignore: decorator
@inline
function score(scale: v128, p: usize): v128 {
  return f32x4.sub(f32x4.mul(scale, v128.load(p, LINES)), v128.load(p, LINES + 32));
}

/** The least lane of s, twice, and of r, twice. */
// @ts-ignore: decorator
@inline
function leastOfBoth(s: v128, r: v128): v128 {
  const two = f32x4.pmin(v128.shuffle<f32>(s, r, 0, 1, 4, 5), v128.shuffle<f32>(s, r, 2, 3, 6, 7));
  return f32x4.pmin(two, v128.shuffle<f32>(two, two, 1, 0, 3, 2));
}

// @ts-ignore: decorator
@inline
function closeBits(s0: v128, s1: v128, r0: v128, r1: v128, limits: v128): u32 {
  const s = v128.shuffle<f32>(limits, limits, 0, 0, 0, 0);
  const r = v128.shuffle<f32>(limits, limits, 2, 2, 2, 2);
  const a = i16x8.narrow_i32x4_s(f32x4.le(s0, s), f32x4.le(s1, s));
  const b = i16x8.narrow_i32x4_s(f32x4.le(r0, r), f32x4.le(r1, r));
  return i8x16.bitmask(i8x16.narrow_i16x8_s(a, b));
}

/** About the first trial in which candidate b is nearer than a. */
// @ts-ignore: decorator
@inline
function crossing(a: u32, b: u32): usize {
  const p = (<usize>(a & 24) << 3) + (<usize>(a & 7) << 2);
  const q = (<usize>(b & 24) << 3) + (<usize>(b & 7) << 2);
  const inverse = (load<f32>(p, LINES) - load<f32>(q, LINES)) / (load<f32>(p, LINES + 32) - load<f32>(q, LINES + 32));
  const trial = (inverse - load<f32>(0, INVERSES)) * load<f32>(0, PER_INVERSE);
  // Not a plain conversion, which traps on what is no integer of 32 bits.
  return max(0, i32x4.extract_lane(i32x4.trunc_sat_f32x4_s(f32x4.splat(trial)), 0)) + 1;
}

/** Whether x / 2 scale of an element lies on a threshold between two levels, or as good as. */
// @ts-ignore: decorator
@inline
function atThreshold(at: usize, halfInverse: f32): bool {
  let z = f32x4.mul(v128.load(at, X), f32x4.splat(halfInverse));
  z = f32x4.pmin(f32x4.pmax(z, f32x4.splat(0.5)), f32x4.splat(7.5));
  return v128.any_true(f32x4.lt(f32x4.abs(f32x4.sub(z, f32x4.nearest(z))), f32x4.splat(SLACK)));
}

/** The entry of one group of a regular sub-block. */
export function searchOnce(lattice: usize, at: usize, scale: f32): u32 {
  const halfInverse = <f32>0.5 * (<f32>1 / scale);
  const levels = rounded(v128.load(at, X), f32x4.splat(halfInverse), v128.load(0, HALF), v128.load(0, MAGIC));
  const words = i16x8.narrow_i32x4_s(levels, levels);
  let bits = <u32>i32x4.extract_lane(i8x16.min_u(i8x16.narrow_i16x8_u(words, words), v128.load(0, SEVEN)), 0);
  bits = (bits | (bits >>> 5)) & 0x003f003f;
  bits = (bits | (bits >>> 10)) & 0xfff;
  const point = load<u32>(lattice + (<usize>bits << 2), POINTS);
  if (point & ON_GRID) return point & 0xffff;
  if (winnerCount(point) == candidateCount(point) || atThreshold(at, halfInverse))
    return nearest(candidates(lattice, point), candidateCount(point), at, scale);
  return nearest(winners(lattice, point), winnerCount(point), at, scale);
}
