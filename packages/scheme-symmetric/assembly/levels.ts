// Levels of sixteen weights as bytes.

/** What `levels` subtracts from the mantissa of a rounded number so that zero becomes level `zero`. */
// @ts-ignore: decorator
@inline
export function offset(zero: i32): v128 {
  return i32x4.splat(0x00400000 - zero);
}

/**
 * round(x ⁄ scale) + zero, clamped to 0 … highest, for the sixteen weights at `x`. The rounding wraps as llama.cpp's
 * does beyond ±2²²; narrowing saturates, which is the lower clamp.
 */
// @ts-ignore: decorator
@inline
export function levels(x: usize, scale: v128, offset: v128, highest: v128): v128 {
  return bytesOf(
    f32x4.div(v128.load(x), scale),
    f32x4.div(v128.load(x, 16), scale),
    f32x4.div(v128.load(x, 32), scale),
    f32x4.div(v128.load(x, 48), scale),
    offset,
    highest,
  );
}

/** The same with a factor instead of a divisor: the levels of a search. */
// @ts-ignore: decorator
@inline
export function levelsOfSearch(x: usize, inverse: v128, offset: v128, highest: v128): v128 {
  return bytesOf(
    f32x4.mul(v128.load(x), inverse),
    f32x4.mul(v128.load(x, 16), inverse),
    f32x4.mul(v128.load(x, 32), inverse),
    f32x4.mul(v128.load(x, 48), inverse),
    offset,
    highest,
  );
}

// @ts-ignore: decorator
@inline
function bytesOf(a: v128, b: v128, c: v128, d: v128, offset: v128, highest: v128): v128 {
  const ab = i16x8.narrow_i32x4_s(wrapped(a, offset), wrapped(b, offset));
  const cd = i16x8.narrow_i32x4_s(wrapped(c, offset), wrapped(d, offset));
  return i8x16.min_u(i8x16.narrow_i16x8_u(ab, cd), highest);
}

// @ts-ignore: decorator
@inline
function wrapped(x: v128, offset: v128): v128 {
  const mantissa = v128.and(f32x4.add(x, f32x4.splat(12582912.0)), i32x4.splat(0x007fffff));
  return i32x4.sub(mantissa, offset);
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
