import { decodeHalf, encodeHalves } from "@fewbit/assembly";
import { encodeInFours } from "./blocks";
import { highestOfEach, largest32 } from "./extremes";

//   block of 32 weights   | scale f16 | 32 × i8 |   34 bytes
const WEIGHTS: u32 = 32 * 4;
const BLOCK: u32 = 2 + 32;

// Constants in memory: V8 builds constant vectors anew at every use inside a loop.
const SIGN: usize = 0; //        the sign bit
const HALF: usize = 16; //       the largest number below ½: truncating x ± HALF rounds halves away from zero
const SHIFT: usize = 32; //      adding 1.5·2²³ leaves an integer in the low bits …
const SHIFTED: usize = 48; //    … and subtracting this pattern leaves it alone
// Half precision: see decodeHalves in @fewbit/assembly.
const EXPONENT: usize = 64;
const FACTOR: usize = 80;
const ONE_HALF: usize = 96; //   its bits are 126 << 23
const NORMAL: usize = 112; //    twice the smallest normal half

/** round(x · inverse) of 16 weights as bytes. */
// @ts-ignore: decorator
@inline
function levels16(x: usize, inverse: v128, sign: v128, half: v128, shift: v128, shifted: v128): v128 {
  return i8x16.narrow_i16x8_s(
    i16x8.narrow_i32x4_s(
      level(f32x4.mul(v128.load(x), inverse), sign, half, shift, shifted),
      level(f32x4.mul(v128.load(x, 16), inverse), sign, half, shift, shifted),
    ),
    i16x8.narrow_i32x4_s(
      level(f32x4.mul(v128.load(x, 32), inverse), sign, half, shift, shifted),
      level(f32x4.mul(v128.load(x, 48), inverse), sign, half, shift, shifted),
    ),
  );
}

// @ts-ignore: decorator
@inline
function level(x: v128, sign: v128, half: v128, shift: v128, shifted: v128): v128 {
  const rounded = f32x4.trunc(f32x4.add(x, v128.or(v128.and(x, sign), half)));
  return i32x4.sub(f32x4.add(rounded, shift), shifted);
}

function encode(source: usize, target: usize, groups: u32): void {
  v128.store(SIGN, i32x4.splat(0x80000000));
  v128.store(HALF, i32x4.splat(0x3effffff));
  v128.store(SHIFT, f32x4.splat(12582912.0));
  v128.store(SHIFTED, i32x4.splat(0x4b400000));
  const sign = v128.load(SIGN);
  const half = v128.load(HALF);
  const shift = v128.load(SHIFT);
  const shifted = v128.load(SHIFTED);
  for (; groups > 0; groups--, source += 4 * WEIGHTS, target += 4 * BLOCK) {
    const scale = f32x4.div(
      highestOfEach(
        largest32(source),
        largest32(source + 128),
        largest32(source + 256),
        largest32(source + 384),
      ),
      f32x4.splat(127),
    );
    // A zero or subnormal scale has an infinite inverse; every level becomes 0.
    let inverse = f32x4.div(f32x4.splat(1), scale);
    inverse = v128.and(inverse, f32x4.lt(inverse, f32x4.splat(Infinity)));
    const halves = encodeHalves(scale);

    const inverse0 = v128.shuffle<f32>(inverse, inverse, 0, 0, 0, 0);
    store<u16>(target, <u16>i32x4.extract_lane(halves, 0));
    v128.store(target, levels16(source, inverse0, sign, half, shift, shifted), 2);
    v128.store(target, levels16(source + 64, inverse0, sign, half, shift, shifted), 18);
    const inverse1 = v128.shuffle<f32>(inverse, inverse, 1, 1, 1, 1);
    store<u16>(target, <u16>i32x4.extract_lane(halves, 1), 34);
    v128.store(target, levels16(source + 128, inverse1, sign, half, shift, shifted), 36);
    v128.store(target, levels16(source + 192, inverse1, sign, half, shift, shifted), 52);
    const inverse2 = v128.shuffle<f32>(inverse, inverse, 2, 2, 2, 2);
    store<u16>(target, <u16>i32x4.extract_lane(halves, 2), 68);
    v128.store(target, levels16(source + 256, inverse2, sign, half, shift, shifted), 70);
    v128.store(target, levels16(source + 320, inverse2, sign, half, shift, shifted), 86);
    const inverse3 = v128.shuffle<f32>(inverse, inverse, 3, 3, 3, 3);
    store<u16>(target, <u16>i32x4.extract_lane(halves, 3), 102);
    v128.store(target, levels16(source + 384, inverse3, sign, half, shift, shifted), 104);
    v128.store(target, levels16(source + 448, inverse3, sign, half, shift, shifted), 120);
  }
}

