// BF16: one weight is the upper half of a float32, little-endian, rounded to nearest even. Subnormals are kept; a NaN
// becomes quiet and keeps its upper bits.
//
//   rows     f0 f1 f2 f3 | f4 f5 f6 f7      2 × 4 × f32
//   blocks   b0 b1 b2 b3   b4 b5 b6 b7      8 × u16
import { firstWithExponent } from "./invalid";

/** The bfloat16 of each lane in its low half. */
// @ts-ignore: decorator
@inline
function encodeBrains(f: v128): v128 {
  const upper = i32x4.shr_u(f, 16);
  const half = i32x4.add(v128.and(upper, i32x4.splat(1)), i32x4.splat(0x7fff));
  const number = i32x4.shr_u(i32x4.add(f, half), 16);
  return v128.bitselect(v128.or(upper, i32x4.splat(0x40)), number, f32x4.ne(f, f));
}

export function bf16_encode(source: usize, target: usize, rows: i32, columns: i32): void {
  const end = source + ((<usize>rows * columns) << 2);
  for (; source + 32 <= end; source += 32, target += 16) {
    const low = encodeBrains(v128.load(source));
    const high = encodeBrains(v128.load(source, 16));
    v128.store(target, i16x8.narrow_i32x4_u(low, high));
  }
  for (; source < end; source += 4, target += 2)
    store<u16>(target, <u16>i32x4.extract_lane(encodeBrains(v128.load32_splat(source)), 0));
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
