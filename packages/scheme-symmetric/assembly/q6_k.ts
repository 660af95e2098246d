// Q6_K: 256 weights as 6-bit levels, sixteen sub-blocks of 16 with a signed 8-bit scale each, one half for all.
//
//   byte 0 … 127      low nibbles   half h: byte 64 h + i holds weights 128 h + i and 128 h + 64 + i, i = 0 … 63
//   byte 128 … 191    high 2 bits   half h: byte 32 h + i holds weights 128 h + i + 0, 32, 64, 96
//   byte 192 … 207    scale of sub-block j
//   byte 208 … 209    scale of the scales (half)
//
// Lanes hold four sub-blocks; four such groups make a super-block.
import { decodeHalf, encodeHalf, nearestInts, transpose } from "@fewbit/assembly";
import { levels, levelsOfSearch, makeLevelConstants, offset, storeScaled } from "./levels";
import { EMPTY, GRIDS, INVERSE, SCALE, SEARCH_END, W, WX, X, makeGrid, searchScales } from "./grid-search";

const HIGH: usize = 256 / 2;
const SCALES: usize = HIGH + 256 / 4;
const FACTOR: usize = SCALES + 16;
const BYTES: usize = FACTOR + 2;

const GRID: usize = GRIDS;
const STEPS: usize = SEARCH_END; // sixteen floats: what one level is worth
const LEVELS: usize = STEPS + 64; // 256 bytes

const TINY: f32 = 1e-15;

export function q6_k_encode(source: usize, target: usize, rows: u32, columns: u32): void {
  makeGrid(GRID, 32);
  makeLevelConstants(32);
  for (const end = source + <usize>rows * columns * 4; source < end; source += 1024, target += BYTES) {
    for (let group: usize = 0; group < 4; group++) searchGroup(source + 256 * group, 16 * group);
    pack(source, target);
  }
}

export function q6_k_encode_weighted(source: usize, target: usize, rows: u32, columns: u32, importance: usize): void {
  makeGrid(GRID, 32);
  makeLevelConstants(32);
  for (let row: u32 = 0; row < rows; row++)
    for (let column: usize = 0; column < columns; column += 256, source += 1024, target += BYTES) {
      for (let group: usize = 0; group < 4; group++)
        searchWeightedGroup(source + 256 * group, importance + 4 * column + 256 * group, 16 * group);
      pack(source, target);
    }
}

/** Without importance a weight counts as its own square. */
function searchGroup(source: usize, at: usize): void {
  for (let i: usize = 0; i < 64; i += 16) transpose(source + i, 64, X + 4 * i);
  for (let p: usize = 0; p < 256; p += 16) {
    const x = v128.load(p, X);
    const w = f32x4.mul(x, x);
    v128.store(p, w, W);
    v128.store(p, f32x4.mul(w, x), WX);
  }
  searchScales(GRID, 256, at);
}

function searchWeightedGroup(source: usize, importance: usize, at: usize): void {
  for (let i: usize = 0; i < 64; i += 16) {
    transpose(source + i, 64, X + 4 * i);
    transpose(importance + i, 64, W + 4 * i);
  }
  for (let p: usize = 0; p < 256; p += 16) v128.store(p, f32x4.mul(v128.load(p, W), v128.load(p, X)), WX);
  searchScales(GRID, 256, at);
}

/** Quantizes the sixteen scales found and then, with what they became, the weights. */
function pack(source: usize, target: usize): void {
  let largest: f32 = 0;
  let max: f32 = 0;
  for (let j: usize = 0; j < 64; j += 4) {
    const scale = load<f32>(j, SCALE);
    if (abs<f32>(scale) > largest) {
      largest = abs<f32>(scale);
      max = scale;
    }
  }
  if (largest < TINY) {
    memory.fill(target, 0, BYTES);
    return;
  }
  const inverse = <f32>-128 / max;
  const half = encodeHalf(<f32>1 / inverse);
  store<u16>(target, half, FACTOR);
  const factor = f32x4.splat(decodeHalf(half));
  const a = scaleLevels(0, inverse, factor);
  const b = scaleLevels(16, inverse, factor);
  const c = scaleLevels(32, inverse, factor);
  const d = scaleLevels(48, inverse, factor);
  v128.store(
    target,
    i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d)),
    SCALES,
  );
  for (let j: usize = 0; j < 16; j++) {
    const step = load<f32>(4 * j, STEPS);
    const x = source + 64 * j;
    if (step != 0) v128.store(16 * j, levels(x, step), LEVELS);
    else if (load<u32>(4 * j, EMPTY)) v128.store(16 * j, i8x16.splat(0), LEVELS);
    else v128.store(16 * j, searchedLevels(x, load<f32>(4 * j, INVERSE)), LEVELS);
  }
  packLevels(target);
}

