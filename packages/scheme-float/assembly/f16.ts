// F16: one weight is one IEEE half, little-endian, rounded to nearest even; NaN becomes 0x7e00 with its sign. Eight
// weights are two vectors of four, narrowed to one of eight:
//
//   rows     f0 f1 f2 f3 | f4 f5 f6 f7      2 × 4 × f32
//   blocks   h0 h1 h2 h3   h4 h5 h6 h7      8 × u16
//
// The constants stay in memory: as literals V8 would build them anew in every round of the loops.
import { decodeHalf, encodeHalf } from "@fewbit/assembly";
import { firstWithExponent } from "./invalid";

const encoding = memory.data<u32>([
  1,
  0xc8000fff, // (15 − 127) << 23, and a little less than half a unit in the last place
  126 << 23, // 0.5, whose last place is that of a subnormal half; 2^-14 is the smallest normal
  113 << 23,
  0x7c00, // infinity
  0x7e00, // NaN
]);

const decoding = memory.data<u32>([
  0x80000000,
  0x70000000, // 224 << 23: with a float of that exponent the product reaches infinity where a half does
  0x07800000, // 2^-112
  126 << 23, // 0.5
  1 << 23,
]);

// @ts-ignore: decorator
@inline
function encodeFour(f: v128, one: v128, rebias: v128, half: v128, normal: v128, infinity: v128, nan: v128): v128 {
  const size = f32x4.abs(f);
  const sign = i32x4.shr_u(v128.xor(f, size), 16);
  const odd = v128.and(i32x4.shr_u(size, 13), one);
  const large = i32x4.min_s(i32x4.shr_u(i32x4.add(i32x4.add(size, rebias), odd), 13), infinity);
  const small = i32x4.sub(f32x4.add(size, half), half);
  const number = v128.bitselect(small, large, i32x4.gt_s(normal, size));
  return v128.or(sign, v128.bitselect(nan, number, f32x4.ne(f, f)));
}

export function f16_encode(source: usize, target: usize, rows: i32, columns: i32): void {
  const one = v128.load32_splat(encoding, 0);
  const rebias = v128.load32_splat(encoding, 4);
  const half = v128.load32_splat(encoding, 8);
  const normal = v128.load32_splat(encoding, 12);
  const infinity = v128.load32_splat(encoding, 16);
  const nan = v128.load32_splat(encoding, 20);
  const end = source + ((<usize>rows * columns) << 2);
  for (; source + 32 <= end; source += 32, target += 16) {
    const low = encodeFour(v128.load(source), one, rebias, half, normal, infinity, nan);
    const high = encodeFour(v128.load(source, 16), one, rebias, half, normal, infinity, nan);
    v128.store(target, i16x8.narrow_i32x4_u(low, high));
  }
  for (; source < end; source += 4, target += 2) store<u16>(target, encodeHalf(load<f32>(source)));
}

// @ts-ignore: decorator
@inline
function decodeFour(h: v128, signs: v128, bias: v128, scale: v128, half: v128, normal: v128): v128 {
  const upper = i32x4.shl(h, 16);
  const twice = i32x4.add(upper, upper);
  const size = i32x4.shr_u(twice, 4);
  const large = f32x4.mul(i32x4.add(size, bias), scale);
  const small = f32x4.sub(v128.or(i32x4.shr_u(twice, 17), half), half);
  return v128.or(v128.and(upper, signs), v128.bitselect(small, large, i32x4.gt_s(normal, size)));
}

export function f16_decode(source: usize, target: usize, blocks: i32): void {
  const signs = v128.load32_splat(decoding, 0);
  const bias = v128.load32_splat(decoding, 4);
  const scale = v128.load32_splat(decoding, 8);
  const half = v128.load32_splat(decoding, 12);
  const normal = v128.load32_splat(decoding, 16);
  const end = source + (<usize>blocks << 1);
  for (; source + 16 <= end; source += 16, target += 32) {
    const halves = v128.load(source);
    v128.store(target, decodeFour(i32x4.extend_low_i16x8_u(halves), signs, bias, scale, half, normal));
    v128.store(target, decodeFour(i32x4.extend_high_i16x8_u(halves), signs, bias, scale, half, normal), 16);
  }
  for (; source < end; source += 2, target += 4) store<f32>(target, decodeHalf(load<u16>(source)));
}

/** The first NaN or infinity, or -1. */
export function f16_invalid(source: usize, blocks: i32): i32 {
  return firstWithExponent(source, blocks, 0x7c00);
}