export function q8_0_encode(source: usize, target: usize, rows: u32, columns: u32): void {
  encodeInFours(encode, source, target, (rows * columns) / 32, WEIGHTS, BLOCK);
}

/** Eight weights. */
// @ts-ignore: decorator
@inline
function decode8(source: usize, target: usize, scale: v128): void {
  const levels = v128.load_ext<i8>(source);
  v128.store(target, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(levels)), scale));
  v128.store(target, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(levels)), scale), 16);
}

// @ts-ignore: decorator
@inline
function decode(source: usize, target: usize, scale: v128): void {
  decode8(source + 2, target, scale);
  decode8(source + 10, target + 32, scale);
  decode8(source + 18, target + 64, scale);
  decode8(source + 26, target + 96, scale);
}

/** The scales of four blocks: `decodeHalves` of @fewbit/assembly with its constants in memory. */
// @ts-ignore: decorator
@inline
function scalesOfFour(source: usize): v128 {
  let halves = v128.load32_zero(source);
  halves = v128.load16_lane(source, halves, 2, BLOCK);
  halves = v128.load16_lane(source, halves, 4, 2 * BLOCK);
  halves = v128.load16_lane(source, halves, 6, 3 * BLOCK);
  const high = i32x4.shl(halves, 16);
  const twice = i32x4.add(high, high);
  const normal = f32x4.mul(i32x4.add(i32x4.shr_u(twice, 4), v128.load(EXPONENT)), v128.load(FACTOR));
  const small = f32x4.sub(v128.or(i32x4.shr_u(twice, 17), v128.load(ONE_HALF)), v128.load(ONE_HALF));
  const sign = v128.and(high, v128.load(SIGN));
  return v128.or(sign, v128.bitselect(small, normal, i32x4.lt_u(twice, v128.load(NORMAL))));
}

export function q8_0_decode(source: usize, target: usize, blocks: u32): void {
  v128.store(SIGN, i32x4.splat(0x80000000));
  v128.store(EXPONENT, i32x4.splat(0x70000000));
  v128.store(FACTOR, i32x4.splat(0x07800000));
  v128.store(ONE_HALF, f32x4.splat(0.5));
  v128.store(NORMAL, i32x4.splat(1 << 27));
  for (; blocks >= 4; blocks -= 4, source += 4 * BLOCK, target += 4 * WEIGHTS) {
    const scales = scalesOfFour(source);
    decode(source, target, v128.shuffle<f32>(scales, scales, 0, 0, 0, 0));
    decode(source + BLOCK, target + WEIGHTS, v128.shuffle<f32>(scales, scales, 1, 1, 1, 1));
    decode(source + 2 * BLOCK, target + 2 * WEIGHTS, v128.shuffle<f32>(scales, scales, 2, 2, 2, 2));
    decode(source + 3 * BLOCK, target + 3 * WEIGHTS, v128.shuffle<f32>(scales, scales, 3, 3, 3, 3));
  }
  for (; blocks > 0; blocks--, source += BLOCK, target += WEIGHTS)
    decode(source, target, f32x4.splat(decodeHalf(load<u16>(source))));
}
