// Q5_K, 176 bytes: 16 of scales and minimums (see eights.ts) + 32 of high bits + 128 of low bits. Byte i of either holds
//
//   16 + i           bit 2 r: bit 4 of weight 64 r + i; bit 2 r + 1: bit 4 of weight 64 r + 32 + i
//   48 + 32 r + i    [ weight 64 r + 32 + i, bits 3…0 | weight 64 r + i, bits 3…0 ]     r = 0 … 3, i = 0 … 31
import { fitPlain, fitWeighted, loadHead, storeHead } from "./eights";
import { store32 } from "./levels";
import { prepareSearch } from "./search";
import { HEAD, level, LEVELS, SUB_MINS } from "./superblock";

const BYTES: usize = 2 + 2 + 12 + 32 + 128;
const NIBBLE: usize = memory.data<u16>([15]);
const BIT_4: usize = memory.data<u16>([16]);

function store4(source: usize, count: usize, target: usize): void {
  for (let slot: usize = 0; slot < count; slot++) {
    storeHead(slot, 63, target);
    loadHead(target, HEAD);
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
    loadHead(source, HEAD);
    decodeOne(source, target);
    source += BYTES;
    target += 1024;
  }
}

/** Writes weights in order, whole cache lines at a time: that matters more than shifting high bits anew. */
function decodeOne(source: usize, target: usize): void {
  const nibble = v128.load16_splat(NIBBLE);
  const bit4 = v128.load16_splat(BIT_4);
  // Bit 4 of the level at hand moves down to bit 4 of its lane.
  let highA = i16x8.shl(v128.load8x8_u(source, 16), 4);
  let highB = i16x8.shl(v128.load8x8_u(source, 24), 4);
  let highC = i16x8.shl(v128.load8x8_u(source, 32), 4);
  let highD = i16x8.shl(v128.load8x8_u(source, 40), 4);
  for (let r: usize = 0; r < 32; r += 8) {
    let scale = v128.load32_splat(r, HEAD);
    let min = v128.load32_splat(r, HEAD + SUB_MINS);
    const a = v128.load8x8_u(source, 48);
    const b = v128.load8x8_u(source, 56);
    const c = v128.load8x8_u(source, 64);
    const d = v128.load8x8_u(source, 72);
    store32(
      v128.or(v128.and(a, nibble), v128.and(highA, bit4)),
      v128.or(v128.and(b, nibble), v128.and(highB, bit4)),
      v128.or(v128.and(c, nibble), v128.and(highC, bit4)),
      v128.or(v128.and(d, nibble), v128.and(highD, bit4)),
      scale,
      min,
      target,
    );
    scale = v128.load32_splat(r, HEAD + 4);
    min = v128.load32_splat(r, HEAD + SUB_MINS + 4);
    store32(
      v128.or(i16x8.shr_u(a, 4), v128.and(i16x8.shr_u(highA, 1), bit4)),
      v128.or(i16x8.shr_u(b, 4), v128.and(i16x8.shr_u(highB, 1), bit4)),
      v128.or(i16x8.shr_u(c, 4), v128.and(i16x8.shr_u(highC, 1), bit4)),
      v128.or(i16x8.shr_u(d, 4), v128.and(i16x8.shr_u(highD, 1), bit4)),
      scale,
      min,
      target + 128,
    );
    highA = i16x8.shr_u(highA, 2);
    highB = i16x8.shr_u(highB, 2);
    highC = i16x8.shr_u(highC, 2);
    highD = i16x8.shr_u(highD, 2);
    source += 32;
    target += 256;
  }
}
