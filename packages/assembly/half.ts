// IEEE half precision in integer arithmetic, rounding to nearest even: bit for bit what llama.cpp's portable
// build computes (ggml-impl.h, after Maratyszcza/FP16), on all inputs including NaN (which becomes 0x7e00 | sign).

/** float32 → float16 bits in the low half of each lane. */
// @ts-ignore: decorator
@inline
export function encodeHalves(f: v128): v128 {
  let base = f32x4.abs(f);
  base = f32x4.mul(f32x4.mul(base, f32x4.splat(reinterpret<f32>(0x77800000))), f32x4.splat(reinterpret<f32>(0x08800000)));
  const twice = i32x4.add(f, f);
  const bias = i32x4.max_u(v128.and(twice, i32x4.splat(0xff000000)), i32x4.splat(0x71000000));
  base = f32x4.add(i32x4.add(i32x4.shr_u(bias, 1), i32x4.splat(0x07800000)), base);
  const exponent = v128.and(i32x4.shr_u(base, 13), i32x4.splat(0x7c00));
  const number = i32x4.add(exponent, v128.and(base, i32x4.splat(0x0fff)));
  const nan = i32x4.gt_u(twice, i32x4.splat(0xff000000));
  const sign = i32x4.shr_u(v128.and(f, i32x4.splat(0x80000000)), 16);
  return v128.or(sign, v128.bitselect(i32x4.splat(0x7e00), number, nan));
}

// @ts-ignore: decorator
@inline
export function encodeHalf(f: f32): u16 {
  return <u16>i32x4.extract_lane(encodeHalves(f32x4.splat(f)), 0);
}

/** float16 bits in the low half of each lane (upper half zero) → float32. */
// @ts-ignore: decorator
@inline
export function decodeHalves(h: v128): v128 {
  const w = i32x4.shl(h, 16);
  const sign = v128.and(w, i32x4.splat(0x80000000));
  const twice = i32x4.add(w, w);
  const normal = f32x4.mul(i32x4.add(i32x4.shr_u(twice, 4), i32x4.splat(0x70000000)), f32x4.splat(reinterpret<f32>(0x07800000)));
  const small = f32x4.sub(v128.or(i32x4.shr_u(twice, 17), i32x4.splat(126 << 23)), f32x4.splat(0.5));
  return v128.or(sign, v128.bitselect(small, normal, i32x4.lt_u(twice, i32x4.splat(1 << 27))));
}

// @ts-ignore: decorator
@inline
export function decodeHalf(h: u16): f32 {
  return f32x4.extract_lane(decodeHalves(i32x4.splat(<i32>h)), 0);
}
