// Q5_K, 176 bytes: 16 of scales and minimums (see eights.ts) + 32 of high bits + 128 of low bits. Byte i of either holds
//
//   16 + i           bit 2 r: bit 4 of weight 64 r + i; bit 2 r + 1: bit 4 of weight 64 r + 32 + i
//   48 + 32 r + i    [ weight 64 r + 32 + i, bits 3…0 | weight 64 r + i, bits 3…0 ]     r = 0 … 3, i = 0 … 31
import { fitPlain, fitWeighted, loadHead, storeHead } from "./eights";
import { expand } from "./levels";
import { prepareSearch } from "./search";
import { level, LEVELS, SUB_MINS, SUB_SCALES } from "./superblock";

const BYTES: usize = 2 + 2 + 12 + 32 + 128;

function store4(source: usize, count: usize, target: usize): void {
  for (let slot: usize = 0; slot < count; slot++) {
    storeHead(slot, 63, target);
    loadHead(target);
    level(source, slot, 1, 31);
    for (let i: usize = 0; i < 32; i += 16) {
      let high = i32x4.splat(0);
      for (let r: usize = 0; r < 4; r++) {
        const first = v128.load(LEVELS + (r << 6) + i);
        const second = v128.load(LEVELS + (r << 6) + i, 32);
        const low = v128.or(v128.and(first, i8x16.splat(15)), i16x8.shl(v128.and(second, i8x16.splat(15)), 4));
        v128.store(target + (r << 5) + i, low, 48);
        const bits = v128.or(i8x16.shr_u(first, 4), i16x8.shl(i8x16.shr_u(second, 4), 1));
        high = v128.or(high, i16x8.shl(bits, <i32>r << 1));
      }
      v128.store(target + i, high, 16);
    }
    source += 1024;
    target += BYTES;
  }
}

export function q5_k_encode(source: usize, target: usize, rows: u32, columns: u32): void {
  prepareSearch(31, -0.5, 0.1, 15);
  const blocks = rows * (columns >>> 8);
  for (let b: u32 = 0; b < blocks; b += 4) {
    const count = <usize>min<u32>(4, blocks - b);
    fitPlain(source, count);
    store4(source, count, target);
    source += count << 10;
    target += count * BYTES;
  }
}

export function q5_k_encode_weighted(source: usize, target: usize, rows: u32, columns: u32, importance: usize): void {
  prepareSearch(31, -0.9, 0.05, 36);
  const perRow = columns >>> 8;
  const blocks = rows * perRow;
  for (let b: u32 = 0; b < blocks; b += 4) {
    const count = <usize>min<u32>(4, blocks - b);
    fitWeighted(source, count, importance, b, perRow);
    store4(source, count, target);
    source += count << 10;
    target += count * BYTES;
  }
}

export function q5_k_decode(source: usize, target: usize, blocks: u32): void {
  for (; blocks > 0; blocks--) {
    loadHead(source);
    for (let i: usize = 0; i < 32; i += 16) {
      let high = v128.load(source + i, 16);
      for (let r: usize = 0; r < 4; r++) {
        const q = v128.load(source + (r << 5) + i, 48);
        const y = target + (r << 8) + (i << 2);
        const s = SUB_SCALES + (r << 3);
        const m = SUB_MINS + (r << 3);
        const first = v128.and(i16x8.shl(high, 4), i8x16.splat(16));
        const second = v128.and(i16x8.shl(high, 3), i8x16.splat(16));
        expand(v128.or(v128.and(q, i8x16.splat(15)), first), v128.load32_splat(s), v128.load32_splat(m), y);
        expand(v128.or(i8x16.shr_u(q, 4), second), v128.load32_splat(s, 4), v128.load32_splat(m, 4), y + 128);
        high = i16x8.shr_u(high, 2); // bits that cross into the lower byte are never looked at: see the masks
      }
    }
    source += BYTES;
    target += 1024;
  }
}
