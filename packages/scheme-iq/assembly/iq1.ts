// What IQ1_S and IQ1_M share. Weights become scale · (level − 1 + shift), level 0, 1 or 2, shift ±1⁄8; eight levels at
// a time are an entry of the codebook.
//
//   lanes        four super-blocks of 256; element i of all four lies at X + 16 i, its weight of errors at W + 16 i
//   sub-block    32 (IQ1_S) or 16 (IQ1_M) elements with a scale of their own
//   split        sorted elements before i1 get level 0, before i2 level 1, the others level 2
//
// All splits are tried, from sums over the sorted elements. Eight levels that are no entry are then replaced by the
// entry that costs least, and the scale is fitted once more.
//
// Sums run in llama.cpp's order in every lane, so they are the reference's to the last bit.
import { transpose } from "@fewbit/assembly";
import { ROWS, nearest, isEntry } from "./iq1-codebook";

/** Elements, their weights and what they become (−1, 0 or 1, shifted) of four super-blocks. */
export const X: usize = 1024;
export const W: usize = X + 256 * 16;
export const Q: usize = W + 256 * 16;
const IMPORTANCE: usize = Q + 256 * 16;
const SPARE_WEIGHTS: usize = IMPORTANCE + 4 * 1024;
const SPARE_BLOCKS: usize = SPARE_WEIGHTS + 4 * 1024;

/** Of the elements of one sub-block: where they stand in ascending order, equal ones in their own order. */
export const RANKS: usize = SPARE_BLOCKS + 256;

/** The split found: scale, number of elements before i1 and i2, or i1 = −1 where there is none. */
export const SCALE: usize = RANKS + 32 * 16;
export const I1: usize = SCALE + 16;
export const I2: usize = I1 + 16;
export const BEST: usize = I2 + 16;
/** All bits set in lanes that have a split. */
export const VALID: usize = BEST + 16;
/** Shift of every eight elements: up to four. */
export const SHIFTS: usize = VALID + 16;
/** Entry of every eight elements, u32 per lane. */
export const PICKED: usize = SHIFTS + 4 * 16;

/** Costs of the three levels, element by element and lane by lane. */
const COSTS: usize = PICKED + 4 * 16;
/** Per eight elements: number of the point; bits set where farther levels cost no less. */
const POINT: usize = COSTS + 32 * 64;
const REGULAR: usize = POINT + 4 * 16;
/** First free address. */
export const IQ1_END: usize = REGULAR + 4 * 16;

/**
 * Calls `encode(target)` for every four super-blocks, with X and W filled.
 * @param bytes of a super-block
 * @param importance 0 for none: weights count as their own squares
 */
export function encodeInFours(
  encode: (target: usize) => void,
  source: usize,
  target: usize,
  rows: u32,
  columns: u32,
  bytes: u32,
  importance: usize,
): void {
  let column: usize = 0;
  let blocks = (rows * columns) >> 8;
  for (; blocks >= 4; blocks -= 4, source += 4096, target += 4 * bytes) {
    column = fill(source, 4, importance, column, columns);
    encode(target);
  }
  if (blocks == 0) return;
  memory.copy(SPARE_WEIGHTS, source, blocks << 10);
  memory.fill(SPARE_WEIGHTS + (blocks << 10), 0, (4 - blocks) << 10);
  fill(SPARE_WEIGHTS, blocks, importance, column, columns);
  encode(SPARE_BLOCKS);
  memory.copy(target, SPARE_BLOCKS, blocks * bytes);
}

/** Returns the column after these blocks. */
function fill(source: usize, blocks: usize, importance: usize, column: usize, columns: usize): usize {
  for (let i: usize = 0; i < 1024; i += 16) transpose(source + i, 1024, X + 4 * i);
  if (importance == 0) {
    for (let p: usize = 0; p < 4096; p += 16) {
      const x = v128.load(p, X);
      v128.store(p, f32x4.mul(x, x), W);
    }
    return 0;
  }
  for (let block: usize = 0; block < blocks; block++) {
    memory.copy(IMPORTANCE + (block << 10), importance + (column << 2), 1024);
    column += 256;
    if (column == columns) column = 0;
  }
  for (let i: usize = 0; i < 1024; i += 16) transpose(IMPORTANCE + i, 1024, W + 4 * i);
  let sum = f32x4.splat(0);
  for (let p: usize = 0; p < 4096; p += 16) {
    const x = v128.load(p, X);
    sum = f32x4.add(sum, f32x4.mul(x, x));
  }
  const sigma2 = f32x4.mul(f32x4.add(sum, sum), f32x4.splat(1.0 / 256));
  for (let p: usize = 0; p < 4096; p += 16) {
    const x = v128.load(p, X);
    v128.store(p, f32x4.mul(v128.load(p, W), f32x4.sqrt(f32x4.add(sigma2, f32x4.mul(x, x)))), W);
  }
  return column;
}

