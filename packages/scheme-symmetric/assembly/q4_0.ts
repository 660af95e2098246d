import { decodeHalf } from "@fewbit/assembly";
import { encodeInFours } from "./blocks";
import { levelsOfSearch, storeScaled } from "./levels";
import { FIT, HALVES, HIGHEST, INVERSES, SHIFT, SHIFTED, ZEROS, encodeSearched, fit, levels16, storeConstants } from "./signed-scale";

//   block of 32 weights   | scale f16 | 16 × (level i | level i + 16 << 4) |   18 bytes
const WEIGHTS: u32 = 32 * 4;
const BLOCK: u32 = 2 + 16;
const REACH: i8 = 8;

/** `low` and `high`: levels of the two halves of the block. */
// @ts-ignore: decorator
@inline
function put(target: usize, half: u16, low: v128, high: v128): void {
  store<u16>(target, half);
  v128.store(target, v128.or(low, i16x8.shl(high, 4)), 2); // levels have four bits: no bit leaves its byte
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

export function q4_0_encode(source: usize, target: usize, rows: u32, columns: u32): void {
  encodeInFours(encode, source, target, (rows * columns) / 32, WEIGHTS, BLOCK);
}

export function q4_0_encode_weighted(source: usize, target: usize, rows: u32, columns: u32, importance: usize): void {
  encodeSearched(REACH, BLOCK, pack, source, target, rows, columns, importance);
}

export function q4_0_decode(source: usize, target: usize, blocks: u32): void {
  const nibble = i8x16.splat(15);
  const zero = i8x16.splat(REACH);
  for (; blocks > 0; blocks--, source += BLOCK, target += WEIGHTS) {
    const scale = decodeHalf(load<u16>(source));
    const bytes = v128.load(source, 2);
    storeScaled(target, i8x16.sub(v128.and(bytes, nibble), zero), scale);
    storeScaled(target + 64, i8x16.sub(v128.and(i16x8.shr_u(bytes, 4), nibble), zero), scale);
  }
}
