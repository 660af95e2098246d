// The entry nearest to four weights: llama.cpp rounds x / scale to a point of the lattice and, if that is no entry,
// takes the candidate q of the point with the smallest
//
//   D(q) = Σ w (scale q − x)²,    w the root of the element's weight, all in single precision, in the order of the
//                                 coordinates; of equals the first in the list
//
// for each of 31 or 19 trial scales (three-bit-runs.ts), and for the scale fitted then.
//
// Left-out candidates (three-bit-lattice.ts). Candidate b crosses all thresholds from the point that a crosses, and
// more. If in each coordinate the computed |scale q − x| is no smaller for b than for a, so is each computed term,
// and, rounding being monotonic, each partial sum: D̂(b) ≥ D̂(a), and a, being nearer to the point, comes first in the
// list. A coordinate can break this only if x / 2 scale lies at a threshold, 1, 2 … 7, to within rounding, 48 u with u
// = 2⁻²⁴; where it is nearer than SLACK = 64 u, all candidates are compared.
import { nearestInt } from "@fewbit/assembly";
import {
  LIST_BLOCK, ON_GRID, POINTS, candidateCount, candidates, entryAt, winnerCount, winners,
} from "./three-bit-lattice";
import { DISTANCES, HALF, MAGIC, REFUSED, ROOT, SEVEN, X } from "./three-bit-scratch";

const SLACK: f32 = 64 / 16777216;

/** The first of the nearest candidates of a list, computed as llama.cpp does, with candidates in the lanes. */
export function nearest(list: usize, count: u32, at: usize, scale: f32): u32 {
  const s = f32x4.splat(scale);
  let least = f32x4.splat(f32.MAX_VALUE);
  const stop = <usize>((count + 7) >>> 3) << 5;
  for (let p = list, to: usize = 0; to < stop; p += LIST_BLOCK, to += 32) {
    let q = v128.load(p);
    let w = v128.load32_splat(at, ROOT);
    let x = v128.load32_splat(at, X);
    let a = term(s, low(q), w, x);
    let b = term(s, high(q), w, x);
    q = v128.load(p, 16);
    w = v128.load32_splat(at, ROOT + 4);
    x = v128.load32_splat(at, X + 4);
    a = f32x4.add(a, term(s, low(q), w, x));
    b = f32x4.add(b, term(s, high(q), w, x));
    q = v128.load(p, 32);
    w = v128.load32_splat(at, ROOT + 8);
    x = v128.load32_splat(at, X + 8);
    a = f32x4.add(a, term(s, low(q), w, x));
    b = f32x4.add(b, term(s, high(q), w, x));
    q = v128.load(p, 48);
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
  for (let from: usize = 0; from < stop; from += 32, c += 8) {
    const a = f32x4.eq(v128.load(from, DISTANCES), least);
    const b = f32x4.eq(v128.load(from, DISTANCES + 16), least);
    const words = i16x8.narrow_i32x4_s(a, b);
    equal = i16x8.bitmask(words);
    if (equal) break;
  }
  return entryAt(list, c + ctz(equal));
}

/** The first four of eight coordinates. */
// @ts-ignore: decorator
@inline
export function low(q: v128): v128 {
  return v128.shuffle<i16>(i16x8.splat(0), q, 0, 8, 1, 9, 2, 10, 3, 11);
}

/** The last four. */
// @ts-ignore: decorator
@inline
export function high(q: v128): v128 {
  return v128.shuffle<i16>(i16x8.splat(0), q, 4, 12, 5, 13, 6, 14, 7, 15);
}

// @ts-ignore: decorator
@inline
function term(s: v128, q: v128, w: v128, x: v128): v128 {
  const difference = f32x4.sub(f32x4.mul(s, q), x);
  return f32x4.mul(f32x4.mul(w, difference), difference);
}

/** The point that the group of four elements at offset `at` rounds to, as llama.cpp computes it for all numbers. */
export function roundPlainly(at: usize, inverse: f32): u32 {
  let point: u32 = 0;
  for (let j: usize = 0; j < 4; j++) {
    const level = nearestInt(<f32>0.5 * (inverse * load<f32>(at + (j << 2), X) - <f32>1));
    point |= <u32>max(0, min(7, level)) << (3 * <u32>j);
  }
  return point;
}

/** The entry of a point, or the nearest of all its candidates. */
export function entryOf(lattice: usize, point: u32, at: usize, scale: f32): u32 {
  const found = load<u32>(lattice + (<usize>point << 2), POINTS);
  if (found & ON_GRID) return found & 0xffff;
  return nearest(candidates(lattice, found), candidateCount(found), at, scale);
}

/** The entry of one group under any scale. */
export function searchOncePlainly(lattice: usize, at: usize, scale: f32): u32 {
  return entryOf(lattice, roundPlainly(at, <f32>1 / scale), at, scale);
}

/**
 * Levels of four elements of a regular sub-block: with z = x / 2 scale, the integers nearest to z − ½, ties to even.
 * The difference is exact where it matters, as is 2 z − 1 in llama.cpp.
 */
// @ts-ignore: decorator
@inline
export function rounded(x: v128, halfInverse: v128, half: v128, magic: v128): v128 {
  return i32x4.sub(f32x4.add(f32x4.sub(f32x4.mul(x, halfInverse), half), magic), magic);
}

/** Whether x / 2 scale of an element lies on a threshold between two levels, or as good as. */
// @ts-ignore: decorator
@inline
export function atThreshold(at: usize, halfInverse: f32): bool {
  return v128.any_true(f32x4.lt(thresholdDistance(v128.load(at, X), halfInverse), f32x4.splat(SLACK)));
}

// @ts-ignore: decorator
@inline
function thresholdDistance(x: v128, halfInverse: f32): v128 {
  const z = f32x4.pmin(f32x4.pmax(f32x4.mul(x, f32x4.splat(halfInverse)), f32x4.splat(0.5)), f32x4.splat(7.5));
  return f32x4.abs(f32x4.sub(z, f32x4.nearest(z)));
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
