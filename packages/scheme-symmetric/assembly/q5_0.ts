import { decodeHalf } from "@fewbit/assembly";
import { encodeInFours } from "./blocks";
import { levelsOfSearch, storeScaled } from "./levels";
import { FIT, HALVES, HIGHEST, INVERSES, SHIFT, SHIFTED, ZEROS, encodeSearched, fit, levels16, storeConstants } from "./signed-scale";

//   block of 32 weights   | scale f16 | fifth bits of all levels u32 | 16 × (level i & 15 | level i + 16 << 4) |   22 bytes
const WEIGHTS: u32 = 32 * 4;
const BLOCK: u32 = 2 + 4 + 16;
const REACH: i8 = 16;

/** `low` and `high`: levels of the two halves of the block. */
// @ts-ignore: decorator
@inline
function put(target: usize, half: u16, low: v128, high: v128): void {
  store<u16>(target, half);
  // Levels have five bits, so that no bit leaves its byte. A bit mask collects the topmost bits of bytes.
  store<u16>(target, <u16>i8x16.bitmask(i16x8.shl(low, 3)), 2);
  store<u16>(target, <u16>i8x16.bitmask(i16x8.shl(high, 3)), 4);
  const nibble = i8x16.splat(15);
  v128.store(target, v128.or(v128.and(low, nibble), i16x8.shl(v128.and(high, nibble), 4)), 6);
}

function encode(source: usize, target: usize, groups: u32): void {
  storeConstants(REACH);
  const shift = v128.load(SHIFT);
  const shifted = v128.load(SHIFTED);
  const highest = v128.load(HIGHEST);
  // Fitting the next group while levels of this one are rounded hides the latency of its divisions.
  fit(source, REACH, 0);
  for (let at: usize = 0; groups > 0; groups--) {
    const next = FIT - at;
    if (groups > 1) fit(source + 4 * WEIGHTS, REACH, next);
    for (const end = at + 16; at < end; at += 4, source += WEIGHTS, target += BLOCK) {
      const inverse = v128.load32_splat(at, INVERSES);
      const zero = v128.load32_splat(at, ZEROS);
      const low = levels16(source, inverse, zero, highest, shift, shifted);
      const high = levels16(source + 64, inverse, zero, highest, shift, shifted);
      put(target, load<u16>(at, HALVES), low, high);
    }
    at = next;
  }
}

function pack(source: usize, target: usize): void {
  const highest = i8x16.splat(2 * REACH - 1);
  for (let lane: usize = 0; lane < 4; lane++, source += WEIGHTS, target += BLOCK) {
    const inverse = v128.load32_splat(INVERSES + 4 * lane);
    const offset = v128.load32_splat(ZEROS + 4 * lane);
    const low = levelsOfSearch(source, inverse, offset, highest);
    const high = levelsOfSearch(source + 64, inverse, offset, highest);
    put(target, load<u16>(HALVES + 4 * lane), low, high);
  }
}

export function q5_0_encode(source: usize, target: usize, rows: u32, columns: u32): void {
  encodeInFours(encode, source, target, (rows * columns) / 32, WEIGHTS, BLOCK);
}

export function q5_0_encode_weighted(source: usize, target: usize, rows: u32, columns: u32, importance: usize): void {
  encodeSearched(REACH, BLOCK, pack, source, target, rows, columns, importance);
}

/** Sixteen bits → 16 in every byte whose bit is set. */
// @ts-ignore: decorator
@inline
function spread(bits: u16): v128 {
  const bytes = i8x16.swizzle(i16x8.splat(<i16>bits), i8x16(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1));
  const bit = i8x16(1, 2, 4, 8, 16, 32, 64, -128, 1, 2, 4, 8, 16, 32, 64, -128);
  return v128.and(i8x16.eq(v128.and(bytes, bit), bit), i8x16.splat(16));
}

export function q5_0_decode(source: usize, target: usize, blocks: u32): void {
  const nibble = i8x16.splat(15);
  const zero = i8x16.splat(REACH);
  for (; blocks > 0; blocks--, source += BLOCK, target += WEIGHTS) {
    const scale = decodeHalf(load<u16>(source));
    const bytes = v128.load(source, 6);
    const low = v128.or(v128.and(bytes, nibble), spread(load<u16>(source, 2)));
    const high = v128.or(v128.and(i16x8.shr_u(bytes, 4), nibble), spread(load<u16>(source, 4)));
    storeScaled(target, i8x16.sub(low, zero), scale);
    storeScaled(target + 64, i8x16.sub(high, zero), scale);
  }
}
