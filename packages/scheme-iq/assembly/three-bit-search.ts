// The entry nearest to four weights: llama.cpp rounds x / scale to a point of the lattice and, if that is no entry,
// takes the candidate q of the point with the smallest
//
//   D(q) = Σ w (scale q − x)²,    w the root of the element's weight, all in single precision, in the order of the
//                                 coordinates; of equals the first in the list
//
// for each of 31 or 19 trial scales.
import { nearestInt } from "@fewbit/assembly";
import { LIST_BLOCK, ON_GRID, POINTS, candidateCount, candidates, entryAt } from "./three-bit-lattice";
import { DISTANCES, INVERSES, REFUSED, ROOT, SCALES, WINNERS, X } from "./three-bit-scratch";

/** No candidate has a finite distance: llama.cpp gives up here. */
const NONE: u32 = 0xffffffff;

/** The first of the nearest candidates of a list, computed as llama.cpp does, with four candidates in the lanes. */
function nearest(list: usize, count: u32, at: usize, scale: f32): u32 {
  const s = f32x4.splat(scale);
  const w0 = v128.load32_splat(at, ROOT);
  const w1 = v128.load32_splat(at, ROOT + 4);
  const w2 = v128.load32_splat(at, ROOT + 8);
  const w3 = v128.load32_splat(at, ROOT + 12);
  const x0 = v128.load32_splat(at, X);
  const x1 = v128.load32_splat(at, X + 4);
  const x2 = v128.load32_splat(at, X + 8);
  const x3 = v128.load32_splat(at, X + 12);
  let least = f32x4.splat(f32.MAX_VALUE);
  const end = list + LIST_BLOCK * <usize>((count + 3) >>> 2);
  for (let p = list, to: usize = 0; p < end; p += LIST_BLOCK, to += 16) {
    const bytes = v128.load(p);
    const low = i16x8.extend_low_i8x16_u(bytes);
    const high = i16x8.extend_high_i8x16_u(bytes);
    let distance = term(s, i32x4.extend_low_i16x8_u(low), w0, x0);
    distance = f32x4.add(distance, term(s, i32x4.extend_high_i16x8_u(low), w1, x1));
    distance = f32x4.add(distance, term(s, i32x4.extend_low_i16x8_u(high), w2, x2));
    distance = f32x4.add(distance, term(s, i32x4.extend_high_i16x8_u(high), w3, x3));
    v128.store(to, distance, DISTANCES);
    least = f32x4.pmin(least, distance);
  }
  least = f32x4.pmin(least, v128.shuffle<f32>(least, least, 2, 3, 0, 1));
  least = f32x4.pmin(least, v128.shuffle<f32>(least, least, 1, 0, 3, 2));
  if (f32x4.extract_lane(least, 0) == f32.MAX_VALUE) return NONE;
  let c: u32 = 0;
  let equal = 0;
  for (let from: usize = 0; c < count; from += 16, c += 4) {
    equal = i32x4.bitmask(f32x4.eq(v128.load(from, DISTANCES), least));
    if (equal) break;
  }
  return entryAt(list, c + ctz(equal));
}

// @ts-ignore: decorator
@inline
function term(s: v128, q: v128, w: v128, x: v128): v128 {
  const difference = f32x4.sub(f32x4.mul(s, f32x4.convert_i32x4_s(q)), x);
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
  const entry = nearest(candidates(lattice, found), candidateCount(found), at, scale);
  if (entry != NONE) return entry;
  store<u32>(0, 1, REFUSED);
  return 0;
}

/** Winners of all trials of the sub-block at offset `at`, one by one. */
export function searchPlainly(lattice: usize, at: usize, trials: usize): void {
  for (let t: usize = 0; t < trials; t++)
    for (let g: usize = 0; g < 8; g++) {
      const group = at + (g << 4);
      const point = roundPlainly(group, load<f32>(t << 2, INVERSES));
      store<u16>((t << 4) + (g << 1), <u16>entryOf(lattice, point, group, load<f32>(t << 2, SCALES)), WINNERS);
    }
}

/** The entry of one group under any scale. */
export function searchOnce(lattice: usize, at: usize, scale: f32): u32 {
  return entryOf(lattice, roundPlainly(at, <f32>1 / scale), at, scale);
}

/** Whether the group's point under this inverse scale is an entry. */
export function isOnGrid(lattice: usize, at: usize, inverse: f32): bool {
  return (load<u32>(lattice + (<usize>roundPlainly(at, inverse) << 2), POINTS) & ON_GRID) != 0;
}
