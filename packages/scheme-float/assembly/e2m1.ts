// E2M1, the four-bit float of MXFP4 and NVFP4: sign, two exponent bits, one mantissa bit. Everything here works with
// twice its values, which are whole numbers, and with a scale d that is half the stored one:
//
//   code        0    1    2    3    4    5    6    7     + 8: negative
//   value / d   0    1    2    3    4    6    8   12
//   halfway       ½   1½   2½   3½    5    7   10
//
// The nearest value wins, the smaller magnitude where two are equally near; zero has no sign. For |x| ≤ 16 d the
// differences that decide are exact in single precision, so comparing |x| with halfway · d decides the same.

const values = memory.data<i8>([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12]);

/** How many of the halfway points p … v lie below |x|, in each lane, negated. */
// @ts-ignore: decorator
@inline
function below(x: v128, p: v128, q: v128, r: v128, s: v128, t: v128, u: v128, v: v128): v128 {
  const size = f32x4.abs(x);
  const pq = i32x4.add(f32x4.gt(size, p), f32x4.gt(size, q));
  const rs = i32x4.add(f32x4.gt(size, r), f32x4.gt(size, s));
  const tu = i32x4.add(f32x4.gt(size, t), f32x4.gt(size, u));
  return i32x4.add(i32x4.add(pq, rs), i32x4.add(tu, f32x4.gt(size, v)));
}

// @ts-ignore: decorator
@inline
function narrow(a: v128, b: v128, c: v128, d: v128): v128 {
  return i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d));
}

/** Codes of the 16 weights at `source`, one per byte; `d` in every lane. */
// @ts-ignore: decorator
@inline
export function encodeE2m1(source: usize, d: v128): v128 {
  const a = v128.load(source);
  const b = v128.load(source, 16);
  const e = v128.load(source, 32);
  const f = v128.load(source, 48);
  const p = f32x4.mul(d, f32x4.splat(0.5));
  const q = f32x4.mul(d, f32x4.splat(1.5));
  const r = f32x4.mul(d, f32x4.splat(2.5));
  const s = f32x4.mul(d, f32x4.splat(3.5));
  const t = f32x4.mul(d, f32x4.splat(5));
  const u = f32x4.mul(d, f32x4.splat(7));
  const v = f32x4.mul(d, f32x4.splat(10));
  const ab = i16x8.narrow_i32x4_s(below(a, p, q, r, s, t, u, v), below(b, p, q, r, s, t, u, v));
  const ef = i16x8.narrow_i32x4_s(below(e, p, q, r, s, t, u, v), below(f, p, q, r, s, t, u, v));
  const codes = i8x16.neg(i8x16.narrow_i16x8_s(ab, ef));
  // Saturation keeps the sign of a float's bits. The sign bit of the code is 8, but for zero there is none.
  const negative = i8x16.lt_s(narrow(a, b, e, f), i8x16.splat(0));
  const sign = v128.and(v128.and(negative, i8x16.gt_s(codes, i8x16.splat(0))), i8x16.splat(8));
  return v128.or(codes, sign);
}

/** The code of one weight by the reference's own comparisons, for scales where the differences are not exact. */
export function encodeE2m1Slowly(x: f32, d: f32): u8 {
  const size = abs(x);
  let best = 0;
  let error = size;
  for (let code = 1; code < 8; code++) {
    const e: f32 = abs(<f32>load<i8>(values + code) * d - size);
    if (e < error) {
      best = code;
      error = e;
    }
  }
  return <u8>(best > 0 && x < 0 ? best | 8 : best);
}

/** Stores 16 weights at `target`: the codes in the bytes of `codes`, times `d`. */
// @ts-ignore: decorator
@inline
export function decodeE2m1(codes: v128, d: v128, target: usize): void {
  const bytes = i8x16.swizzle(v128.load(values), codes);
  const low = i16x8.extend_low_i8x16_s(bytes);
  const high = i16x8.extend_high_i8x16_s(bytes);
  v128.store(target, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(low)), d));
  v128.store(target, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(low)), d), 16);
  v128.store(target, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(high)), d), 32);
  v128.store(target, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(high)), d), 48);
}

/** The largest |x| of the 16 weights at `source`, each lane its own share: as bits, which order like the numbers. */
// @ts-ignore: decorator
@inline
export function largest(source: usize): v128 {
  const ab = i32x4.max_s(f32x4.abs(v128.load(source)), f32x4.abs(v128.load(source, 16)));
  const cd = i32x4.max_s(f32x4.abs(v128.load(source, 32)), f32x4.abs(v128.load(source, 48)));
  return i32x4.max_s(ab, cd);
}

/** The largest of four lanes. */
// @ts-ignore: decorator
@inline
export function largestLane(lanes: v128): i32 {
  const two = i32x4.max_s(lanes, v128.shuffle<i32>(lanes, lanes, 2, 3, 0, 1));
  return i32x4.extract_lane(i32x4.max_s(two, v128.shuffle<i32>(two, two, 1, 0, 3, 2)), 0);
}
