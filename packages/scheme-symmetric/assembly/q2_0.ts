import { decodeHalf, encodeHalf } from "@fewbit/assembly";
import { largest64 } from "./extremes";
import { storeScaled } from "./levels";
import { HALF, highestLane, storeConstants, ternary16 } from "./ternary";

//   block of 64 weights   | scale f16 | 16 × (four consecutive levels, two bits each, lowest first) |   18 bytes
const WEIGHTS: u32 = 64 * 4;
const BLOCK: u32 = 2 + 16;

/**
 * Four levels of two bits, one per byte, into the lowest byte of every 32-bit lane; the others zero:
 *
 *   000000aa 000000bb 000000cc 000000dd   →   ddccbbaa 00000000 00000000 00000000
 */
// @ts-ignore: decorator
@inline
function join(levels: v128): v128 {
  const pairs = v128.or(levels, i16x8.shr_u(levels, 6));
  return v128.and(v128.or(pairs, i32x4.shr_u(pairs, 12)), i32x4.splat(255));
}

function encode(source: usize, target: usize, half: v128): void {
  const scale = highestLane(largest64(source));
  let inverse: f32 = scale > 0 ? <f32>1 / scale : 0;
  let zero = i8x16.splat(1);
  if (inverse == f32.POSITIVE_INFINITY) {
    // Under a subnormal scale llama.cpp converts infinity to the lowest integer, which becomes level 0.
    inverse = 0;
    zero = i8x16.splat(0);
  }
  const factor = f32x4.splat(inverse);
  const a = join(i8x16.add(ternary16(source, factor, half), zero));
  const b = join(i8x16.add(ternary16(source + 64, factor, half), zero));
  const c = join(i8x16.add(ternary16(source + 128, factor, half), zero));
  const d = join(i8x16.add(ternary16(source + 192, factor, half), zero));
  store<u16>(target, encodeHalf(scale));
  v128.store(target, i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d)), 2);
}

export function q2_0_encode(source: usize, target: usize, rows: u32, columns: u32): void {
  storeConstants();
  const half = v128.load(HALF);
  for (let blocks = (rows * columns) / 64; blocks > 0; blocks--, source += WEIGHTS, target += BLOCK)
    encode(source, target, half);
}

/** Level `i` of every byte, from -1 to 2. */
// @ts-ignore: decorator
@inline
function level(bytes: v128, i: i32): v128 {
  return i8x16.sub(v128.and(i16x8.shr_u(bytes, 2 * i), i8x16.splat(3)), i8x16.splat(1));
}

function decode(source: usize, target: usize): void {
  const scale = decodeHalf(load<u16>(source));
  const bytes = v128.load(source, 2);
  const a = level(bytes, 0);
  const b = level(bytes, 1);
  const c = level(bytes, 2);
  const d = level(bytes, 3);
  // a0 b0 c0 d0 a1 b1 c1 d1 …
  const abLow = v128.shuffle<i8>(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const cdLow = v128.shuffle<i8>(c, d, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const abHigh = v128.shuffle<i8>(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  const cdHigh = v128.shuffle<i8>(c, d, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  storeScaled(target, v128.shuffle<i16>(abLow, cdLow, 0, 8, 1, 9, 2, 10, 3, 11), scale);
  storeScaled(target + 64, v128.shuffle<i16>(abLow, cdLow, 4, 12, 5, 13, 6, 14, 7, 15), scale);
  storeScaled(target + 128, v128.shuffle<i16>(abHigh, cdHigh, 0, 8, 1, 9, 2, 10, 3, 11), scale);
  storeScaled(target + 192, v128.shuffle<i16>(abHigh, cdHigh, 4, 12, 5, 13, 6, 14, 7, 15), scale);
}

export function q2_0_decode(source: usize, target: usize, blocks: u32): void {
  for (; blocks > 0; blocks--, source += BLOCK, target += WEIGHTS) decode(source, target);
}