/** Largest magnitude of the elements of a sub-block. */
export function largest(x: usize, size: usize): v128 {
  let most = f32x4.splat(0);
  for (const end = x + size; x < end; x += 16) most = f32x4.pmax(most, f32x4.abs(v128.load(x)));
  return most;
}

/** Fills RANKS: how many elements are smaller, or equal and earlier. `size`: 16 bytes per element. */
export function rank(x: usize, size: usize): void {
  for (let i: usize = 0; i < size; i += 64) {
    const x0 = v128.load(x + i);
    const x1 = v128.load(x + i, 16);
    const x2 = v128.load(x + i, 32);
    const x3 = v128.load(x + i, 48);
    // Masks count as −1.
    let r0 = i32x4.add(f32x4.lt(x1, x0), i32x4.add(f32x4.lt(x2, x0), f32x4.lt(x3, x0)));
    let r1 = i32x4.add(f32x4.le(x0, x1), i32x4.add(f32x4.lt(x2, x1), f32x4.lt(x3, x1)));
    let r2 = i32x4.add(f32x4.le(x0, x2), i32x4.add(f32x4.le(x1, x2), f32x4.lt(x3, x2)));
    let r3 = i32x4.add(f32x4.le(x0, x3), i32x4.add(f32x4.le(x1, x3), f32x4.le(x2, x3)));
    for (let j: usize = 0; j < i; j += 16) {
      const other = v128.load(x + j);
      r0 = i32x4.add(r0, f32x4.le(other, x0));
      r1 = i32x4.add(r1, f32x4.le(other, x1));
      r2 = i32x4.add(r2, f32x4.le(other, x2));
      r3 = i32x4.add(r3, f32x4.le(other, x3));
    }
    for (let j = i + 64; j < size; j += 16) {
      const other = v128.load(x + j);
      r0 = i32x4.add(r0, f32x4.lt(other, x0));
      r1 = i32x4.add(r1, f32x4.lt(other, x1));
      r2 = i32x4.add(r2, f32x4.lt(other, x2));
      r3 = i32x4.add(r3, f32x4.lt(other, x3));
    }
    v128.store(i, i32x4.neg(r0), RANKS);
    v128.store(i, i32x4.neg(r1), RANKS + 16);
    v128.store(i, i32x4.neg(r2), RANKS + 32);
    v128.store(i, i32x4.neg(r3), RANKS + 48);
  }
}

/**
 * From the split to entries. Makes a negative scale positive: levels and shifts are mirrored then. Lanes without a
 * split get scale 0, entry 0 and the shifts that SHIFTS has for them.
 * @param at offset of the sub-block in X, W and Q
 * @param size 16 bytes per element
 */
export function pickEntries(at: usize, size: usize): void {
  const valid = v128.load(0, VALID);
  const signed = v128.load(0, SCALE);
  const negative = v128.and(f32x4.lt(signed, f32x4.splat(0)), valid);
  const scale = v128.and(f32x4.abs(signed), valid);
  const i1 = v128.load(0, I1);
  const i2 = v128.load(0, I2);
  for (let group: usize = 0; group < size; group += 128) {
    const g = group >> 3;
    const shift = v128.xor(v128.load(g, SHIFTS), v128.and(negative, i32x4.splat(0x80000000)));
    v128.store(g, shift, SHIFTS);
    const s0 = f32x4.mul(scale, f32x4.add(f32x4.splat(-1), shift));
    const s1 = f32x4.mul(scale, shift);
    const s2 = f32x4.mul(scale, f32x4.add(f32x4.splat(1), shift));
    let point = i32x4.splat(0);
    let regular = i32x4.splat(-1);
    for (let i = group + 112; <isize>i >= <isize>group; i -= 16) {
      const rank = v128.load(i, RANKS);
      const above1 = i32x4.ge_s(rank, i1);
      const above2 = i32x4.ge_s(rank, i2);
      const level1 = v128.bitselect(v128.not(above2), above1, negative); // level ≥ 1
      const level2 = v128.bitselect(v128.not(above1), above2, negative);
      point = i32x4.sub(i32x4.add(point, i32x4.add(point, point)), i32x4.add(level1, level2));
      const x = v128.load(at + i, X);
      const w = v128.load(at + i, W);
      const c0 = cost(s0, x, w);
      const c1 = cost(s1, x, w);
      const c2 = cost(s2, x, w);
      const near01 = v128.bitselect(f32x4.le(c1, c0), f32x4.le(c0, c1), level1);
      const near12 = v128.bitselect(f32x4.le(c2, c1), f32x4.le(c1, c2), level2);
      regular = v128.and(regular, v128.and(near01, near12));
      const ab = v128.shuffle<f32>(c0, c1, 0, 4, 1, 5);
      const cd = v128.shuffle<f32>(c0, c1, 2, 6, 3, 7);
      const e = i << 2;
      v128.store(e, v128.shuffle<f32>(ab, c2, 0, 1, 4, 4), COSTS);
      v128.store(e, v128.shuffle<f32>(ab, c2, 2, 3, 5, 5), COSTS + 16);
      v128.store(e, v128.shuffle<f32>(cd, c2, 0, 1, 6, 6), COSTS + 32);
      v128.store(e, v128.shuffle<f32>(cd, c2, 2, 3, 7, 7), COSTS + 48);
    }
    v128.store(g, point, POINT);
    v128.store(g, regular, REGULAR);
  }
  v128.store(0, scale, SCALE);
  let moved = i32x4.splat(0);
  for (let group: usize = 0; group < size; group += 128) moved = v128.or(moved, pickFour(group));
  for (let group: usize = 0; group < size; group += 128) expand(group, at + group);
  refit(at, size, moved);
}

