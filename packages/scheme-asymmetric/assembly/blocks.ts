// Q4_1 and Q5_1: blocks of 32 weights, each with a scale and a minimum of its own.
//
//   0   d   half: scale          weight = d · level + m
//   2   m   half: minimum
//   4   packed levels, of which byte i of the last sixteen holds the low bits of weights i and 16 + i
import { encodeHalves } from "@fewbit/assembly";
import { searched } from "./levels";
import { FIRST, INVERSES, loadPair, MINS, SCALES, search, SECOND, SHIFTS, SLOTS, W, X } from "./search";
import { fourSums } from "./sums";
import { weighByImportance } from "./superblock";

/** Plain: of 32 blocks, four bytes each. A level is (x − offset) · inverse + ½, rounded down. */
export const OFFSETS: usize = 14080;
export const INVERSE_SCALES: usize = OFFSETS + 128;
/** The first four bytes of 32 blocks (plain) or sixteen (weighted). */
export const HEADS: usize = INVERSE_SCALES + 128;
/** Constants, kept in memory because V8 rebuilds v128.const at every use inside a loop. */
export const HALF: usize = HEADS + 128;
export const SHIFT_1: usize = HALF + 16;
export const SHIFT_5: usize = HALF + 32;
export const MASK_1: usize = HALF + 48;
export const MASK_5: usize = HALF + 64;
const SPAN_CONSTANTS: usize = HALF + 80;
/** Of 32 blocks: a vector of minimums for each, then a vector of maximums. */
const EXTREMES: usize = SPAN_CONSTANTS + 112;
const MAXIMUMS: usize = 512;
const SUMS: usize = EXTREMES + 1024;
/** Levels of sixteen blocks, one byte each. */
export const LEVELS: usize = SUMS + 16;
/** Room for incomplete runs of blocks: weights, importance, bytes. */
export const STAGED: usize = 16384;
const STAGED_IMPORTANCE: usize = STAGED + 2048;
export const STAGED_BYTES: usize = STAGED + 4096;

/** For the plain encoder. */
export function prepareBlocks(top: i32): void {
  v128.store(SPAN_CONSTANTS, f32x4.splat(1));
  v128.store(SPAN_CONSTANTS, f32x4.splat(<f32>top), 16);
  v128.store(SPAN_CONSTANTS, i32x4.splat(0x80000000), 32);
  v128.store(SPAN_CONSTANTS, i32x4.splat(0x38800000), 48); // 2⁻¹⁴, the smallest normal half
  v128.store(SPAN_CONSTANTS, i32x4.splat(0xf8000000), 64);
  v128.store(SPAN_CONSTANTS, i32x4.splat((0x0400 << 13) + 0x0fff), 80); // the same as a half, and almost half of its last place
  v128.store(SPAN_CONSTANTS, i32x4.splat(1), 96);
  v128.store(HALF, f32x4.splat(0.5));
  // Adding 2^(23 − k) − 2^(−k − 1) puts the integer part above bit k, rounded down, for numbers from ½ to below 32.
  v128.store(SHIFT_1, f32x4.splat(<f32>(4194304.0 - 0.25)));
  v128.store(SHIFT_5, f32x4.splat(<f32>(262144.0 - 0.015625)));
  v128.store(MASK_1, i32x4.splat(top << 1));
  v128.store(MASK_5, i32x4.splat(top << 5));
}

/**
 * Plain, first step: the smallest and largest of every fourth weight of block i ÷ 4 of 32. Stored block by block:
 * that bounds what V8 keeps alive.
 */
// @ts-ignore: decorator
@inline
export function extremes(x: usize, i: usize): void {
  const target = EXTREMES + (i << 2);
  const a = v128.load(x);
  const b = v128.load(x, 16);
  const c = v128.load(x, 32);
  const d = v128.load(x, 48);
  const min = f32x4.pmin(f32x4.pmin(a, b), f32x4.pmin(c, d));
  const max = f32x4.pmax(f32x4.pmax(a, b), f32x4.pmax(c, d));
  const e = v128.load(x, 64);
  const f = v128.load(x, 80);
  const g = v128.load(x, 96);
  const h = v128.load(x, 112);
  v128.store(target, f32x4.pmin(min, f32x4.pmin(f32x4.pmin(e, f), f32x4.pmin(g, h))));
  v128.store(target, f32x4.pmax(max, f32x4.pmax(f32x4.pmax(e, f), f32x4.pmax(g, h))), MAXIMUMS);
}

/** Of four vectors: lane i is the smallest of the i-th. */
// @ts-ignore: decorator
@inline
function smallest(source: usize): v128 {
  const a = v128.load(source);
  const b = v128.load(source, 16);
  const c = v128.load(source, 32);
  const d = v128.load(source, 48);
  const ab = f32x4.pmin(v128.shuffle<f32>(a, b, 0, 4, 1, 5), v128.shuffle<f32>(a, b, 2, 6, 3, 7));
  const cd = f32x4.pmin(v128.shuffle<f32>(c, d, 0, 4, 1, 5), v128.shuffle<f32>(c, d, 2, 6, 3, 7));
  return f32x4.pmin(v128.shuffle<f64>(ab, cd, 0, 2), v128.shuffle<f64>(ab, cd, 1, 3));
}

/** Of four vectors: lane i is the largest of the i-th. */
// @ts-ignore: decorator
@inline
function largest(source: usize): v128 {
  const a = v128.load(source);
  const b = v128.load(source, 16);
  const c = v128.load(source, 32);
  const d = v128.load(source, 48);
  const ab = f32x4.pmax(v128.shuffle<f32>(a, b, 0, 4, 1, 5), v128.shuffle<f32>(a, b, 2, 6, 3, 7));
  const cd = f32x4.pmax(v128.shuffle<f32>(c, d, 0, 4, 1, 5), v128.shuffle<f32>(c, d, 2, 6, 3, 7));
  return f32x4.pmax(v128.shuffle<f64>(ab, cd, 0, 2), v128.shuffle<f64>(ab, cd, 1, 3));
}

