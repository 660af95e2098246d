/** Adding and subtracting 1.5·2²³ rounds to the nearest integer, ties to even, for |v| ≤ 4194303. */
// @ts-ignore: decorator
@inline
export function nearest(v: v128): v128 {
  return f32x4.sub(f32x4.add(v, f32x4.splat(12582912.0)), f32x4.splat(12582912.0));
}

/** llama.cpp's nearest_int, which wraps silently beyond ±2²²: the mantissa bits of the shifted number. */
// @ts-ignore: decorator
@inline
export function nearestInt(v: f32): i32 {
  return (reinterpret<i32>(v + <f32>12582912.0) & 0x007fffff) - 0x00400000;
}

/** `nearestInt` in every lane. */
// @ts-ignore: decorator
@inline
export function nearestInts(v: v128): v128 {
  const bits = f32x4.add(v, f32x4.splat(12582912.0));
  return i32x4.sub(v128.and(bits, i32x4.splat(0x007fffff)), i32x4.splat(0x00400000));
}
