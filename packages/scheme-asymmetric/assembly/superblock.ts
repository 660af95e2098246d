// What Q2_K, Q4_K and Q5_K share around the search: weights of the weights, half-precision units, levels of 256 weights
// from rounded scales and minimums.
import { decodeHalves, encodeHalves } from "@fewbit/assembly";
import { searched, spaced } from "./levels";
import { B, INVERSES, SHIFTS, SLOT, SLOTS, W, X } from "./search";
import { fourSums } from "./sums";

/** Units of four super-blocks as halves, scales then minimums: one i32 each. */
const UNITS: usize = 13568;
/** A head is the scale of every sub-block of a super-block, then (SUB_MINS) every minimum, as decoded. */
export const HEAD: usize = UNITS + 32;
export const SUB_MINS: usize = 64;
/** Levels of the super-block at hand, one byte per weight. */
export const LEVELS: usize = HEAD + 128;
const SUMS: usize = LEVELS + 256;

/** Keeps the units of four super-blocks. */
export function keepUnits(scales: v128, mins: v128): void {
  v128.store(UNITS, encodeHalves(scales));
  v128.store(UNITS, encodeHalves(mins), 16);
}

/** Writes the units of the super-block in `slot`: scale, then minimum. */
export function storeUnits(slot: usize, target: usize): void {
  store<u16>(target, load<u16>(UNITS + (slot << 2)));
  store<u16>(target, load<u16>(UNITS + (slot << 2), 16), 2);
}

/** Lane 0: the unit of the scales; lane 1: that of the minimums. */
// @ts-ignore: decorator
@inline
export function loadUnits(source: usize): v128 {
  return decodeHalves(i32x4.extend_low_i16x8_u(v128.load32_zero(source)));
}

/** Without importance: the root mean square of the sub-block plus the weight's size. */
export function weighBySize(size: usize, pair: usize): void {
  let sumA = f32x4.splat(0);
  let sumB = f32x4.splat(0);
  for (let p = pair; p < pair + (size << 4); p += 16) {
    const a = v128.load(p, X);
    const b = v128.load(p, B + X);
    sumA = f32x4.add(sumA, f32x4.mul(a, a));
    sumB = f32x4.add(sumB, f32x4.mul(b, b));
  }
  const rmsA = f32x4.sqrt(f32x4.div(sumA, f32x4.splat(<f32>size)));
  const rmsB = f32x4.sqrt(f32x4.div(sumB, f32x4.splat(<f32>size)));
  for (let p = pair; p < pair + (size << 4); p += 16) {
    v128.store(p, f32x4.add(rmsA, f32x4.abs(v128.load(p, X))), W);
    v128.store(p, f32x4.add(rmsB, f32x4.abs(v128.load(p, B + X))), B + W);
  }
}

/** With importance, loaded where the weights' weights go: importance · √(variance + x²). */
export function weighByImportance(size: usize, variance: f32, pair: usize): void {
  const v = f32x4.splat(variance);
  for (let p = pair; p < pair + (size << 4); p += 16) {
    const a = v128.load(p, X);
    const b = v128.load(p, B + X);
    v128.store(p, f32x4.mul(v128.load(p, W), f32x4.sqrt(f32x4.add(v, f32x4.mul(a, a)))), W);
    v128.store(p, f32x4.mul(v128.load(p, B + W), f32x4.sqrt(f32x4.add(v, f32x4.mul(b, b)))), B + W);
  }
}

/** Sums of squares of up to four super-blocks; see `squares`. */
export function sumSquares(source: usize, count: usize): void {
  fourSums(source, 1024, count, 256, SUMS);
}

// @ts-ignore: decorator
@inline
export function squares(slot: usize): f32 {
  return load<f32>(SUMS + (slot << 2));
}

/**
 * Levels of 256 weights for the scales and minimums as they will be decoded. Sub-blocks with scale zero keep the levels
 * of their search.
 * @param shift 0 for sub-blocks of 16, 1 for sub-blocks of 32
 */
export function level(source: usize, slot: usize, shift: usize, top: u8): void {
  const found = SLOTS + slot * SLOT;
  for (let i: usize = 0; i < 16; i++) {
    const j = (i >> shift) << 2;
    const x = source + (i << 6);
    const scale = load<f32>(HEAD + j);
    const levels =
      scale == 0
        ? searched(x, load<f32>(found + j, INVERSES), load<f32>(found + j, SHIFTS))
        : spaced(x, scale, load<f32>(HEAD + j, SUB_MINS));
    v128.store(LEVELS + (i << 4), i8x16.min_u(levels, i8x16.splat(top)));
  }
}