/** Of several zeros with different signs the first is the minimum. */
function firstZero(x: usize): f32 {
  while (load<f32>(x) != 0) x += 4;
  return load<f32>(x);
}

function signZeros(source: usize, min: v128): v128 {
  for (let i: usize = 0; i < 4; i++) {
    v128.store(SUMS, min);
    if (load<f32>(SUMS + (i << 2)) == 0) store<f32>(SUMS + (i << 2), firstZero(source + (i << 7)));
    min = v128.load(SUMS);
  }
  return min;
}

/** Plain, second step: scales and minimums of 32 blocks from their extremes. */
export function span(source: usize, top: f32): void {
  const one = v128.load(SPAN_CONSTANTS);
  const tops = v128.load(SPAN_CONSTANTS, 16);
  const sign = v128.load(SPAN_CONSTANTS, 32);
  const normal = v128.load(SPAN_CONSTANTS, 48);
  const beyond = v128.load(SPAN_CONSTANTS, 64);
  const offset = v128.load(SPAN_CONSTANTS, 80);
  const odd = v128.load(SPAN_CONSTANTS, 96);
  for (let i: usize = 0; i < 128; i += 16) {
    const min = smallest(EXTREMES + (i << 2));
    const max = largest(EXTREMES + (i << 2) + MAXIMUMS);
    const scale = f32x4.div(f32x4.sub(max, min), tops);
    const minSize = v128.andnot(min, sign);
    // As integers above 2⁻¹⁴: where both are below 2², halves are normal, and no number here is zero or infinite.
    const minPlace = i32x4.sub(minSize, normal);
    const scalePlace = i32x4.sub(scale, normal);
    if (v128.any_true(v128.and(v128.or(minPlace, scalePlace), beyond))) {
      spanAnyway(source + (i << 5), i, min, max, top);
      continue;
    }
    v128.store(i, min, OFFSETS);
    v128.store(i, f32x4.div(one, scale), INVERSE_SCALES);
    const minHalf = i32x4.shr_u(i32x4.add(i32x4.add(minPlace, offset), v128.and(i32x4.shr_u(minPlace, 13), odd)), 13);
    const scaleHalf = i32x4.shr_u(i32x4.add(i32x4.add(scalePlace, offset), v128.and(i32x4.shr_u(scalePlace, 13), odd)), 13);
    v128.store(i, v128.or(v128.or(scaleHalf, v128.and(min, sign)), i32x4.shl(minHalf, 16)), HEADS);
  }
}

/** The span of four blocks with zeros, or with numbers whose halves are subnormal or may be infinite. */
function spanAnyway(source: usize, i: usize, min: v128, max: v128, top: f32): void {
  const infinity = f32x4.splat(Infinity);
  if (v128.any_true(f32x4.eq(min, f32x4.splat(0)))) min = signZeros(source, min);
  const range = f32x4.sub(max, min);
  // Comparing makes a range of two zeros +0, as it is where both are the first zero.
  const scale = f32x4.div(f32x4.pmax(f32x4.splat(0), range), f32x4.splat(top));
  const inverse = f32x4.div(f32x4.splat(1), scale);
  // A range or an inverse beyond float32 makes all levels zero.
  v128.store(i, v128.and(min, f32x4.lt(range, infinity)), OFFSETS);
  v128.store(i, v128.and(inverse, f32x4.lt(inverse, infinity)), INVERSE_SCALES);
  heads(scale, min, i);
}

// @ts-ignore: decorator
@inline
function heads(scale: v128, min: v128, i: usize): void {
  v128.store(i, v128.or(encodeHalves(scale), i32x4.shl(encodeHalves(min), 16)), HEADS);
}

/** Sums of squares of up to four rows; see `meanSquare`. */
export function sumRows(source: usize, rows: u32, columns: u32): void {
  fourSums(source, <usize>columns << 2, <usize>min<u32>(4, rows), <usize>columns, SUMS);
}

// @ts-ignore: decorator
@inline
export function meanSquare(row: usize, columns: u32): f32 {
  return load<f32>(SUMS + (row << 2)) / <f32>columns;
}

/** With importance: heads and levels of up to sixteen blocks of one row. */
export function searchMany(source: usize, importance: usize, count: usize, variance: f32, top: u8): void {
  if (count < 16) {
    memory.copy(STAGED, source, count << 7);
    memory.copy(STAGED_IMPORTANCE, importance, count << 7);
    source = STAGED;
    importance = STAGED_IMPORTANCE;
  }
  loadWeighted(source, importance, variance, FIRST);
  loadWeighted(source + 1024, importance + 1024, variance, SECOND);
  search(32, SLOTS, SLOTS + 32);
  for (let i: usize = 0; i < 64; i += 16) heads(v128.load(SLOTS + i, SCALES), f32x4.neg(v128.load(SLOTS + i, MINS)), i);
  for (let i: usize = 0; i < count << 1; i++) {
    const block = SLOTS + ((i >> 1) << 2);
    const levels = searched(source + (i << 6), load<f32>(block, INVERSES), load<f32>(block, SHIFTS));
    v128.store(LEVELS + (i << 4), i8x16.min_u(levels, i8x16.splat(top)));
  }
}

function loadWeighted(source: usize, importance: usize, variance: f32, pair: usize): void {
  loadPair(source, 32, pair + X);
  loadPair(importance, 32, pair + W);
  weighByImportance(32, variance, pair);
}
