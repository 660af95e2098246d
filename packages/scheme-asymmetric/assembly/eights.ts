// Q4_K and Q5_K: super-blocks of 8 sub-blocks of 32 weights with scales and minimums of six bits. They differ in the
// number of levels, in the trials of the search, and in how levels are packed.
//
//   0   d     half: unit of the scales
//   2   dmin  half: unit of the minimums
//   4   twelve bytes of s₀ … s₇ and m₀ … m₇:
//         4 + j   [ s(j+4) 5…4 | s(j) 5…0 ]
//         8 + j   [ m(j+4) 5…4 | m(j) 5…0 ]     j = 0 … 3
//        12 + j   [ m(j+4) 3…0 | s(j+4) 3…0 ]
//  16   packed levels
import { fitMins, fitScales, MIN_LEVELS, SCALE_LEVELS, spreadMins, spreadScales } from "./scales";
import { FIRST, loadPair, search, SECOND, SLOT, SLOTS, W, X } from "./search";
import { keepUnits, loadUnits, squares, storeUnits, SUB_MINS, sumSquares, weighByImportance, weighBySize } from "./superblock";

/** Scales and minimums of up to four super-blocks. The second pair of the last may hold an earlier one: nobody looks. */
export function fitPlain(source: usize, count: usize): void {
  for (let slot: usize = 0; slot < count; slot += 2) {
    loadPlain(source + (slot << 10), FIRST);
    if (slot + 1 < count) loadPlain(source + ((slot + 1) << 10), SECOND);
    search(32, SLOTS + slot * SLOT, SLOTS + (slot + 1) * SLOT);
  }
  keepUnits(spreadScales(8, 63, 63), spreadMins(8, 63, 63));
}

function loadPlain(source: usize, pair: usize): void {
  loadPair(source, 32, pair + X);
  weighBySize(32, pair);
}

/** `fitPlain` with one importance per weight of a row; `first` is the index of the first super-block. */
export function fitWeighted(source: usize, count: usize, importance: usize, first: u32, perRow: u32): void {
  sumSquares(source, count);
  for (let slot: usize = 0; slot < count; slot += 2) {
    loadWeighted(source, slot, importance, first, perRow, FIRST);
    if (slot + 1 < count) loadWeighted(source, slot + 1, importance, first, perRow, SECOND);
    search(32, SLOTS + slot * SLOT, SLOTS + (slot + 1) * SLOT);
  }
  keepUnits(fitScales(8, 63), fitMins(8, 63));
}

function loadWeighted(source: usize, slot: usize, importance: usize, first: u32, perRow: u32, pair: usize): void {
  loadPair(source + (slot << 10), 32, pair + X);
  loadPair(importance + (((first + <u32>slot) % perRow) << 10), 32, pair + W);
  weighByImportance(32, <f32>2 * squares(slot) / <f32>256, pair);
}

// @ts-ignore: decorator
@inline
function rounded(levels: usize, slot: usize, j: usize, limit: u32): u32 {
  return min<u32>(load<u8>(levels + (j << 4) + (slot << 2)), limit);
}

/** Writes the first 16 bytes of the super-block in `slot`. */
export function storeHead(slot: usize, limit: u32, target: usize): void {
  storeUnits(slot, target);
  for (let j: usize = 0; j < 4; j++) {
    const s = rounded(SCALE_LEVELS, slot, j, limit);
    const m = rounded(MIN_LEVELS, slot, j, limit);
    const s4 = rounded(SCALE_LEVELS, slot, j + 4, limit);
    const m4 = rounded(MIN_LEVELS, slot, j + 4, limit);
    store<u8>(target + j, <u8>(s | ((s4 >> 4) << 6)), 4);
    store<u8>(target + j, <u8>(m | ((m4 >> 4) << 6)), 8);
    store<u8>(target + j, <u8>((s4 & 15) | (m4 << 4)), 12);
  }
}

/** Scale and minimum of every sub-block, from the first 16 bytes of a super-block. */
export function loadHead(block: usize, head: usize): void {
  const units = loadUnits(block);
  const d = v128.shuffle<f32>(units, units, 0, 0, 0, 0);
  const dmin = v128.shuffle<f32>(units, units, 1, 1, 1, 1);
  const s = load<u32>(block, 4);
  const m = load<u32>(block, 8);
  const low = load<u32>(block, 12);
  product(d, s & 0x3f3f3f3f, head);
  product(dmin, m & 0x3f3f3f3f, head + SUB_MINS);
  product(d, (low & 0x0f0f0f0f) | ((s >>> 2) & 0x30303030), head + 16);
  product(dmin, ((low >>> 4) & 0x0f0f0f0f) | ((m >>> 2) & 0x30303030), head + SUB_MINS + 16);
}

// @ts-ignore: decorator
@inline
function product(unit: v128, bytes: u32, target: usize): void {
  const integers = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(i32x4.splat(bytes)));
  v128.store(target, f32x4.mul(unit, f32x4.convert_i32x4_s(integers)));
}
