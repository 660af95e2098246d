// What Q4_0 and Q5_0 share: 32 weights; a scale whose sign takes the weight of largest magnitude to -reach (8 or 16);
// levels from 0 to 2 · reach − 1, where `reach` stands for zero.
import { encodeHalves, transpose } from "@fewbit/assembly";
import { SPARE_BLOCKS, SPARE_WEIGHTS } from "./blocks";
import { extremes32 } from "./extremes";
import { EMPTY, GRIDS, INVERSE, SCALE, W, WX, X, makeGrid, searchScales } from "./grid-search";
import { offset } from "./levels";

const WEIGHTS: u32 = 32 * 4;

// Constants in memory: V8 builds constant vectors anew at every use inside a loop.
export const SHIFT: usize = 0; //      adding 2²³ leaves an integer in the low bits …
export const SHIFTED: usize = 16; //   … and subtracting this pattern leaves it alone
export const HIGHEST: usize = 32; //   2 · reach − 1 in every byte

/** A fit: scales of four blocks as halves, their inverses, and what is added to a scaled weight. */
export const HALVES: usize = 64;
export const INVERSES: usize = HALVES + 16;
export const ZEROS: usize = HALVES + 32;
export const FIT: usize = 48;

/** Mean squares of four rows; two fits lie before. */
const MEAN_SQUARES: usize = HALVES + 2 * FIT;
const SPARE_IMPORTANCE: usize = 0xe000;

// @ts-ignore: decorator
@inline
export function storeConstants(reach: i8): void {
  v128.store(SHIFT, f32x4.splat(8388608.0));
  v128.store(SHIFTED, i32x4.splat(0x4b000000));
  v128.store(HIGHEST, i8x16.splat(2 * reach - 1));
}

/** HALVES, INVERSES and ZEROS (reach + ½) of four blocks without importance, `at` bytes after these addresses. */
// @ts-ignore: decorator
@inline
export function fit(source: usize, reach: f32, at: usize): void {
  const scale = f32x4.div(extremes32(source), f32x4.splat(-reach));
  const inverse = f32x4.div(f32x4.splat(1), scale);
  const finite = f32x4.lt(f32x4.abs(inverse), f32x4.splat(Infinity));
  const zero = f32x4.eq(scale, f32x4.splat(0));
  v128.store(at, encodeHalves(scale), HALVES);
  v128.store(at, v128.and(inverse, finite), INVERSES);
  // Under a subnormal scale llama.cpp converts infinity to an integer, whose low byte is 0.
  v128.store(at, v128.and(f32x4.splat(reach + <f32>0.5), v128.or(finite, zero)), ZEROS);
}

/** ⌊x · inverse + zero⌋ of 16 weights as bytes, at most `highest`. */
// @ts-ignore: decorator
@inline
export function levels16(x: usize, inverse: v128, zero: v128, highest: v128, shift: v128, shifted: v128): v128 {
  const bytes = i8x16.narrow_i16x8_u(
    i16x8.narrow_i32x4_s(
      level(v128.load(x), inverse, zero, shift, shifted),
      level(v128.load(x, 16), inverse, zero, shift, shifted),
    ),
    i16x8.narrow_i32x4_s(
      level(v128.load(x, 32), inverse, zero, shift, shifted),
      level(v128.load(x, 48), inverse, zero, shift, shifted),
    ),
  );
  return i8x16.min_u(bytes, highest);
}

// @ts-ignore: decorator
@inline
function level(x: v128, inverse: v128, zero: v128, shift: v128, shifted: v128): v128 {
  const whole = f32x4.trunc(f32x4.add(f32x4.mul(x, inverse), zero));
  return i32x4.sub(f32x4.add(whole, shift), shifted);
}

/**
 * Encodes rows by a search that weighs the error of x by importance · √(mean square of the row + x²).
 * @param block bytes of a block
 * @param pack writes four blocks from HALVES, INVERSES and ZEROS (the offset of `levelsOfSearch`)
 */
