// Q3_K: 256 weights as 3-bit levels, sixteen sub-blocks of 16 with a signed 6-bit scale each, one half for all.
//
//   byte 0 … 31       high bits     byte i holds weights i + 0, 32, 64 … 224, one bit each
//   byte 32 … 95      low 2 bits    half h: byte 32 h + i holds weights 128 h + i + 0, 32, 64, 96, i = 0 … 31
//   byte 96 … 103     scales        low nibbles of j = 0 … 7 and, above them, of j = 8 … 15
//   byte 104 … 107    scales        high 2 bits of j = i + 0, 4, 8, 12
//   byte 108 … 109    scale of the scales (half)
//
// Lanes hold four sub-blocks. With importance the scales are searched like weights, and there lanes hold four
// super-blocks.
import { decodeHalf, encodeHalf, nearestInts, transpose } from "@fewbit/assembly";
import {
  EMPTY, GRIDS, GRID_BYTES, INVERSE, SCALE, W, WX, X,
  makeGrid, searchScales, searchScalesOfAny,
} from "./grid-search";
import { levels, levelsOfSearch, makeLevelConstants, offset, storeScaled } from "./levels";
import {
  EXPONENT, HIGHEST, LOWEST, MAGIC, MANTISSA, REFINE_END, SUML2, SUMLX,
  bestLevels, firstLevels, makeRefineConstants, refineLater, refineQueued, refinedLevels,
} from "./refine";

const LOW: usize = 256 / 8;
const SCALES: usize = LOW + 256 / 4;
const FACTOR: usize = SCALES + 12;
const BYTES: usize = FACTOR + 2;

const GRID4: usize = GRIDS; // of the weights
const GRID32: usize = GRIDS + GRID_BYTES; // of the scales
const STEPS: usize = REFINE_END; // sixteen floats: what one level is worth
const LEVELS: usize = STEPS + 64; // 256 bytes
// Without importance:
const LX: usize = W; // the weights of the search are not needed
const L2: usize = WX;
const LEVEL_BITS: usize = LEVELS + 256; // sixteen vectors: first levels
// With importance:
const TOTALS: usize = LEVELS + 256; // sums of weights, sixteen floats of each of four super-blocks
const VARIANCES: usize = TOTALS + 256; // four floats
const SOURCES: usize = VARIANCES + 16; // four addresses
const IMPORTANCES: usize = SOURCES + 16;

/** Below this a sub-block counts as all zero. */
const TINY: f32 = 1e-15;

export function q3_k_encode(source: usize, target: usize, rows: u32, columns: u32): void {
  makeRefineConstants();
  makeLevelConstants(4);
  const blocks = (columns / 256) * rows;
  for (let block: u32 = 0; block < blocks; block += 4) {
    encodeUpToFour(source, target, min<u32>(4, blocks - block));
    source += 4 * 1024;
    target += 4 * BYTES;
  }
}

/** Several super-blocks, so that enough sub-blocks are refined side by side. */
function encodeUpToFour(source: usize, target: usize, count: usize): void {
  let moving: u64 = 0;
  for (let s: usize = 0; s < 16 * count; s += 4) moving |= fitGroup(source + 64 * s, 4 * s) << s;
  for (let left = moving; left != 0; left &= left - 1) {
    const s = <usize>ctz(left);
    refineLater(s, source + 64 * s, load<f32>(4 * s, INVERSE));
  }
  refineQueued(source);
  for (let b: usize = 0; b < count; b++)
    packBlock(source + 1024 * b, target + BYTES * b, 64 * b, <u32>(moving >> (16 * b)));
}

/** Rounds the scales of a super-block, whose sub-blocks' results begin at offset `at`; `refined` has a bit for each. */
function packBlock(source: usize, target: usize, at: usize, refined: u32): void {
  for (let p = at; p < at + 64; p += 16) {
    const suml2 = v128.load(p, SUML2);
    const scale = v128.and(f32x4.div(v128.load(p, SUMLX), suml2), f32x4.gt(suml2, f32x4.splat(0)));
    v128.store(p, v128.andnot(scale, v128.load(p, EMPTY)), SCALE);
  }
  let largest: f32 = 0;
  let max: f32 = 0;
  for (let j: usize = 0; j < 64; j += 4) {
    const scale = load<f32>(at + j, SCALE);
    if (abs<f32>(scale) > largest) {
      largest = abs<f32>(scale);
      max = scale;
    }
  }
  let codes = i8x16.splat(0);
  let factor: u16 = 0;
  if (max != 0) {
    const inverse = <f32>-32 / max;
    factor = encodeHalf(<f32>1 / inverse);
    codes = allScaleCodes(at, inverse);
  }
  pack(source, target, codes, factor, at, refined);
}

