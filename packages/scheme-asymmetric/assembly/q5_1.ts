// Q5_1, 24 bytes: scale and minimum (see blocks.ts), then
//
//   4       bit 4 of weight i in bit i, i = 0 … 31
//   8 + i   [ weight 16 + i, bits 3…0 | weight i, bits 3…0 ], i = 0 … 15
import { decodeHalf } from "@fewbit/assembly";
import { extremes, HALF, HEADS, INVERSE_SCALES, LEVELS, MASK_1, meanSquare, OFFSETS, prepareBlocks, searchMany, SHIFT_1, span, STAGED, STAGED_BYTES, sumRows } from "./blocks";
import { expand } from "./levels";
import { prepareSearch } from "./search";

const BYTES: usize = 2 + 2 + 4 + 16;

/** `low` and `high` hold doubled levels. */
// @ts-ignore: decorator
@inline
function pack(head: u32, low: v128, high: v128, target: usize): void {
  store<u32>(target, head);
  // Twice a level is at most 62: shifted by two, bit 4 of the level becomes the sign of its byte.
  store<u16>(target, <u16>i8x16.bitmask(i16x8.shl(low, 2)), 4);
  store<u16>(target, <u16>i8x16.bitmask(i16x8.shl(high, 2)), 6);
  const lowNibbles = v128.and(i16x8.shr_u(low, 1), i8x16.splat(15));
  const highNibbles = v128.and(i16x8.shl(high, 3), i8x16.splat(-16));
  v128.store(target, v128.or(lowNibbles, highNibbles), 8);
}

/** Twice a level in every lane. */
// @ts-ignore: decorator
@inline
function level(x: v128, offset: v128, inverse: v128, half: v128, shift: v128, mask: v128): v128 {
  return v128.and(f32x4.add(f32x4.add(f32x4.mul(f32x4.sub(x, offset), inverse), half), shift), mask);
}

/** Encodes 32 blocks whose extremes are known, and meanwhile finds those of the next 32. */
function encodeMany(source: usize, target: usize, next: usize): void {
  span(source, 31);
  const half = v128.load(HALF);
  const shift = v128.load(SHIFT_1);
  const mask = v128.load(MASK_1);
  for (let i: usize = 0; i < 128; i += 4) {
    const offset = v128.load32_splat(i, OFFSETS);
    const inverse = v128.load32_splat(i, INVERSE_SCALES);
    const a = level(v128.load(source), offset, inverse, half, shift, mask);
    const b = level(v128.load(source, 16), offset, inverse, half, shift, mask);
    const c = level(v128.load(source, 32), offset, inverse, half, shift, mask);
    const d = level(v128.load(source, 48), offset, inverse, half, shift, mask);
    const low = i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d));
    const e = level(v128.load(source, 64), offset, inverse, half, shift, mask);
    const f = level(v128.load(source, 80), offset, inverse, half, shift, mask);
    const g = level(v128.load(source, 96), offset, inverse, half, shift, mask);
    const h = level(v128.load(source, 112), offset, inverse, half, shift, mask);
    const high = i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_s(e, f), i16x8.narrow_i32x4_s(g, h));
    pack(load<u32>(i, HEADS), low, high, target);
    extremes(next, i);
    next += 128;
    source += 128;
    target += BYTES;
  }
}

export function q5_1_encode(source: usize, target: usize, rows: u32, columns: u32): void {
  prepareBlocks(31);
  const blocks = <usize>rows * <usize>(columns >>> 5);
  const tail = blocks & 31;
  const end = source + ((blocks - tail) << 7);
  memory.copy(STAGED, end, tail << 7);
  let next = source < end ? source : STAGED;
  for (let i: usize = 0; i < 128; i += 4) extremes(next + (i << 5), i);
  while (source < end) {
    next = source + (32 << 7);
    encodeMany(source, target, next < end ? next : STAGED);
    source = next;
    target += 32 * BYTES;
  }
  if (tail == 0) return;
  encodeMany(STAGED, STAGED_BYTES, STAGED);
  memory.copy(target, STAGED_BYTES, tail * BYTES);
}

export function q5_1_encode_weighted(source: usize, target: usize, rows: u32, columns: u32, importance: usize): void {
  prepareSearch(31, -0.9, 0.05, 36);
  const perRow = <usize>(columns >>> 5);
  for (let row: u32 = 0; row < rows; row++) {
    if ((row & 3) == 0) sumRows(source, rows - row, columns);
    for (let b: usize = 0; b < perRow; b += 16) {
      const count = min<usize>(16, perRow - b);
      searchMany(source, importance + (b << 7), count, meanSquare(row & 3, columns), 31);
      for (let i: usize = 0; i < count; i++) {
        const l = LEVELS + (i << 5);
        pack(load<u32>(HEADS + (i << 2)), i16x8.shl(v128.load(l), 1), i16x8.shl(v128.load(l, 16), 1), target);
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
