import { decodeHalf, encodeHalf } from "@fewbit/assembly";
import { largest256 } from "./extremes";
import { storeScaled } from "./levels";
import { HALF, highestLane, storeConstants, ternary16 } from "./ternary";

//   block of 256 weights   | 32 × (five trits of weights 32 apart) | 16 × (five trits, 16 apart)
//                          | 4 × (four trits, 4 apart) | scale f16 |   54 bytes
//
// A byte is the fraction 0.t₀t₁t₂t₃t₄ in base 3, in units of 1⁄256 and rounded up: multiplying by 3 pushes out one
// trit after the other.
const WEIGHTS: u32 = 256 * 4;
const BLOCK: u32 = 48 + 4 + 2;

/** 3 n + trit, in bytes. */
// @ts-ignore: decorator
@inline
function append(n: v128, trit: v128): v128 {
  return i8x16.add(i8x16.add(n, n), i8x16.add(n, trit));
}

/** ⌈256 n ⁄ 243⌉ = n + ⌈13 n ⁄ 243⌉ of bytes up to 242; the fixed-point form was checked for all of them. */
// @ts-ignore: decorator
@inline
function fraction(n: v128): v128 {
  const low = fraction8(i16x8.extend_low_i8x16_u(n));
  const high = fraction8(i16x8.extend_high_i8x16_u(n));
  return i8x16.narrow_i16x8_u(low, high);
}

// @ts-ignore: decorator
@inline
function fraction8(n: v128): v128 {
  const times13 = i16x8.mul(n, i16x8.splat(13));
  return i16x8.add(n, i16x8.q15mulr_sat_s(i16x8.add(times13, i16x8.splat(120)), i16x8.splat(135)));
}

/** Sixteen bytes of five trits of weights that are `stride` bytes apart. */
// @ts-ignore: decorator
@inline
function encode16(source: usize, stride: usize, target: usize, inverse: v128, half: v128): void {
  const one = i8x16.splat(1);
  let n = i8x16.add(ternary16(source, inverse, half), one);
  n = append(n, i8x16.add(ternary16(source + stride, inverse, half), one));
  n = append(n, i8x16.add(ternary16(source + 2 * stride, inverse, half), one));
  n = append(n, i8x16.add(ternary16(source + 3 * stride, inverse, half), one));
  n = append(n, i8x16.add(ternary16(source + 4 * stride, inverse, half), one));
  v128.store(target, fraction(n));
}

function encode(source: usize, target: usize, half: v128): void {
  const scale = highestLane(largest256(source));
  // Under a zero or subnormal scale every level is 0: llama.cpp keeps the low half of an out-of-range 64-bit integer.
  let inverse = <f32>1 / scale;
  if (inverse == f32.POSITIVE_INFINITY) inverse = 0;
  const factor = f32x4.splat(inverse);
  encode16(source, 128, target, factor, half);
  encode16(source + 64, 128, target + 16, factor, half);
  encode16(source + 640, 64, target + 32, factor, half);
  // The last 16 weights: each 32-bit lane holds one trit of four bytes, and no product leaves its byte.
  const last = i8x16.add(ternary16(source + 960, factor, half), i8x16.splat(1));
  const four =
    i32x4.extract_lane(last, 0) * 81 +
    i32x4.extract_lane(last, 1) * 27 +
    i32x4.extract_lane(last, 2) * 9 +
    i32x4.extract_lane(last, 3) * 3;
  store<i32>(target, i32x4.extract_lane(fraction(i32x4.splat(four)), 0), 48);
  store<u16>(target, encodeHalf(scale), 52);
}

export function tq1_0_encode(source: usize, target: usize, rows: u32, columns: u32): void {
  storeConstants();
  const half = v128.load(HALF);
  for (let blocks = (rows * columns) / 256; blocks > 0; blocks--, source += WEIGHTS, target += BLOCK)
    encode(source, target, half);
}

/** The trit that multiplying by 3 pushes out of each byte, less one: it is 1 from 86 and 2 from 171. */
// @ts-ignore: decorator
@inline
function level(bytes: v128): v128 {
  const carries = i8x16.add(i8x16.ge_u(bytes, i8x16.splat(86)), i8x16.ge_u(bytes, i8x16.splat(<i8>171)));
  return i8x16.sub(i8x16.splat(-1), carries);
}

// @ts-ignore: decorator
@inline
function triple(bytes: v128): v128 {
  return i8x16.add(bytes, i8x16.add(bytes, bytes));
}

function decode16(source: usize, target: usize, stride: usize, scale: f32): void {
  let bytes = v128.load(source);
  for (const end = target + 5 * stride; target < end; target += stride) {
    storeScaled(target, level(bytes), scale);
    bytes = triple(bytes);
  }
}

export function tq1_0_decode(source: usize, target: usize, blocks: u32): void {
  for (; blocks > 0; blocks--, source += BLOCK, target += WEIGHTS) {
    const scale = decodeHalf(load<u16>(source, 52));
    decode16(source, target, 128, scale);
    decode16(source + 16, target + 64, 128, scale);
    decode16(source + 32, target + 640, 64, scale);
    const first = v128.load32_splat(source, 48);
    const second = triple(first);
    const third = triple(second);
    const firstTwo = v128.shuffle<i32>(first, second, 0, 4, 0, 4);
    const lastTwo = v128.shuffle<i32>(third, triple(third), 0, 4, 0, 4);
    storeScaled(target + 960, level(v128.shuffle<i64>(firstTwo, lastTwo, 0, 2)), scale);
  }
}
