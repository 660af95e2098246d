// Q4_1, 20 bytes: scale and minimum (see blocks.ts), then byte 4 + i = [ weight 16 + i | weight i ], i = 0 … 15.
import { decodeHalf } from "@fewbit/assembly";
import { extremes, HALF, HEADS, INVERSE_SCALES, LEVELS, MASK_1, MASK_5, meanSquare, OFFSETS, prepareBlocks, searchMany, SHIFT_1, SHIFT_5, span, STAGED, STAGED_BYTES, sumRows } from "./blocks";
import { expand } from "./levels";
import { prepareSearch } from "./search";

const BYTES: usize = 2 + 2 + 16;

// @ts-ignore: decorator
@inline
function pack(head: u32, low: v128, high: v128, target: usize): void {
  store<u32>(target, head);
  v128.store(target, v128.or(low, i16x8.shl(high, 4)), 4);
}

/** A level above bit k of its lane, where `shift` belongs to k: see prepareBlocks. */
// @ts-ignore: decorator
@inline
function level(x: v128, offset: v128, inverse: v128, half: v128, shift: v128): v128 {
  return f32x4.add(f32x4.add(f32x4.mul(f32x4.sub(x, offset), inverse), half), shift);
}

/** Encodes 32 blocks whose extremes are known, and meanwhile finds those of the next 32. */
function encodeMany(source: usize, target: usize, next: usize): void {
  span(source, 15);
  const half = v128.load(HALF);
  const shift1 = v128.load(SHIFT_1);
  const shift5 = v128.load(SHIFT_5);
  const mask1 = v128.load(MASK_1);
  const mask5 = v128.load(MASK_5);
  for (let i: usize = 0; i < 128; i += 4) {
    const offset = v128.load32_splat(i, OFFSETS);
    const inverse = v128.load32_splat(i, INVERSE_SCALES);
    // One byte per lane, above bit 1: a weight of the first half of the block and one of the second.
    const a = v128.or(
      v128.and(level(v128.load(source), offset, inverse, half, shift1), mask1),
      v128.and(level(v128.load(source, 64), offset, inverse, half, shift5), mask5),
    );
    const b = v128.or(
      v128.and(level(v128.load(source, 16), offset, inverse, half, shift1), mask1),
      v128.and(level(v128.load(source, 80), offset, inverse, half, shift5), mask5),
    );
    const c = v128.or(
      v128.and(level(v128.load(source, 32), offset, inverse, half, shift1), mask1),
      v128.and(level(v128.load(source, 96), offset, inverse, half, shift5), mask5),
    );
    const d = v128.or(
      v128.and(level(v128.load(source, 48), offset, inverse, half, shift1), mask1),
      v128.and(level(v128.load(source, 112), offset, inverse, half, shift5), mask5),
    );
    const first = i16x8.shr_u(i16x8.narrow_i32x4_s(a, b), 1);
    const second = i16x8.shr_u(i16x8.narrow_i32x4_s(c, d), 1);
    store<u32>(target, load<u32>(i, HEADS));
    v128.store(target, i8x16.narrow_i16x8_u(first, second), 4);
    extremes(next, i);
    next += 128;
    source += 128;
    target += BYTES;
  }
}

export function q4_1_encode(source: usize, target: usize, rows: u32, columns: u32): void {
  prepareBlocks(15);
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

export function q4_1_encode_weighted(source: usize, target: usize, rows: u32, columns: u32, importance: usize): void {
  prepareSearch(15, -0.9, 0.05, 36);
  const perRow = <usize>(columns >>> 5);
  for (let row: u32 = 0; row < rows; row++) {
    if ((row & 3) == 0) sumRows(source, rows - row, columns);
    for (let b: usize = 0; b < perRow; b += 16) {
      const count = min<usize>(16, perRow - b);
      searchMany(source, importance + (b << 7), count, meanSquare(row & 3, columns), 15);
      for (let i: usize = 0; i < count; i++) {
        const l = LEVELS + (i << 5);
        pack(load<u32>(HEADS + (i << 2)), v128.load(l), v128.load(l, 16), target);
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
