// Q4_1 and Q5_1: blocks of 32 weights, each with a scale and a minimum of its own.
//
//   0   d   half: scale          weight = d · level + m
//   2   m   half: minimum
//   4   packed levels, of which byte i of the last sixteen holds the low bits of weights i and 16 + i
import { encodeHalves } from "@fewbit/assembly";
import { searched } from "./levels";
import { INVERSES, loadGroups, MINS, SCALES, search, SHIFTS, SLOTS, W, X } from "./search";
import { fourSums } from "./sums";
import { weighByImportance } from "./superblock";

/** Of four blocks (plain) or eight (weighted): halves in i32 lanes. */
export const SCALE_HALVES: usize = 12288;
export const MIN_HALVES: usize = SCALE_HALVES + 32;
/** Of four blocks: a level is (x − offset) · inverse + ½, rounded down. */
export const OFFSETS: usize = MIN_HALVES + 32;
export const INVERSE_SCALES: usize = OFFSETS + 16;
/** Constants, kept in memory because V8 rebuilds v128.const at every use inside a loop. */
const HALF: usize = INVERSE_SCALES + 16;
const SHIFT: usize = HALF + 16;
const SHIFT_BITS: usize = SHIFT + 16;
const SUMS: usize = SHIFT_BITS + 16;
/** Levels of eight blocks, one byte each. */
export const LEVELS: usize = SUMS + 16;
/** Room for incomplete runs of blocks: weights, importance, bytes. */
export const STAGED: usize = 13312;
const STAGED_IMPORTANCE: usize = STAGED + 1024;
export const STAGED_BYTES: usize = STAGED_IMPORTANCE + 1024;

export function prepareBlocks(): void {
  v128.store(HALF, f32x4.splat(0.5));
  v128.store(SHIFT, f32x4.splat(8388608.0));
  v128.store(SHIFT_BITS, i32x4.splat(0x4b000000));
}

// @ts-ignore: decorator
@inline
function smallest(p: usize): v128 {
  return f32x4.pmin(
    f32x4.pmin(f32x4.pmin(v128.load(p), v128.load(p, 16)), f32x4.pmin(v128.load(p, 32), v128.load(p, 48))),
    f32x4.pmin(f32x4.pmin(v128.load(p, 64), v128.load(p, 80)), f32x4.pmin(v128.load(p, 96), v128.load(p, 112))),
  );
}

// @ts-ignore: decorator
@inline
function largest(p: usize): v128 {
  return f32x4.pmax(
    f32x4.pmax(f32x4.pmax(v128.load(p), v128.load(p, 16)), f32x4.pmax(v128.load(p, 32), v128.load(p, 48))),
    f32x4.pmax(f32x4.pmax(v128.load(p, 64), v128.load(p, 80)), f32x4.pmax(v128.load(p, 96), v128.load(p, 112))),
  );
}

/** Four vectors to one: lane i is the smallest (largest) of the i-th. */
// @ts-ignore: decorator
@inline
function across(a: v128, b: v128, c: v128, d: v128, max: bool): v128 {
  const ab = v128.shuffle<f32>(a, b, 0, 4, 1, 5);
  const cd = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
  const ab2 = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
  const cd2 = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
  const p = v128.shuffle<f64>(ab, cd, 0, 2);
  const q = v128.shuffle<f64>(ab, cd, 1, 3);
  const r = v128.shuffle<f64>(ab2, cd2, 0, 2);
  const s = v128.shuffle<f64>(ab2, cd2, 1, 3);
  return max ? f32x4.pmax(f32x4.pmax(p, q), f32x4.pmax(r, s)) : f32x4.pmin(f32x4.pmin(p, q), f32x4.pmin(r, s));
}

/** Of several zeros with different signs the first is the minimum. */
function firstZero(x: usize): f32 {
  while (load<f32>(x) != 0) x += 4;
  return load<f32>(x);
}

