// Q4_K, 144 bytes: 16 of scales and minimums (see eights.ts) + 128 of levels. Byte i of run r holds two levels:
//
//   16 + 32 r + i    [ weight 64 r + 32 + i | weight 64 r + i ]     r = 0 … 3, i = 0 … 31
import { fitPlain, fitWeighted, loadHead, storeHead } from "./eights";
import { expand } from "./levels";
import { prepareSearch } from "./search";
import { level, LEVELS, SUB_MINS, SUB_SCALES } from "./superblock";

const BYTES: usize = 2 + 2 + 12 + 128;

function store4(source: usize, count: usize, limit: u32, target: usize): void {
  for (let slot: usize = 0; slot < count; slot++) {
    storeHead(slot, limit, target);
    loadHead(target);
    level(source, slot, 1, 15);
    for (let r: usize = 0; r < 4; r++) {
      const l = LEVELS + (r << 6);
      const q = target + (r << 5);
      v128.store(q, v128.or(v128.load(l), i16x8.shl(v128.load(l, 32), 4)), 16);
      v128.store(q, v128.or(v128.load(l, 16), i16x8.shl(v128.load(l, 48), 4)), 32);
    }
    source += 1024;
    target += BYTES;
  }
}

export function q4_k_encode(source: usize, target: usize, rows: u32, columns: u32): void {
  prepareSearch(15, -1.0, 0.1, 20);
  const blocks = rows * (columns >>> 8);
  for (let b: u32 = 0; b < blocks; b += 4) {
    const count = <usize>min<u32>(4, blocks - b);
    fitPlain(source, count);
    store4(source, count, 63, target);
    source += count << 10;
    target += count * BYTES;
  }
}

export function q4_k_encode_weighted(source: usize, target: usize, rows: u32, columns: u32, importance: usize): void {
  prepareSearch(15, -0.9, 0.05, 36);
  const perRow = columns >>> 8;
  const blocks = rows * perRow;
  for (let b: u32 = 0; b < blocks; b += 4) {
    const count = <usize>min<u32>(4, blocks - b);
    fitWeighted(source, count, importance, b, perRow);
    store4(source, count, 255, target); // the reference does not limit these bytes
    source += count << 10;
    target += count * BYTES;
  }
}

export function q4_k_decode(source: usize, target: usize, blocks: u32): void {
  for (; blocks > 0; blocks--) {
    loadHead(source);
    for (let r: usize = 0; r < 4; r++) {
      const scaleLow = v128.load32_splat(SUB_SCALES + (r << 3));
      const minLow = v128.load32_splat(SUB_MINS + (r << 3));
      const scaleHigh = v128.load32_splat(SUB_SCALES + (r << 3), 4);
      const minHigh = v128.load32_splat(SUB_MINS + (r << 3), 4);
      for (let i: usize = 0; i < 32; i += 16) {
        const q = v128.load(source + (r << 5) + i, 16);
        const y = target + (r << 8) + (i << 2);
        expand(v128.and(q, i8x16.splat(15)), scaleLow, minLow, y);
        expand(i8x16.shr_u(q, 4), scaleHigh, minHigh, y + 128);
      }
    }
    source += BYTES;
    target += 1024;
  }
}
