import { decodeHalf, encodeHalves } from "@fewbit/assembly";
import { encodeInFours } from "./blocks";

//   block of 128 weights   | scale f16 | 128 bits, set where the weight is not negative |   18 bytes
const WEIGHTS: u32 = 128 * 4;
const BLOCK: u32 = 2 + 16;

/** Bits of 16 weights. */
// @ts-ignore: decorator
@inline
function signs16(x: usize): u16 {
  const zero = f32x4.splat(0);
  const a = i16x8.narrow_i32x4_s(f32x4.ge(v128.load(x), zero), f32x4.ge(v128.load(x, 16), zero));
  const b = i16x8.narrow_i32x4_s(f32x4.ge(v128.load(x, 32), zero), f32x4.ge(v128.load(x, 48), zero));
  return <u16>i8x16.bitmask(i8x16.narrow_i16x8_s(a, b));
}

/** Sums of magnitudes, in order; lanes hold four blocks. */
// @ts-ignore: decorator
@inline
function sumMagnitudes(source: usize): v128 {
  let sum = f32x4.splat(0);
  for (const end = source + WEIGHTS; source < end; source += 16) {
    const a = v128.load(source);
    const b = v128.load(source, 1 * 512);
    const c = v128.load(source, 2 * 512);
    const d = v128.load(source, 3 * 512);
    const ab = v128.shuffle<f32>(a, b, 0, 4, 1, 5);
    const cd = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
    const ab2 = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
    const cd2 = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
    sum = f32x4.add(sum, f32x4.abs(v128.shuffle<f64>(ab, cd, 0, 2)));
    sum = f32x4.add(sum, f32x4.abs(v128.shuffle<f64>(ab, cd, 1, 3)));
    sum = f32x4.add(sum, f32x4.abs(v128.shuffle<f64>(ab2, cd2, 0, 2)));
    sum = f32x4.add(sum, f32x4.abs(v128.shuffle<f64>(ab2, cd2, 1, 3)));
  }
  return sum;
}

// @ts-ignore: decorator
@inline
function put(source: usize, target: usize, half: i32): void {
  store<u16>(target, <u16>half);
  for (let i: usize = 0; i < 16; i += 2) store<u16>(target + i, signs16(source + 32 * i), 2);
}

function encode(source: usize, target: usize, groups: u32): void {
  for (; groups > 0; groups--, source += 4 * WEIGHTS, target += 4 * BLOCK) {
    const halves = encodeHalves(f32x4.div(sumMagnitudes(source), f32x4.splat(128)));
    put(source, target, i32x4.extract_lane(halves, 0));
    put(source + WEIGHTS, target + BLOCK, i32x4.extract_lane(halves, 1));
    put(source + 2 * WEIGHTS, target + 2 * BLOCK, i32x4.extract_lane(halves, 2));
    put(source + 3 * WEIGHTS, target + 3 * BLOCK, i32x4.extract_lane(halves, 3));
  }
}

export function q1_0_encode(source: usize, target: usize, rows: u32, columns: u32): void {
  encodeInFours(encode, source, target, (rows * columns) / 128, WEIGHTS, BLOCK);
}

/** Four weights from the lowest four bits. */
// @ts-ignore: decorator
@inline
function decode4(bits: u32, target: usize, scale: v128, sign: v128): void {
  const unset = i32x4.eq(v128.and(i32x4.splat(bits), i32x4(1, 2, 4, 8)), i32x4.splat(0));
  v128.store(target, v128.xor(scale, v128.and(unset, sign)));
}

export function q1_0_decode(source: usize, target: usize, blocks: u32): void {
  const sign = i32x4.splat(0x80000000);
  for (; blocks > 0; blocks--, source += BLOCK) {
    const scale = f32x4.splat(decodeHalf(load<u16>(source)));
    for (let i: usize = 0; i < 16; i++, target += 32) {
      const bits = <u32>load<u8>(source + i, 2);
      decode4(bits, target, scale, sign);
      decode4(bits >> 4, target + 16, scale, sign);
    }
  }
}
