// Q4_1, 20 bytes: scale and minimum (see blocks.ts), then byte 4 + i = [ weight 16 + i | weight i ], i = 0 … 15.
import { decodeHalf } from "@fewbit/assembly";
import { LEVELS, meanSquare, prepareBlocks, rounded, searchEight, spanFour, STAGED, STAGED_BYTES, storeHead, sumRows } from "./blocks";
import { expand } from "./levels";
import { prepareSearch } from "./search";

const BYTES: usize = 2 + 2 + 16;

// @ts-ignore: decorator
@inline
function pack(i: usize, low: v128, high: v128, target: usize): void {
  storeHead(i, target);
  v128.store(target, v128.or(low, i16x8.shl(high, 4)), 4);
}

function encodeFour(source: usize, target: usize): void {
  spanFour(source, 15);
  for (let i: usize = 0; i < 4; i++) {
    const x = source + (i << 7);
    pack(i, rounded(x, i), rounded(x + 64, i), target + i * BYTES);
  }
}

export function q4_1_encode(source: usize, target: usize, rows: u32, columns: u32): void {
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

export function q4_1_encode_weighted(source: usize, target: usize, rows: u32, columns: u32, importance: usize): void {
  prepareSearch(15, -0.9, 0.05, 36);
  const perRow = <usize>(columns >>> 5);
  for (let row: u32 = 0; row < rows; row++) {
    if ((row & 3) == 0) sumRows(source, rows - row, columns);
    for (let b: usize = 0; b < perRow; b += 8) {
      const count = min<usize>(8, perRow - b);
      searchEight(source, importance + (b << 7), count, meanSquare(row & 3, columns), 15);
      for (let i: usize = 0; i < count; i++) {
        const l = LEVELS + (i << 5);
        pack(i, v128.load(l), v128.load(l, 16), target);
        target += BYTES;
      }
      source += count << 7;
    }
  }
}

export function q4_1_decode(source: usize, target: usize, blocks: u32): void {
  for (; blocks > 0; blocks--) {
    const scale = f32x4.splat(decodeHalf(load<u16>(source)));
    const min = f32x4.neg(f32x4.splat(decodeHalf(load<u16>(source, 2))));
    const q = v128.load(source, 4);
    expand(v128.and(q, i8x16.splat(15)), scale, min, target);
    expand(i8x16.shr_u(q, 4), scale, min, target + 64);
    source += BYTES;
    target += 128;
  }
}