function signZeros(source: usize, min: v128): v128 {
  for (let i: usize = 0; i < 4; i++) {
    v128.store(OFFSETS, min);
    if (load<f32>(OFFSETS + (i << 2)) == 0) store<f32>(OFFSETS + (i << 2), firstZero(source + (i << 7)));
    min = v128.load(OFFSETS);
  }
  return min;
}

/** Plain: scale and minimum of four blocks from their extremes. */
// @ts-ignore: decorator
@inline
export function spanFour(source: usize, top: f32): void {
  let min = across(smallest(source), smallest(source + 128), smallest(source + 256), smallest(source + 384), false);
  const max = across(largest(source), largest(source + 128), largest(source + 256), largest(source + 384), true);
  if (v128.any_true(f32x4.eq(min, f32x4.splat(0)))) min = signZeros(source, min);
  const range = f32x4.sub(max, min);
  // Comparing makes a range of two zeros +0, as it is where both are the first zero.
  const scale = f32x4.div(f32x4.pmax(f32x4.splat(0), range), f32x4.splat(top));
  const inverse = f32x4.div(f32x4.splat(1), scale);
  // A range or an inverse beyond float32 makes all levels zero.
  const infinity = f32x4.splat(Infinity);
  v128.store(SCALE_HALVES, encodeHalves(scale));
  v128.store(MIN_HALVES, encodeHalves(min));
  v128.store(OFFSETS, v128.and(min, f32x4.lt(range, infinity)));
  v128.store(INVERSE_SCALES, v128.and(inverse, f32x4.lt(inverse, infinity)));
}

/** Sixteen levels of block i of four; they need no clamping. */
// @ts-ignore: decorator
@inline
export function rounded(x: usize, i: usize): v128 {
  const offset = v128.load32_splat(OFFSETS + (i << 2));
  const inverse = v128.load32_splat(INVERSE_SCALES + (i << 2));
  return i8x16.narrow_i16x8_u(
    i16x8.narrow_i32x4_s(floor(v128.load(x), offset, inverse), floor(v128.load(x, 16), offset, inverse)),
    i16x8.narrow_i32x4_s(floor(v128.load(x, 32), offset, inverse), floor(v128.load(x, 48), offset, inverse)),
  );
}

// @ts-ignore: decorator
@inline
function floor(x: v128, offset: v128, inverse: v128): v128 {
  const level = f32x4.trunc(f32x4.add(f32x4.mul(f32x4.sub(x, offset), inverse), v128.load(HALF)));
  return i32x4.sub(f32x4.add(level, v128.load(SHIFT)), v128.load(SHIFT_BITS));
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

/** With importance: scales, minimums and levels of up to eight blocks of one row. */
export function searchEight(source: usize, importance: usize, count: usize, variance: f32, top: u8): void {
  if (count < 8) {
    memory.copy(STAGED, source, count << 7);
    memory.copy(STAGED_IMPORTANCE, importance, count << 7);
    source = STAGED;
    importance = STAGED_IMPORTANCE;
  }
  loadGroups(source, 32, X);
  loadGroups(importance, 32, W);
  weighByImportance(32, variance);
  search(32, SLOTS);
  for (let i: usize = 0; i < 32; i += 16) {
    v128.store(SCALE_HALVES + i, encodeHalves(v128.load(SLOTS + i, SCALES)));
    v128.store(MIN_HALVES + i, encodeHalves(f32x4.neg(v128.load(SLOTS + i, MINS))));
  }
  for (let i: usize = 0; i < 16; i++) {
    const block = SLOTS + ((i >> 1) << 2);
    const levels = searched(source + (i << 6), load<f32>(block, INVERSES), load<f32>(block, SHIFTS));
    v128.store(LEVELS + (i << 4), i8x16.min_u(levels, i8x16.splat(top)));
  }
}

/** Scale and minimum of block i. */
// @ts-ignore: decorator
@inline
export function storeHead(i: usize, target: usize): void {
  store<u32>(target, load<u16>(SCALE_HALVES + (i << 2)) | (<u32>load<u16>(MIN_HALVES + (i << 2)) << 16));
}
