import { decodeHalf, encodeHalf } from "@fewbit/assembly";
import { largest256 } from "./extremes";
import { storeScaled } from "./levels";
import { HALF, highestLane, storeConstants, ternary16 } from "./ternary";

//   block of 256 weights   | 2 × 32 × (four levels of weights 32 apart, two bits each, lowest first) | scale f16 |
const WEIGHTS: u32 = 256 * 4;
const BLOCK: u32 = 64 + 2;

/** Sixteen bytes: levels of 16 weights and of those 32, 64 and 96 later. */
// @ts-ignore: decorator
@inline
function encode16(source: usize, target: usize, inverse: v128, half: v128): void {
  const one = i8x16.splat(1);
  const a = i8x16.add(ternary16(source, inverse, half), one);
  const b = i8x16.add(ternary16(source + 128, inverse, half), one);
  const c = i8x16.add(ternary16(source + 256, inverse, half), one);
  const d = i8x16.add(ternary16(source + 384, inverse, half), one);
  // Two bits each: 16-bit shifts move none across a byte.
  v128.store(target, v128.or(v128.or(a, i16x8.shl(b, 2)), v128.or(i16x8.shl(c, 4), i16x8.shl(d, 6))));
}

function encode(source: usize, target: usize, half: v128): void {
  const scale = highestLane(largest256(source));
  // Under a zero or subnormal scale every level is 0: llama.cpp keeps the low half of an out-of-range 64-bit integer.
  let inverse = <f32>1 / scale;
  if (inverse == f32.POSITIVE_INFINITY) inverse = 0;
  const factor = f32x4.splat(inverse);
  encode16(source, target, factor, half);
  encode16(source + 64, target + 16, factor, half);
  encode16(source + 512, target + 32, factor, half);
  encode16(source + 576, target + 48, factor, half);
  store<u16>(target, encodeHalf(scale), 64);
}

export function tq2_0_encode(source: usize, target: usize, rows: u32, columns: u32): void {
  storeConstants();
  const half = v128.load(HALF);
  for (let blocks = (rows * columns) / 256; blocks > 0; blocks--, source += WEIGHTS, target += BLOCK)
    encode(source, target, half);
}

// @ts-ignore: decorator
@inline
function decode16(source: usize, target: usize, scale: f32): void {
  const bytes = v128.load(source);
  const three = i8x16.splat(3);
  const one = i8x16.splat(1);
  storeScaled(target, i8x16.sub(v128.and(bytes, three), one), scale);
  storeScaled(target + 128, i8x16.sub(v128.and(i16x8.shr_u(bytes, 2), three), one), scale);
  storeScaled(target + 256, i8x16.sub(v128.and(i16x8.shr_u(bytes, 4), three), one), scale);
  storeScaled(target + 384, i8x16.sub(v128.and(i16x8.shr_u(bytes, 6), three), one), scale);
}

export function tq2_0_decode(source: usize, target: usize, blocks: u32): void {
  for (; blocks > 0; blocks--, source += BLOCK, target += WEIGHTS) {
    const scale = decodeHalf(load<u16>(source, 64));
    for (let half: usize = 0; half < 2; half++) {
      decode16(source + 32 * half, target + 512 * half, scale);
      decode16(source + 32 * half + 16, target + 512 * half + 64, scale);
    }
  }
}
