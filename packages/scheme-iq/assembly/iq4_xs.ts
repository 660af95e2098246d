// IQ4_XS: 256 weights in eight sub-blocks of 32 with a signed 6-bit scale each, one half for all.
//
//   byte 0 … 1      scale of the scales (half)
//   byte 2 … 3      upper two bits of scale j + 32, at bit 2 j
//   byte 4 … 7      lower four bits of scale j + 32, two to a byte
//   byte 8 … 135    levels: byte 16 j + i of sub-block j holds weights i (low nibble) and i + 16
//
// Lanes hold four sub-blocks; two such groups make a super-block.
import { decodeHalf, encodeHalf, nearestInt } from "@fewbit/assembly";
import { IQ4_END, SCALE, decodeLevels, gather, gatherWeighted, levelsUnder, makeIq4Constants, searchScales, weigh } from "./iq4";

const HIGH: usize = 2;
const LOW: usize = HIGH + 2;
const LEVELS: usize = LOW + 4;
const BYTES: usize = LEVELS + 128;

/** The scales of eight sub-blocks. */
const SCALES: usize = IQ4_END;

export function iq4_xs_encode(source: usize, target: usize, rows: u32, columns: u32): void {
  makeIq4Constants();
  for (const end = source + <usize>rows * columns * 4; source < end; source += 1024, target += BYTES) {
    for (let group: usize = 0; group < 2; group++) {
      gather(source + 512 * group, 128);
      searchScales();
      v128.store(SCALES + 16 * group, v128.load(0, SCALE));
    }
    pack(source, target);
  }
}

export function iq4_xs_encode_weighted(source: usize, target: usize, rows: u32, columns: u32, importance: usize): void {
  makeIq4Constants();
  for (let row: u32 = 0; row < rows; row++)
    for (let column: usize = 0; column < columns; column += 256, source += 1024, target += BYTES) {
      const sigma2 = f32x4.splat(twiceMeanSquare(source));
      for (let group: usize = 0; group < 2; group++) {
        gatherWeighted(source + 512 * group, 128, importance + 4 * column + 512 * group, 128);
        weigh(sigma2);
        searchScales();
        v128.store(SCALES + 16 * group, v128.load(0, SCALE));
      }
      pack(source, target);
    }
}

function twiceMeanSquare(source: usize): f32 {
  let sum: f32 = 0;
  for (const end = source + 1024; source < end; source += 4) {
    const x = load<f32>(source);
    sum += x * x;
  }
  return sum * <f32>(2.0 / 256);
}

/** Quantizes the eight scales found and then, with what they became, the weights. */
function pack(source: usize, target: usize): void {
  let largest: f32 = 0;
  let signed: f32 = 0;
  for (let j: usize = 0; j < 32; j += 4) {
    const scale = load<f32>(j, SCALES);
    if (abs<f32>(scale) > largest) {
      largest = abs<f32>(scale);
      signed = scale;
    }
  }
  const factor = -signed / <f32>32;
  const inverse: f32 = factor != 0 ? <f32>1 / factor : 0;
  store<u16>(target, encodeHalf(factor));
  let high: u32 = 0;
  let low: u32 = 0;
  for (let j: usize = 0; j < 8; j++) {
    const scale = max<i32>(-32, min<i32>(31, nearestInt(inverse * load<f32>(4 * j, SCALES))));
    high |= (<u32>(scale + 32) >> 4) << (2 * <u32>j);
    low |= (<u32>(scale + 32) & 15) << (4 * <u32>j);
    const step = factor * <f32>scale;
    packLevels(source + 128 * j, target + 16 * j, step != 0 ? <f32>1 / step : 0);
  }
  store<u16>(target, <u16>high, HIGH);
  store<u32>(target, low, LOW);
}

// @ts-ignore: decorator
@inline
function packLevels(source: usize, target: usize, inverse: f32): void {
  const lanes = f32x4.splat(inverse);
  const low = levelsUnder(source, lanes);
  const high = levelsUnder(source + 64, lanes);
  v128.store(target, v128.or(low, i16x8.shl(high, 4)), LEVELS); // levels have four bits: no bit leaves its byte
}

export function iq4_xs_decode(source: usize, target: usize, blocks: u32): void {
  for (; blocks > 0; blocks--, source += BYTES, target += 1024) {
    const factor = decodeHalf(load<u16>(source));
    const high: u32 = load<u16>(source, HIGH);
    const low = load<u32>(source, LOW);
    for (let j: u32 = 0; j < 8; j++) {
      const scale = <i32>((((high >> (2 * j)) & 3) << 4) | ((low >> (4 * j)) & 15)) - 32;
      decodeLevels(source + LEVELS + 16 * j, target + 128 * j, factor * <f32>scale);
    }
  }
}
