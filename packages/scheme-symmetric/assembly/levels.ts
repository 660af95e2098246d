// Levels of sixteen weights as bytes.
import { nearestInts } from "@fewbit/assembly";

/**
 * round(x ⁄ scale) + zero, clamped to 0 … highest, for the sixteen weights at `x`. The rounding wraps as llama.cpp's
 * does beyond ±2²²; narrowing saturates, which is the lower clamp.
 */
// @ts-ignore: decorator
@inline
export function levels(x: usize, scale: v128, zero: v128, highest: v128): v128 {
  const a = i32x4.add(nearestInts(f32x4.div(v128.load(x), scale)), zero);
  const b = i32x4.add(nearestInts(f32x4.div(v128.load(x, 16), scale)), zero);
  const c = i32x4.add(nearestInts(f32x4.div(v128.load(x, 32), scale)), zero);
  const d = i32x4.add(nearestInts(f32x4.div(v128.load(x, 48), scale)), zero);
  const bytes = i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d));
  return i8x16.min_u(bytes, highest);
}

/** The same with a factor instead of a divisor: the levels of a search. */
// @ts-ignore: decorator
@inline
export function levelsOfSearch(x: usize, inverse: v128, zero: v128, highest: v128): v128 {
  const a = i32x4.add(nearestInts(f32x4.mul(v128.load(x), inverse)), zero);
  const b = i32x4.add(nearestInts(f32x4.mul(v128.load(x, 16), inverse)), zero);
  const c = i32x4.add(nearestInts(f32x4.mul(v128.load(x, 32), inverse)), zero);
  const d = i32x4.add(nearestInts(f32x4.mul(v128.load(x, 48), inverse)), zero);
  const bytes = i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d));
  return i8x16.min_u(bytes, highest);
}

/** Sixteen signed bytes times a scale, to sixteen float32. */
// @ts-ignore: decorator
@inline
export function storeScaled(target: usize, bytes: v128, scale: f32): void {
  const factor = f32x4.splat(scale);
  const low = i16x8.extend_low_i8x16_s(bytes);
  const high = i16x8.extend_high_i8x16_s(bytes);
  v128.store(target, f32x4.mul(factor, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(low))));
  v128.store(target, f32x4.mul(factor, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(low))), 16);
  v128.store(target, f32x4.mul(factor, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(high))), 32);
  v128.store(target, f32x4.mul(factor, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(high))), 48);
}
