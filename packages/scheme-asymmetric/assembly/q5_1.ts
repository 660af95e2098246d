// Q5_1, 24 bytes: scale and minimum (see blocks.ts), then
//
//   4       bit 4 of weight i in bit i, i = 0 … 31
//   8 + i   [ weight 16 + i, bits 3…0 | weight i, bits 3…0 ], i = 0 … 15
import { decodeHalf } from "@fewbit/assembly";
import { LEVELS, meanSquare, prepareBlocks, rounded, searchEight, spanFour, STAGED, STAGED_BYTES, storeHead, sumRows } from "./blocks";
import { expand } from "./levels";
import { prepareSearch } from "./search";

const BYTES: usize = 2 + 2 + 4 + 16;

// @ts-ignore: decorator
@inline
function pack(i: usize, low: v128, high: v128, target: usize): void {
  const nibble = i8x16.splat(15);
  storeHead(i, target);
  // Levels are at most 31: shifted by three, bit 4 becomes the sign of its byte.
  store<u16>(target, <u16>i8x16.bitmask(i16x8.shl(low, 3)), 4);
  store<u16>(target, <u16>i8x16.bitmask(i16x8.shl(high, 3)), 6);
  v128.store(target, v128.or(v128.and(low, nibble), i16x8.shl(v128.and(high, nibble), 4)), 8);
}

function encodeFour(source: usize, target: usize): void {
  spanFour(source, 31);
  for (let i: usize = 0; i < 4; i++) {
    const x = source + (i << 7);
    pack(i, rounded(x, i), rounded(x + 64, i), target + i * BYTES);
  }
}

export function q5_1_encode(source: usize, target: usize, rows: u32, columns: u32): void {
  prepareBlocks();
  let blocks = <usize>rows * <usize>(columns >>> 5);
  for (; blocks >= 4; blocks -= 4) {
    encodeFour(source, target);
    source += 512;
    target += 4 * BYTES;
  }
  if (blocks == 0) return;
  memory.copy(STAGED, source, blocks << 7);
  encodeFour(STAGED, STAGED_BYTES);
  memory.copy(target, STAGED_BYTES, blocks * BYTES);
}

export function q5_1_encode_weighted(source: usize, target: usize, rows: u32, columns: u32, importance: usize): void {
  prepareSearch(31, -0.9, 0.05, 36);
  const perRow = <usize>(columns >>> 5);
  for (let row: u32 = 0; row < rows; row++) {
    if ((row & 3) == 0) sumRows(source, rows - row, columns);
    for (let b: usize = 0; b < perRow; b += 8) {
      const count = min<usize>(8, perRow - b);
      searchEight(source, importance + (b << 7), count, meanSquare(row & 3, columns), 31);
      for (let i: usize = 0; i < count; i++) {
        const l = LEVELS + (i << 5);
        pack(i, v128.load(l), v128.load(l, 16), target);
        target += BYTES;
      }
      source += count << 7;
    }
  }
}

/** Bit i of the low half to byte i, as 16 or 0. */
// @ts-ignore: decorator
@inline
function fifthBits(bits: v128): v128 {
  const mask = i8x16(1, 2, 4, 8, 16, 32, 64, -128, 1, 2, 4, 8, 16, 32, 64, -128);
  const spread = v128.shuffle<i8>(bits, bits, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
  return v128.and(i8x16.eq(v128.and(spread, mask), mask), i8x16.splat(16));
}

export function q5_1_decode(source: usize, target: usize, blocks: u32): void {
  for (; blocks > 0; blocks--) {
    const scale = f32x4.splat(decodeHalf(load<u16>(source)));
    const min = f32x4.neg(f32x4.splat(decodeHalf(load<u16>(source, 2))));
    const q = v128.load(source, 8);
    const low = fifthBits(i32x4.splat(load<u16>(source, 4)));
    const high = fifthBits(i32x4.splat(load<u16>(source, 6)));
    expand(v128.or(v128.and(q, i8x16.splat(15)), low), scale, min, target);
    expand(v128.or(i8x16.shr_u(q, 4), high), scale, min, target + 64);
    source += BYTES;
    target += 128;
  }
}