/**
 * First levels and their scale for four sub-blocks: round(inverse · x), where the largest weight becomes −4.
 *
 * The levels are then refined one at a time, but only where the largest weight is negative: otherwise all x·l are
 * ≤ 0, the sum without any one of them is too, and llama.cpp moves nothing. Most of the others stay as they are
 * as well; the returned bits are the sub-blocks for which a weight has a better level at first sight.
 */
function fitGroup(source: usize, at: usize): u64 {
  for (let i: usize = 0; i < 64; i += 16) transpose(source + i, 64, X + 4 * i);
  const max = extremes();
  const empty = f32x4.lt(f32x4.abs(max), f32x4.splat(TINY));
  const inverse = f32x4.div(f32x4.splat(-4), max);
  const magic = v128.load(0, MAGIC);
  const highest = v128.load(0, HIGHEST);
  let sumlx = f32x4.splat(0);
  let suml2 = sumlx;
  for (let p: usize = 0; p < 256; p += 16) {
    const x = v128.load(p, X);
    const bits = firstLevels(x, inverse, magic, highest);
    const level = f32x4.sub(bits, magic);
    const w = f32x4.mul(x, x);
    const lx = f32x4.mul(f32x4.mul(w, x), level);
    const l2 = f32x4.mul(f32x4.mul(w, level), level);
    sumlx = f32x4.add(sumlx, lx);
    suml2 = f32x4.add(suml2, l2);
    v128.store(p, bits, LEVEL_BITS);
    v128.store(p, lx, LX);
    v128.store(p, l2, L2);
  }
  v128.store(at, inverse, INVERSE);
  v128.store(at, empty, EMPTY);
  v128.store(at, sumlx, SUMLX);
  v128.store(at, suml2, SUML2);
  return <u64>i32x4.bitmask(v128.andnot(v128.and(otherLevels(sumlx, suml2), f32x4.lt(max, f32x4.splat(0))), empty));
}

/** The element of largest magnitude of each lane, the first one where a positive and a negative one are equal. */
// @ts-ignore: decorator
@inline
function extremes(): v128 {
  let highest = f32x4.splat(0);
  let lowest = highest;
  for (let p: usize = 0; p < 256; p += 64) {
    const a = v128.load(p, X);
    const b = v128.load(p, X + 16);
    const c = v128.load(p, X + 32);
    const d = v128.load(p, X + 48);
    highest = f32x4.pmax(highest, f32x4.pmax(f32x4.pmax(a, b), f32x4.pmax(c, d)));
    lowest = f32x4.pmin(lowest, f32x4.pmin(f32x4.pmin(a, b), f32x4.pmin(c, d)));
  }
  const negated = f32x4.neg(lowest);
  if (v128.any_true(f32x4.eq(highest, negated))) return firstExtremes();
  return v128.bitselect(highest, lowest, f32x4.gt(highest, negated));
}

function firstExtremes(): v128 {
  let largest = f32x4.splat(0);
  let max = largest;
  for (let p: usize = 0; p < 256; p += 16) {
    const x = v128.load(p, X);
    const magnitude = f32x4.abs(x);
    max = v128.bitselect(x, max, f32x4.gt(magnitude, largest));
    largest = f32x4.pmax(largest, magnitude);
  }
  return max;
}

/** Lanes in which the level that suits a weight best, all others kept, is not the one it has. */
// @ts-ignore: decorator
@inline
function otherLevels(sumlx: v128, suml2: v128): v128 {
  const magic = v128.load(0, MAGIC);
  const mantissa = v128.load(0, MANTISSA);
  const exponent = v128.load(0, EXPONENT);
  const lowest = v128.load(0, LOWEST);
  const highest = v128.load(0, HIGHEST);
  let other = i32x4.splat(0);
  for (let p: usize = 0; p < 256; p += 16) {
    const l2 = f32x4.sub(suml2, v128.load(p, L2));
    const lx = f32x4.sub(sumlx, v128.load(p, LX));
    const best = bestLevels(v128.load(p, X), lx, l2, magic, mantissa, exponent, lowest, highest);
    other = v128.or(other, v128.xor(best, v128.load(p, LEVEL_BITS)));
  }
  return i32x4.ne(other, i32x4.splat(0));
}

