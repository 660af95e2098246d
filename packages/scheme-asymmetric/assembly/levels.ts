// Levels as bytes, sixteen at a time.
import { nearestInts } from "@fewbit/assembly";

/** Rounds as the reference does, then clamps to a byte. */
// @ts-ignore: decorator
@inline
function sixteen(a: v128, b: v128, c: v128, d: v128): v128 {
  return i8x16.narrow_i16x8_u(
    i16x8.narrow_i32x4_s(nearestInts(a), nearestInts(b)),
    i16x8.narrow_i32x4_s(nearestInts(c), nearestInts(d)),
  );
}

/** The levels that the search saw: (x − shift) · inverse. */
// @ts-ignore: decorator
@inline
export function searched(x: usize, inverse: f32, shift: f32): v128 {
  const i = f32x4.splat(inverse);
  const s = f32x4.splat(shift);
  return sixteen(
    f32x4.mul(i, f32x4.sub(v128.load(x), s)),
    f32x4.mul(i, f32x4.sub(v128.load(x, 16), s)),
    f32x4.mul(i, f32x4.sub(v128.load(x, 32), s)),
    f32x4.mul(i, f32x4.sub(v128.load(x, 48), s)),
  );
}

/** The levels nearest to the weights: (x + min) ÷ scale. */
// @ts-ignore: decorator
@inline
export function spaced(x: usize, scale: f32, min: f32): v128 {
  const s = f32x4.splat(scale);
  const m = f32x4.splat(min);
  return sixteen(
    f32x4.div(f32x4.add(v128.load(x), m), s),
    f32x4.div(f32x4.add(v128.load(x, 16), m), s),
    f32x4.div(f32x4.add(v128.load(x, 32), m), s),
    f32x4.div(f32x4.add(v128.load(x, 48), m), s),
  );
}

/** Sixteen levels, one byte each, to scale · level − min. */
// @ts-ignore: decorator
@inline
export function expand(levels: v128, scale: v128, min: v128, target: usize): void {
  const low = i16x8.extend_low_i8x16_u(levels);
  const high = i16x8.extend_high_i8x16_u(levels);
  v128.store(target, value(i32x4.extend_low_i16x8_u(low), scale, min));
  v128.store(target, value(i32x4.extend_high_i16x8_u(low), scale, min), 16);
  v128.store(target, value(i32x4.extend_low_i16x8_u(high), scale, min), 32);
  v128.store(target, value(i32x4.extend_high_i16x8_u(high), scale, min), 48);
}

/** 32 levels, two bytes each, to scale · level − min. */
// @ts-ignore: decorator
@inline
export function store32(a: v128, b: v128, c: v128, d: v128, scale: v128, min: v128, target: usize): void {
  v128.store(target, value(i32x4.extend_low_i16x8_u(a), scale, min));
  v128.store(target, value(i32x4.extend_high_i16x8_u(a), scale, min), 16);
  v128.store(target, value(i32x4.extend_low_i16x8_u(b), scale, min), 32);
  v128.store(target, value(i32x4.extend_high_i16x8_u(b), scale, min), 48);
  v128.store(target, value(i32x4.extend_low_i16x8_u(c), scale, min), 64);
  v128.store(target, value(i32x4.extend_high_i16x8_u(c), scale, min), 80);
  v128.store(target, value(i32x4.extend_low_i16x8_u(d), scale, min), 96);
  v128.store(target, value(i32x4.extend_high_i16x8_u(d), scale, min), 112);
}

// @ts-ignore: decorator
@inline
function value(levels: v128, scale: v128, min: v128): v128 {
  return f32x4.sub(f32x4.mul(scale, f32x4.convert_i32x4_s(levels)), min);
}
