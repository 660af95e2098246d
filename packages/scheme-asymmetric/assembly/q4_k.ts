// Q4_K, 144 bytes: 16 of scales and minimums (see eights.ts) + 128 of levels. Byte i of run r holds two levels:
//
//   16 + 32 r + i    [ weight 64 r + 32 + i | weight 64 r + i ]     r = 0 … 3, i = 0 … 31
import { fitPlain, fitWeighted, loadHead, storeHead } from "./eights";
import { store32 } from "./levels";
import { prepareSearch } from "./search";
import { HEAD, level, LEVELS, SUB_MINS } from "./superblock";

const BYTES: usize = 2 + 2 + 12 + 128;
const NIBBLE: usize = memory.data<u16>([15]);

function store4(source: usize, count: usize, limit: u32, target: usize): void {
  for (let slot: usize = 0; slot < count; slot++) {
    storeHead(slot, limit, target);
    loadHead(target, HEAD);
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
    loadHead(source, HEAD);
    decodeOne(source, target);
    source += BYTES;
    target += 1024;
  }
}

/** Writes weights in order, whole cache lines at a time: that matters more than reading levels twice. */
function decodeOne(source: usize, target: usize): void {
  const nibble = v128.load16_splat(NIBBLE);
  for (let r: usize = 0; r < 32; r += 8) {
    let scale = v128.load32_splat(r, HEAD);
    let min = v128.load32_splat(r, HEAD + SUB_MINS);
    const a = v128.load8x8_u(source, 16);
    const b = v128.load8x8_u(source, 24);
    const c = v128.load8x8_u(source, 32);
    const d = v128.load8x8_u(source, 40);
    store32(v128.and(a, nibble), v128.and(b, nibble), v128.and(c, nibble), v128.and(d, nibble), scale, min, target);
    scale = v128.load32_splat(r, HEAD + 4);
    min = v128.load32_splat(r, HEAD + SUB_MINS + 4);
    store32(i16x8.shr_u(a, 4), i16x8.shr_u(b, 4), i16x8.shr_u(c, 4), i16x8.shr_u(d, 4), scale, min, target + 128);
    source += 32;
    target += 256;
  }
}