/** round(inverse · scale) of a super-block's sixteen scales, clamped to −32 … 31, plus 32. */
// @ts-ignore: decorator
@inline
function allScaleCodes(at: usize, inverse: f32): v128 {
  const factor = f32x4.splat(inverse);
  const a = scaleCodes(at, factor);
  const b = scaleCodes(at + 16, factor);
  const c = scaleCodes(at + 32, factor);
  const d = scaleCodes(at + 48, factor);
  return i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d));
}

/** Four of them. NaN rounds to 0, and no inverse is infinite: weights from 10⁻¹⁵ up have scales far above 10⁻³⁷. */
// @ts-ignore: decorator
@inline
function scaleCodes(p: usize, inverse: v128): v128 {
  const rounded = nearestInts(f32x4.mul(inverse, v128.load(p, SCALE)));
  return i32x4.add(i32x4.max_s(i32x4.splat(-32), i32x4.min_s(i32x4.splat(31), rounded)), i32x4.splat(32));
}

export function q3_k_encode_weighted(source: usize, target: usize, rows: u32, columns: u32, importance: usize): void {
  makeGrid(GRID4, 4);
  makeGrid(GRID32, 32);
  makeLevelConstants(4);
  const blocks = (columns / 256) * rows;
  let column: usize = 0;
  for (let block: u32 = 0; block < blocks; block += 4, target += 4 * BYTES) {
    const count = min<u32>(4, blocks - block);
    for (let b: u32 = 0; b < 4; b++) {
      // Fewer than four at the end: the last one stands in for those that are missing.
      store<usize>(4 * b, source, SOURCES);
      store<usize>(4 * b, importance + column, IMPORTANCES);
      if (b + 1 >= count) continue;
      source += 1024;
      column += 1024;
      if (column == 4 * <usize>columns) column = 0;
    }
    source += 1024;
    column += 1024;
    if (column == 4 * <usize>columns) column = 0;
    encodeFour(target, count);
  }
}

function encodeFour(target: usize, count: u32): void {
  sumSquares();
  for (let b: usize = 0; b < 4; b++) {
    const source = load<usize>(4 * b, SOURCES);
    const importance = load<usize>(4 * b, IMPORTANCES);
    const variance = load<f32>(4 * b, VARIANCES);
    for (let group: usize = 0; group < 4; group++)
      searchGroup(source + 256 * group, importance + 256 * group, variance, 64 * b + 16 * group);
  }
  for (let i: usize = 0; i < 64; i += 16) {
    transpose(SCALE + i, 64, X + 4 * i);
    transpose(TOTALS + i, 64, W + 4 * i);
  }
  for (let p: usize = 0; p < 256; p += 16) v128.store(p, f32x4.mul(v128.load(p, W), v128.load(p, X)), WX);
  searchScalesOfAny(GRID32, 256, 256);
  for (let b: usize = 0; b < count; b++) packWeighted(load<usize>(4 * b, SOURCES), target + BYTES * b, b);
}

/** Twice the mean square of each of the four super-blocks, summed in order. */
function sumSquares(): void {
  const a = load<usize>(0, SOURCES);
  const b = load<usize>(4, SOURCES);
  const c = load<usize>(8, SOURCES);
  const d = load<usize>(12, SOURCES);
  let sum = f32x4.splat(0);
  for (let i: usize = 0; i < 1024; i += 16) {
    const va = v128.load(a + i);
    const vb = v128.load(b + i);
    const vc = v128.load(c + i);
    const vd = v128.load(d + i);
    const ab = v128.shuffle<f32>(va, vb, 0, 4, 1, 5);
    const cd = v128.shuffle<f32>(vc, vd, 0, 4, 1, 5);
    const ab2 = v128.shuffle<f32>(va, vb, 2, 6, 3, 7);
    const cd2 = v128.shuffle<f32>(vc, vd, 2, 6, 3, 7);
    const x0 = v128.shuffle<f64>(ab, cd, 0, 2);
    const x1 = v128.shuffle<f64>(ab, cd, 1, 3);
    const x2 = v128.shuffle<f64>(ab2, cd2, 0, 2);
    const x3 = v128.shuffle<f64>(ab2, cd2, 1, 3);
    sum = f32x4.add(sum, f32x4.mul(x0, x0));
    sum = f32x4.add(sum, f32x4.mul(x1, x1));
    sum = f32x4.add(sum, f32x4.mul(x2, x2));
    sum = f32x4.add(sum, f32x4.mul(x3, x3));
  }
  v128.store(0, f32x4.div(f32x4.add(sum, sum), f32x4.splat(256)), VARIANCES);
}

