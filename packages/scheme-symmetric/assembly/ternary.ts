// What Q2_0, TQ1_0 and TQ2_0 share: the scale is the largest magnitude, every weight becomes -1, 0 or 1 scales.

/** ½ in every lane. In memory: V8 builds constant vectors anew at every use inside a loop. */
export const HALF: usize = 0;

// @ts-ignore: decorator
@inline
export function storeConstants(): void {
  v128.store(HALF, f32x4.splat(0.5));
}

/** The largest of four lanes. */
// @ts-ignore: decorator
@inline
export function highestLane(v: v128): f32 {
  const pairs = f32x4.pmax(v, v128.shuffle<f32>(v, v, 2, 3, 0, 1));
  return f32x4.extract_lane(f32x4.pmax(pairs, v128.shuffle<f32>(pairs, pairs, 1, 0, 3, 2)), 0);
}

/** -1, 0 or 1 in four lanes; halves round away from zero. */
// @ts-ignore: decorator
@inline
function level(x: v128, inverse: v128, half: v128): v128 {
  const scaled = f32x4.mul(x, inverse);
  return i32x4.sub(f32x4.le(scaled, f32x4.neg(half)), f32x4.ge(scaled, half));
}

/** -1, 0 or 1 of 16 weights as bytes. */
// @ts-ignore: decorator
@inline
export function ternary16(x: usize, inverse: v128, half: v128): v128 {
  return i8x16.narrow_i16x8_s(
    i16x8.narrow_i32x4_s(level(v128.load(x), inverse, half), level(v128.load(x, 16), inverse, half)),
    i16x8.narrow_i32x4_s(level(v128.load(x, 32), inverse, half), level(v128.load(x, 48), inverse, half)),
  );
}
