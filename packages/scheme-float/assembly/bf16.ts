// BF16: one weight is the upper half of a float32, little-endian, rounded to nearest even. Subnormals are kept; a NaN
// becomes quiet and keeps its upper bits.
//
//   rows     f0 f1 f2 f3 | f4 f5 f6 f7      2 × 4 × f32
//   blocks   b0 b1 b2 b3   b4 b5 b6 b7      8 × u16
import { firstWithExponent } from "./invalid";

/** In memory: as literals V8 would build them anew in every round of the loop. */
const constants = memory.data<u32>([1, 0x7fff, 0x40]);

/** The bfloat16 of each lane in its low half. */
// @ts-ignore: decorator
@inline
function encodeFour(f: v128, one: v128, half: v128, quiet: v128): v128 {
  const upper = i32x4.shr_u(f, 16);
  const rounded = i32x4.add(i32x4.add(f, half), v128.and(upper, one));
  return v128.bitselect(v128.or(upper, quiet), i32x4.shr_u(rounded, 16), f32x4.ne(f, f));
}

export function bf16_encode(source: usize, target: usize, rows: i32, columns: i32): void {
  const one = v128.load32_splat(constants, 0);
  const half = v128.load32_splat(constants, 4);
  const quiet = v128.load32_splat(constants, 8);
  const end = source + ((<usize>rows * columns) << 2);
  for (; source + 32 <= end; source += 32, target += 16) {
    const low = encodeFour(v128.load(source), one, half, quiet);
    const high = encodeFour(v128.load(source, 16), one, half, quiet);
    v128.store(target, i16x8.narrow_i32x4_u(low, high));
  }
  for (; source < end; source += 4, target += 2)
    store<u16>(target, <u16>i32x4.extract_lane(encodeFour(v128.load32_splat(source), one, half, quiet), 0));
}

export function bf16_decode(source: usize, target: usize, blocks: i32): void {
  const zero = i32x4.splat(0);
  const end = source + (<usize>blocks << 1);
  for (; source + 16 <= end; source += 16, target += 32) {
    const brains = v128.load(source);
    v128.store(target, v128.shuffle<i16>(zero, brains, 0, 8, 1, 9, 2, 10, 3, 11));
    v128.store(target, v128.shuffle<i16>(zero, brains, 4, 12, 5, 13, 6, 14, 7, 15), 16);
  }
  for (; source < end; source += 2, target += 4) store<u32>(target, <u32>load<u16>(source) << 16);
}

/** The first NaN or infinity, or -1. */
export function bf16_invalid(source: usize, blocks: i32): i32 {
  return firstWithExponent(source, blocks, 0x7f80);
}