/** A weight counts importance · √(variance + x²). */
function searchGroup(source: usize, importance: usize, variance: f32, at: usize): void {
  for (let i: usize = 0; i < 64; i += 16) {
    transpose(source + i, 64, X + 4 * i);
    transpose(importance + i, 64, W + 4 * i);
  }
  const floor = f32x4.splat(variance);
  let total = f32x4.splat(0);
  for (let p: usize = 0; p < 256; p += 16) {
    const x = v128.load(p, X);
    const w = f32x4.mul(v128.load(p, W), f32x4.sqrt(f32x4.add(floor, f32x4.mul(x, x))));
    total = f32x4.add(total, w);
    v128.store(p, w, W);
    v128.store(p, f32x4.mul(w, x), WX);
  }
  v128.store(at, total, TOTALS);
  searchScales(GRID4, 256, at);
}

/** Super-block `b` of four, whose scales' search left its result at 256 + 4 b. */
function packWeighted(source: usize, target: usize, b: usize): void {
  const found = load<f32>(256 + 4 * b, SCALE);
  // The NaN of x86, whatever this processor's: tensors with such blocks are refused, but equal bytes are equal bytes.
  const factor: u16 = found == found ? encodeHalf(found) : 0xfe00;
  let codes = i8x16.splat(0);
  if (!load<u32>(256 + 4 * b, EMPTY)) codes = allScaleCodes(64 * b, load<f32>(256 + 4 * b, INVERSE));
  pack(source, target, codes, factor, 64 * b, 0);
}

/** Writes a super-block whose scale codes are known; `at` is where its sub-blocks' results lie. */
// @ts-ignore: decorator
@inline
function pack(source: usize, target: usize, codes: v128, factor: u16, at: usize, refined: u32): void {
  store<u16>(target, factor, FACTOR);
  packScales(target, codes);
  storeSteps(codes, decodeHalf(factor));
  for (let j: usize = 0; j < 16; j++) {
    const step = load<f32>(4 * j, STEPS);
    const x = source + 64 * j;
    let level: v128;
    if (step != 0) level = levels(x, step);
    else level = searchedLevels(x, at + 4 * j, (refined >>> <u32>j) & 1);
    v128.store(16 * j, level, LEVELS);
  }
  packLevels(target);
}

/** Where the scale became zero, the levels of the search stay: rare, so they are found again. */
function searchedLevels(x: usize, at: usize, refined: u32): v128 {
  if (load<u32>(at, EMPTY)) return i8x16.splat(0);
  if (refined) return refinedLevels(at >> 2);
  return levelsOfSearch(x, f32x4.splat(load<f32>(at, INVERSE)), offset(4), i8x16.splat(7));
}

// @ts-ignore: decorator
@inline
function packScales(target: usize, codes: v128): void {
  const low = v128.and(codes, i8x16.splat(15));
  const nibbles = i64x2.extract_lane(low, 0) | (i64x2.extract_lane(low, 1) << 4);
  const high = v128.and(i16x8.shr_u(codes, 4), i8x16.splat(3));
  const bits =
    i32x4.extract_lane(high, 0) |
    (i32x4.extract_lane(high, 1) << 2) |
    (i32x4.extract_lane(high, 2) << 4) |
    (i32x4.extract_lane(high, 3) << 6);
  store<i64>(target, nibbles, SCALES);
  store<i32>(target, bits, SCALES + 8);
}

/** factor · (code − 32) for all sixteen. */
// @ts-ignore: decorator
@inline
function storeSteps(codes: v128, factor: f32): void {
  storeScaled(STEPS, i8x16.sub(codes, i8x16.splat(32)), factor);
}