export function encodeSearched(
  reach: f32,
  block: u32,
  pack: (source: usize, target: usize) => void,
  source: usize,
  target: usize,
  rows: u32,
  columns: u32,
  importance: usize,
): void {
  makeGrid(GRIDS, reach);
  const bytes = <usize>columns * 4;
  for (let row: u32 = 0; row < rows; row++, source += bytes) {
    if (row % 4 == 0) storeMeanSquares(source, rows - row, columns);
    const meanSquare = v128.load32_splat(MEAN_SQUARES + 4 * (row % 4));
    let blocks = columns / 32;
    let x = source;
    let w = importance;
    for (; blocks >= 4; blocks -= 4, x += 4 * WEIGHTS, w += 4 * WEIGHTS, target += 4 * block) {
      search(x, w, meanSquare, reach);
      pack(x, target);
    }
    if (blocks > 0) {
      memory.fill(SPARE_WEIGHTS, 0, 4 * WEIGHTS);
      memory.fill(SPARE_IMPORTANCE, 0, 4 * WEIGHTS);
      memory.copy(SPARE_WEIGHTS, x, blocks * WEIGHTS);
      memory.copy(SPARE_IMPORTANCE, w, blocks * WEIGHTS);
      search(SPARE_WEIGHTS, SPARE_IMPORTANCE, meanSquare, reach);
      pack(SPARE_WEIGHTS, SPARE_BLOCKS);
      memory.copy(target, SPARE_BLOCKS, blocks * block);
      target += blocks * block;
    }
  }
}

/** Lanes hold four rows, because the sum of one row must keep its order; missing rows repeat the last one. */
function storeMeanSquares(source: usize, rows: u32, columns: u32): void {
  const bytes = <usize>columns * 4;
  const b = rows > 1 ? bytes : 0;
  const c = rows > 2 ? b + bytes : b;
  const d = rows > 3 ? c + bytes : c;
  let sum = f32x4.splat(0);
  for (const end = source + bytes; source < end; source += 16) {
    const a4 = v128.load(source);
    const b4 = v128.load(source + b);
    const c4 = v128.load(source + c);
    const d4 = v128.load(source + d);
    const ab = v128.shuffle<f32>(a4, b4, 0, 4, 1, 5);
    const cd = v128.shuffle<f32>(c4, d4, 0, 4, 1, 5);
    const ab2 = v128.shuffle<f32>(a4, b4, 2, 6, 3, 7);
    const cd2 = v128.shuffle<f32>(c4, d4, 2, 6, 3, 7);
    sum = addSquare(sum, v128.shuffle<f64>(ab, cd, 0, 2));
    sum = addSquare(sum, v128.shuffle<f64>(ab, cd, 1, 3));
    sum = addSquare(sum, v128.shuffle<f64>(ab2, cd2, 0, 2));
    sum = addSquare(sum, v128.shuffle<f64>(ab2, cd2, 1, 3));
  }
  v128.store(MEAN_SQUARES, f32x4.div(sum, f32x4.splat(<f32>columns)));
}

// @ts-ignore: decorator
@inline
function addSquare(sum: v128, x: v128): v128 {
  return f32x4.add(sum, f32x4.mul(x, x));
}

/** HALVES, INVERSES and ZEROS of four blocks with importance; a block of zeros has level 0. */
function search(source: usize, importance: usize, meanSquare: v128, reach: f32): void {
  for (let i: usize = 0; i < WEIGHTS; i += 16) {
    transpose(source + i, WEIGHTS, X + 4 * i);
    transpose(importance + i, WEIGHTS, W + 4 * i);
  }
  for (let p: usize = 0; p < 32 * 16; p += 16) {
    const x = v128.load(p, X);
    const w = f32x4.mul(v128.load(p, W), f32x4.sqrt(f32x4.add(meanSquare, f32x4.mul(x, x))));
    v128.store(p, w, W);
    v128.store(p, f32x4.mul(w, x), WX);
  }
  searchScales(GRIDS, 32 * 16, 0);
  const empty = v128.load(EMPTY);
  v128.store(HALVES, encodeHalves(v128.load(SCALE)));
  v128.store(INVERSES, v128.andnot(v128.load(INVERSE), empty));
  v128.store(ZEROS, v128.bitselect(offset(0), offset(<i32>reach), empty));
}
