// Levels of sixteen weights as bytes.

// Constants of `levels` in memory: V8 would rebuild them at every use inside loops.
const MAGIC: usize = 512;
const MANTISSA: usize = MAGIC + 16;
const OFFSET: usize = MANTISSA + 16;
const HIGHEST: usize = OFFSET + 16;

/** For the calls of `levels` that follow: levels from 0 to 2 · reach − 1, where `reach` stands for zero. */
export function makeLevelConstants(reach: i32): void {
  v128.store(MAGIC, f32x4.splat(12582912.0));
  v128.store(MANTISSA, i32x4.splat(0x007fffff));
  v128.store(OFFSET, offset(reach));
  v128.store(HIGHEST, i8x16.splat(<i8>(2 * reach - 1)));
}

/** What is subtracted from the mantissa of a rounded number so that zero becomes level `zero`. */
// @ts-ignore: decorator
@inline
export function offset(zero: i32): v128 {
  return i32x4.splat(0x00400000 - zero);
}

/**
 * round(x ⁄ scale), clamped, for the sixteen weights at `x`. The rounding wraps as llama.cpp's does beyond ±2²²;
 * narrowing saturates, which is the lower clamp.
 */
// @ts-ignore: decorator
@inline
export function levels(x: usize, scale: f32): v128 {
  const divisor = f32x4.splat(scale);
  return bytesOf(
    f32x4.div(v128.load(x), divisor),
    f32x4.div(v128.load(x, 16), divisor),
    f32x4.div(v128.load(x, 32), divisor),
    f32x4.div(v128.load(x, 48), divisor),
    v128.load(0, MAGIC),
    v128.load(0, MANTISSA),
    v128.load(0, OFFSET),
    v128.load(0, HIGHEST),
  );
}

/** round(inverse · x) + zero, clamped to 0 … highest, for the sixteen weights at `x`: the levels of a search. */
// @ts-ignore: decorator
@inline
export function levelsOfSearch(x: usize, inverse: v128, offset: v128, highest: v128): v128 {
  return bytesOf(
    f32x4.mul(v128.load(x), inverse),
    f32x4.mul(v128.load(x, 16), inverse),
    f32x4.mul(v128.load(x, 32), inverse),
    f32x4.mul(v128.load(x, 48), inverse),
    f32x4.splat(12582912.0),
    i32x4.splat(0x007fffff),
    offset,
    highest,
  );
}

// @ts-ignore: decorator
@inline
function bytesOf(
  a: v128, b: v128, c: v128, d: v128,
  magic: v128, mantissa: v128, offset: v128, highest: v128,
): v128 {
  const ab = i16x8.narrow_i32x4_s(wrapped(a, magic, mantissa, offset), wrapped(b, magic, mantissa, offset));
  const cd = i16x8.narrow_i32x4_s(wrapped(c, magic, mantissa, offset), wrapped(d, magic, mantissa, offset));
  return i8x16.min_u(i8x16.narrow_i16x8_u(ab, cd), highest);
}

// @ts-ignore: decorator
@inline
function wrapped(x: v128, magic: v128, mantissa: v128, offset: v128): v128 {
  return i32x4.sub(v128.and(f32x4.add(x, magic), mantissa), offset);
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