// @ts-ignore: decorator
@inline
function packLevels(target: usize): void {
  const two = i8x16.splat(3);
  const third = i8x16.splat(4);
  for (let i: usize = 0; i < 32; i += 16) {
    const a = v128.load(i, LEVELS);
    const b = v128.load(i, LEVELS + 32);
    const c = v128.load(i, LEVELS + 64);
    const d = v128.load(i, LEVELS + 96);
    const e = v128.load(i, LEVELS + 128);
    const f = v128.load(i, LEVELS + 160);
    const g = v128.load(i, LEVELS + 192);
    const h = v128.load(i, LEVELS + 224);
    const ab = v128.or(i16x8.shr_u(v128.and(a, third), 2), i16x8.shr_u(v128.and(b, third), 1));
    const cd = v128.or(v128.and(c, third), i16x8.shl(v128.and(d, third), 1));
    const ef = v128.or(i16x8.shl(v128.and(e, third), 2), i16x8.shl(v128.and(f, third), 3));
    const gh = v128.or(i16x8.shl(v128.and(g, third), 4), i16x8.shl(v128.and(h, third), 5));
    v128.store(target + i, v128.or(v128.or(ab, cd), v128.or(ef, gh)));
    v128.store(target + i, lowBits(a, b, c, d, two), LOW);
    v128.store(target + i, lowBits(e, f, g, h, two), LOW + 32);
  }
}

// @ts-ignore: decorator
@inline
function lowBits(a: v128, b: v128, c: v128, d: v128, two: v128): v128 {
  const ab = v128.or(v128.and(a, two), i16x8.shl(v128.and(b, two), 2));
  const cd = v128.or(i16x8.shl(v128.and(c, two), 4), i16x8.shl(v128.and(d, two), 6));
  return v128.or(ab, cd);
}

export function q3_k_decode(source: usize, target: usize, blocks: u32): void {
  for (const end = target + <usize>blocks * 1024; target < end; source += BYTES, target += 1024) unpack(source, target);
}

function unpack(source: usize, target: usize): void {
  const nibbles = i64x2.replace_lane(i64x2.splat(load<i64>(source, SCALES)), 1, <i64>(load<u64>(source, SCALES) >> 4));
  const bits = load<i32>(source, SCALES + 8);
  let high = i32x4.splat(bits);
  high = i32x4.replace_lane(high, 1, bits >>> 2);
  high = i32x4.replace_lane(high, 2, bits >>> 4);
  high = i32x4.replace_lane(high, 3, bits >>> 6);
  const codes = v128.or(
    v128.and(nibbles, i8x16.splat(15)),
    i16x8.shl(v128.and(high, i8x16.splat(3)), 4),
  );
  storeSteps(codes, decodeHalf(load<u16>(source, FACTOR)));
  for (let i: usize = 0; i < 32; i += 16) {
    const third = v128.load(source + i);
    const out = target + 4 * i;
    const step = i >> 2; // sub-blocks 0, 2, 4 … or 1, 3, 5 …
    unpackHalf(out, v128.load(source + i, LOW), i16x8.shl(third, 2), i16x8.shl(third, 1), third, i16x8.shr_u(third, 1), step);
    unpackHalf(
      out + 512, v128.load(source + i, LOW + 32),
      i16x8.shr_u(third, 2), i16x8.shr_u(third, 3), i16x8.shr_u(third, 4), i16x8.shr_u(third, 5), step + 32,
    );
  }
}

/** Weights i + 0, 32, 64, 96; `a` … `d` hold their high bits as bit 2, and others around it. */
// @ts-ignore: decorator
@inline
function unpackHalf(target: usize, low: v128, a: v128, b: v128, c: v128, d: v128, step: usize): void {
  unpackSixteen(target, low, a, load<f32>(step, STEPS));
  unpackSixteen(target + 128, i16x8.shr_u(low, 2), b, load<f32>(step, STEPS + 8));
  unpackSixteen(target + 256, i16x8.shr_u(low, 4), c, load<f32>(step, STEPS + 16));
  unpackSixteen(target + 384, i16x8.shr_u(low, 6), d, load<f32>(step, STEPS + 24));
}

// @ts-ignore: decorator
@inline
function unpackSixteen(target: usize, low: v128, high: v128, step: f32): void {
  const level = v128.or(v128.and(low, i8x16.splat(3)), v128.and(high, i8x16.splat(4)));
  storeScaled(target, i8x16.sub(level, i8x16.splat(4)), step);
}