// @ts-ignore: decorator
@inline
function cost(scaled: v128, x: v128, w: v128): v128 {
  const difference = f32x4.sub(scaled, x);
  return f32x4.mul(f32x4.mul(w, difference), difference);
}

/** Entries for eight elements of four lanes. Returns in which lanes they are not what the split made of them. */
function pickFour(group: usize): v128 {
  const g = group >> 3;
  v128.store(g, i32x4.splat(0), PICKED);
  let moved = 0;
  for (let lane: usize = 0; lane < 16; lane += 4) {
    if (load<u32>(lane, VALID) == 0) continue;
    const point = load<u32>(g + lane, POINT);
    if (!isEntry(point)) moved |= 1 << <i32>(lane >> 2);
    const entry = nearest(point, COSTS + 4 * group + 4 * lane, load<u32>(g + lane, REGULAR) != 0);
    store<u32>(g + lane, entry, PICKED);
  }
  return i32x4.ne(v128.and(i32x4.splat(moved), i32x4(1, 2, 4, 8)), i32x4.splat(0));
}

/** Coordinates of the entries picked, shifted, to Q. */
function expand(group: usize, at: usize): void {
  const g = group >> 3;
  const shift = v128.load(g, SHIFTS);
  const a = v128.load64_zero(ROWS + (<usize>load<u32>(g, PICKED) << 3));
  const b = v128.load64_zero(ROWS + (<usize>load<u32>(g, PICKED + 4) << 3));
  const c = v128.load64_zero(ROWS + (<usize>load<u32>(g, PICKED + 8) << 3));
  const d = v128.load64_zero(ROWS + (<usize>load<u32>(g, PICKED + 12) << 3));
  const ab = v128.shuffle<i8>(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const cd = v128.shuffle<i8>(c, d, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const low = v128.shuffle<i16>(ab, cd, 0, 8, 1, 9, 2, 10, 3, 11);
  const high = v128.shuffle<i16>(ab, cd, 4, 12, 5, 13, 6, 14, 7, 15);
  expandFour(low, at, shift);
  expandFour(high, at + 64, shift);
}

// @ts-ignore: decorator
@inline
function expandFour(bytes: v128, at: usize, shift: v128): void {
  const low = i16x8.extend_low_i8x16_s(bytes);
  const high = i16x8.extend_high_i8x16_s(bytes);
  v128.store(at, f32x4.add(shift, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(low))), Q);
  v128.store(at, f32x4.add(shift, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(low))), Q + 16);
  v128.store(at, f32x4.add(shift, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(high))), Q + 32);
  v128.store(at, f32x4.add(shift, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(high))), Q + 48);
}

/** The best scale for the entries picked, in lanes where they are not what the split made of them. */
function refit(at: usize, size: usize, moved: v128): void {
  let qx = f32x4.splat(0);
  let q2 = qx;
  for (const end = at + size; at < end; at += 16) {
    const q = v128.load(at, Q);
    const wq = f32x4.mul(v128.load(at, W), q);
    qx = f32x4.add(qx, f32x4.mul(wq, v128.load(at, X)));
    q2 = f32x4.add(q2, f32x4.mul(wq, q));
  }
  const zero = f32x4.splat(0);
  const better = v128.and(moved, v128.and(f32x4.gt(qx, zero), f32x4.gt(q2, zero)));
  v128.store(0, v128.bitselect(f32x4.div(qx, q2), v128.load(0, SCALE), better), SCALE);
}