/** Where a scale became zero, the levels of the search stay. */
function searchedLevels(x: usize, inverse: f32): v128 {
  return levelsOfSearch(x, f32x4.splat(inverse), offset(32), i8x16.splat(63));
}

/** Four scales as integers up to 127; leaves factor · integer in STEPS. */
// @ts-ignore: decorator
@inline
function scaleLevels(p: usize, inverse: f32, factor: v128): v128 {
  const rounded = nearestInts(f32x4.mul(f32x4.splat(inverse), v128.load(p, SCALE)));
  const level = i32x4.min_s(rounded, i32x4.splat(127));
  v128.store(p, f32x4.mul(factor, f32x4.convert_i32x4_s(level)), STEPS);
  return level;
}

// @ts-ignore: decorator
@inline
function packLevels(target: usize): void {
  const nibble = i8x16.splat(15);
  for (let h: usize = 0; h < 2; h++)
    for (let i: usize = 0; i < 32; i += 16) {
      const p = 128 * h + i;
      const a = v128.load(p, LEVELS);
      const b = v128.load(p, LEVELS + 32);
      const c = v128.load(p, LEVELS + 64);
      const d = v128.load(p, LEVELS + 96);
      const low = target + 64 * h + i;
      v128.store(low, v128.or(v128.and(a, nibble), i16x8.shl(v128.and(c, nibble), 4)));
      v128.store(low, v128.or(v128.and(b, nibble), i16x8.shl(v128.and(d, nibble), 4)), 32);
      const ab = v128.or(highBits(a), i16x8.shl(highBits(b), 2));
      const cd = v128.or(i16x8.shl(highBits(c), 4), i16x8.shl(highBits(d), 6));
      v128.store(target + 32 * h + i, v128.or(ab, cd), HIGH);
    }
}

// @ts-ignore: decorator
@inline
function highBits(level: v128): v128 {
  return v128.and(i16x8.shr_u(level, 4), i8x16.splat(3));
}

export function q6_k_decode(source: usize, target: usize, blocks: u32): void {
  for (const end = target + <usize>blocks * 1024; target < end; source += BYTES, target += 1024) unpack(source, target);
}

function unpack(source: usize, target: usize): void {
  const factor = decodeHalf(load<u16>(source, FACTOR));
  const nibble = i8x16.splat(15);
  for (let h: usize = 0; h < 2; h++)
    for (let i: usize = 0; i < 2; i++) {
      const low = source + 64 * h + 16 * i;
      const ac = v128.load(low);
      const bd = v128.load(low, 32);
      const high = v128.load(source + 32 * h + 16 * i, HIGH);
      const scale = source + 8 * h + i;
      const out = target + 512 * h + 64 * i;
      unpackSixteen(out, v128.and(ac, nibble), i16x8.shl(high, 4), factor * <f32>load<i8>(scale, SCALES));
      unpackSixteen(out + 128, v128.and(bd, nibble), i16x8.shl(high, 2), factor * <f32>load<i8>(scale, SCALES + 2));
      unpackSixteen(out + 256, v128.and(i16x8.shr_u(ac, 4), nibble), high, factor * <f32>load<i8>(scale, SCALES + 4));
      unpackSixteen(
        out + 384,
        v128.and(i16x8.shr_u(bd, 4), nibble),
        i16x8.shr_u(high, 2),
        factor * <f32>load<i8>(scale, SCALES + 6),
      );
    }
}

/** `high` holds the upper two bits of each level at their place, and others around them. */
// @ts-ignore: decorator
@inline
function unpackSixteen(target: usize, low: v128, high: v128, step: f32): void {
  const level = v128.or(low, v128.and(high, i8x16.splat(0x30)));
  storeScaled(target, i8x16.sub(level, i8x16.splat(32)), step);
}
