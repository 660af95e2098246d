// The scales of the sub-blocks as odd multiples of a 62nd of the largest: (2 l + 1) d / 2, l = 0 … 15.
import { nearestInt, nearestInts } from "@fewbit/assembly";
import { SUB_SCALES } from "./two-bit-scratch";

/** Levels of four sub-scales, from sub-block 4 i on. */
// @ts-ignore: decorator
@inline
function levels(i: usize, inverse: v128): v128 {
  const half = f32x4.splat(0.5);
  const value = f32x4.mul(half, f32x4.sub(f32x4.mul(inverse, v128.load(i << 4, SUB_SCALES)), f32x4.splat(1)));
  return i32x4.max_s(i32x4.splat(0), i32x4.min_s(i32x4.splat(15), nearestInts(value)));
}

/** Sixteen levels, two to a byte, the even ones in the low nibbles. */
export function packSubScales(factor: f32, target: usize): void {
  const inverse = f32x4.splat(<f32>1 / factor);
  const bytes = i8x16.narrow_i16x8_u(
    i16x8.narrow_i32x4_u(levels(0, inverse), levels(1, inverse)),
    i16x8.narrow_i32x4_u(levels(2, inverse), levels(3, inverse)),
  );
  const pairs = v128.and(v128.or(bytes, i16x8.shr_u(bytes, 4)), i16x8.splat(255));
  store<u64>(target, i64x2.extract_lane(i8x16.narrow_i16x8_u(pairs, pairs), 0));
}

/** The level of one scale. */
export function subScale(j: usize, factor: f32): u32 {
  const inverse: f32 = <f32>1 / factor;
  const level = nearestInt(<f32>0.5 * (inverse * load<f32>(j << 2, SUB_SCALES) - <f32>1));
  return <u32>max<i32>(0, min<i32>(15, level));
}
