// The search behind every type of this package: a sub-block's weights x become scale · level + min, with levels
// 0 … top and min ≤ 0. A series of trial scales proposes levels; the least squares fit to each proposal gives a scale
// and a minimum; the best one is kept and its minimum shifts the proposals that follow.
//
// Sixteen sub-blocks are searched at once, in two pairs of groups of four, one sub-block per lane, so that each lane
// performs the scalar sequence of operations and keeps the order of its sums:
//
//   group A            lane 0 1 2 3 = sub-blocks 0 1 2 3        group B: sub-blocks 4 5 6 7, 2048 bytes on
//   + X      0   weights      x₀x₀x₀x₀  x₁x₁x₁x₁ …               up to 32 rows of 16 bytes
//   + W    512   how much each counts
//   + L   1024   levels of the current proposal, as floats
//   + S   1536   state of the search, 16 bytes per variable
import { nearestInts, transpose } from "@fewbit/assembly";

/** Group A of the first and of the second pair; group B follows its A. */
export const FIRST: usize = 1024;
export const SECOND: usize = FIRST + 4096 + 576; // not a multiple of 4 KiB: equal low bits would look like one address
export const B: usize = 2048;
export const X: usize = 0;
export const W: usize = 512;
const L: usize = 1024;
const S: usize = 1536;

const MAX: usize = S;
const LOW: usize = S + 16; // the smallest weight
const SUM_W: usize = S + 32;
const SUM_X: usize = S + 48;
const ALIVE: usize = S + 64; // lanes whose weights are not all one value
// The best proposal so far: its fit and error, and the shift and inverse scale that led to its levels.
const SCALE: usize = S + 80;
const MIN: usize = S + 96;
const ERROR: usize = S + 112;
const BEST_INVERSE: usize = S + 128;
const BEST_SHIFT: usize = S + 144;
// The current proposal.
const INVERSE: usize = S + 160;
const SUM_L: usize = S + 176;
const SUM_LL: usize = S + 192;
const SUM_XL: usize = S + 208;
const FIT_SCALE: usize = S + 224;
const FIT_MIN: usize = S + 240;
const FIT_ERROR: usize = S + 256;
const SOLVED: usize = S + 272;

// Constants, kept in memory because V8 rebuilds v128.const at every use inside a loop.
const ZERO: usize = SECOND + 4096;
const TOP: usize = ZERO + 16;
const TOP_INTEGER: usize = TOP + 16;
const TRIALS: usize = TOP_INTEGER + 16; // numerators of the trial inverse scales, at most 64
let trials: u32 = 0;

/** Beyond this the reference's rounding wraps, and lanes must imitate it. */
const EXACT: f32 = 4194000.0;

// What a search leaves behind, for up to four super-blocks: 16 numbers per field, sub-block after sub-block.
export const SLOTS: usize = 10496;
export const SLOT: usize = 512;
export const SCALES: usize = 0;
export const MINS: usize = 64; // as subtracted: never negative
export const TOTALS: usize = 128; // sums of the weights' weights
export const INVERSES: usize = 192; // with SHIFTS: from which the levels of the best proposal follow
export const SHIFTS: usize = 256;

/** Prepares searches with levels 0 … top and the trials (first + delta · i + top) ÷ (max − min), i = 0 … last. */
export function prepareSearch(top: f32, first: f32, delta: f32, last: u32): void {
  v128.store(ZERO, f32x4.splat(0));
  v128.store(TOP, f32x4.splat(top));
  v128.store(TOP_INTEGER, i32x4.splat(<i32>top));
  v128.store(TRIALS, f32x4.splat(top)); // the starting point: max − min over all levels
  for (let i: u32 = 0; i <= last; i++) v128.store(TRIALS + ((<usize>i + 1) << 4), f32x4.splat(first + delta * <f32>i + top));
  trials = last + 1;
}

/** Loads eight consecutive sub-blocks of `size` weights into the given rows of both groups of a pair. */
export function loadPair(source: usize, size: usize, rows: usize): void {
  const stride = size << 2;
  for (let i: usize = 0; i < stride; i += 16) {
    transpose(source + i, stride, rows + (i << 2));
    transpose(source + (stride << 2) + i, stride, rows + B + (i << 2));
  }
}

function begin(group: usize, bytes: usize): void {
  let x = v128.load(group, X);
  let w = v128.load(group, W);
  let low = x;
  let max = x;
  let sumW = w;
  let sumX = f32x4.mul(w, x);
  for (let p = group + 16; p < group + bytes; p += 16) {
    x = v128.load(p, X);
    w = v128.load(p, W);
    low = f32x4.pmin(low, x);
    max = f32x4.pmax(max, x);
    sumW = f32x4.add(sumW, w);
    sumX = f32x4.add(sumX, f32x4.mul(w, x));
  }
  const min = f32x4.pmin(low, f32x4.splat(0));
  v128.store(group, low, LOW);
  v128.store(group, max, MAX);
  v128.store(group, sumW, SUM_W);
  v128.store(group, sumX, SUM_X);
  v128.store(group, min, MIN);
  v128.store(group, f32x4.gt(max, min), ALIVE);
}

/** The inverse scale of a trial; true lanes are those whose levels cannot overflow before clamping. */
// @ts-ignore: decorator
@inline
function invert(group: usize, trial: usize): v128 {
  const min = v128.load(group, MIN);
  const range = f32x4.sub(v128.load(group, MAX), min);
  const inverse = v128.and(f32x4.div(v128.load(trial, TRIALS), range), v128.load(group, ALIVE));
  v128.store(group, inverse, INVERSE);
  const reach = f32x4.pmax(f32x4.abs(range), f32x4.abs(f32x4.sub(v128.load(group, LOW), min)));
  return f32x4.lt(f32x4.mul(f32x4.abs(inverse), reach), f32x4.splat(EXACT));
}

/** Levels of the current proposals and their sums. Both groups in one loop: one alone waits for its additions. */
function level(pair: usize, bytes: usize): void {
  const zero = v128.load(ZERO);
  const top = v128.load(TOP);
  const inverseA = v128.load(pair, INVERSE);
  const minA = v128.load(pair, MIN);
  const inverseB = v128.load(pair, B + INVERSE);
  const minB = v128.load(pair, B + MIN);
  let sumLA = f32x4.splat(0);
  let sumLLA = f32x4.splat(0);
  let sumXLA = f32x4.splat(0);
  let sumLB = f32x4.splat(0);
  let sumLLB = f32x4.splat(0);
  let sumXLB = f32x4.splat(0);
  for (let p = pair; p < pair + bytes; p += 16) {
    const xA = v128.load(p, X);
    const lA = i32x4.max_s(zero, i32x4.min_s(top, f32x4.nearest(f32x4.mul(inverseA, f32x4.sub(xA, minA))))); // floats ≥ 0 compare like integers
    v128.store(p, lA, L);
    const wlA = f32x4.mul(v128.load(p, W), lA);
    sumLA = f32x4.add(sumLA, wlA);
    sumLLA = f32x4.add(sumLLA, f32x4.mul(wlA, lA));
    sumXLA = f32x4.add(sumXLA, f32x4.mul(wlA, xA));
    const xB = v128.load(p, B + X);
    const lB = i32x4.max_s(zero, i32x4.min_s(top, f32x4.nearest(f32x4.mul(inverseB, f32x4.sub(xB, minB)))));
    v128.store(p, lB, B + L);
    const wlB = f32x4.mul(v128.load(p, B + W), lB);
    sumLB = f32x4.add(sumLB, wlB);
    sumLLB = f32x4.add(sumLLB, f32x4.mul(wlB, lB));
    sumXLB = f32x4.add(sumXLB, f32x4.mul(wlB, xB));
  }
  v128.store(pair, sumLA, SUM_L);
  v128.store(pair, sumLLA, SUM_LL);
  v128.store(pair, sumXLA, SUM_XL);
  v128.store(pair, sumLB, B + SUM_L);
  v128.store(pair, sumLLB, B + SUM_LL);
  v128.store(pair, sumXLB, B + SUM_XL);
}

/** `level` with the reference's wrapping integers: for scales near overflow or underflow. */
function levelExactly(group: usize, bytes: usize): void {
  const inverse = v128.load(group, INVERSE);
  const min = v128.load(group, MIN);
  let sumL = f32x4.splat(0);
  let sumLL = f32x4.splat(0);
  let sumXL = f32x4.splat(0);
  for (let p = group; p < group + bytes; p += 16) {
    const x = v128.load(p, X);
    const rounded = nearestInts(f32x4.mul(inverse, f32x4.sub(x, min)));
    const l = f32x4.convert_i32x4_s(i32x4.max_s(v128.load(ZERO), i32x4.min_s(v128.load(TOP_INTEGER), rounded)));
    v128.store(p, l, L);
    const wl = f32x4.mul(v128.load(p, W), l);
    sumL = f32x4.add(sumL, wl);
    sumLL = f32x4.add(sumLL, f32x4.mul(wl, l));
    sumXL = f32x4.add(sumXL, f32x4.mul(wl, x));
  }
  v128.store(group, sumL, SUM_L);
  v128.store(group, sumLL, SUM_LL);
  v128.store(group, sumXL, SUM_XL);
}

/** Least squares for the proposed levels; a minimum above zero is given up in favour of scale alone. */
// @ts-ignore: decorator
@inline
function solve(group: usize): void {
  const sumW = v128.load(group, SUM_W);
  const sumX = v128.load(group, SUM_X);
  const sumL = v128.load(group, SUM_L);
  const sumLL = v128.load(group, SUM_LL);
  const sumXL = v128.load(group, SUM_XL);
  const determinant = f32x4.sub(f32x4.mul(sumW, sumLL), f32x4.mul(sumL, sumL));
  let scale = f32x4.div(f32x4.sub(f32x4.mul(sumW, sumXL), f32x4.mul(sumX, sumL)), determinant);
  let min = f32x4.div(f32x4.sub(f32x4.mul(sumLL, sumX), f32x4.mul(sumL, sumXL)), determinant);
  const positive = f32x4.gt(min, f32x4.splat(0));
  if (v128.any_true(positive)) {
    min = v128.andnot(min, positive);
    scale = v128.bitselect(f32x4.div(sumXL, sumLL), scale, positive);
  }
  v128.store(group, scale, FIT_SCALE);
  v128.store(group, min, FIT_MIN);
  v128.store(group, v128.and(f32x4.gt(determinant, f32x4.splat(0)), v128.load(group, ALIVE)), SOLVED);
}

/** Weighted error of both fits, squared or absolute. */
// @ts-ignore: decorator
@inline
function measure(pair: usize, bytes: usize, absolute: bool): void {
  const scaleA = v128.load(pair, FIT_SCALE);
  const minA = v128.load(pair, FIT_MIN);
  const scaleB = v128.load(pair, B + FIT_SCALE);
  const minB = v128.load(pair, B + FIT_MIN);
  let errorA = f32x4.splat(0);
  let errorB = f32x4.splat(0);
  for (let p = pair; p < pair + bytes; p += 16) {
    const a = f32x4.sub(f32x4.add(f32x4.mul(scaleA, v128.load(p, L)), minA), v128.load(p, X));
    errorA = f32x4.add(errorA, f32x4.mul(v128.load(p, W), absolute ? f32x4.abs(a) : f32x4.mul(a, a)));
    const b = f32x4.sub(f32x4.add(f32x4.mul(scaleB, v128.load(p, B + L)), minB), v128.load(p, B + X));
    errorB = f32x4.add(errorB, f32x4.mul(v128.load(p, B + W), absolute ? f32x4.abs(b) : f32x4.mul(b, b)));
  }
  v128.store(pair, errorA, FIT_ERROR);
  v128.store(pair, errorB, B + FIT_ERROR);
}

function measureSquares(pair: usize, bytes: usize): void {
  measure(pair, bytes, false);
}

function measureAbsolutes(pair: usize, bytes: usize): void {
  measure(pair, bytes, true);
}

/** The starting point: levels spread evenly from min to max, taken as they are. */
// @ts-ignore: decorator
@inline
function spread(group: usize): void {
  v128.store(group, f32x4.div(f32x4.splat(1), v128.load(group, INVERSE)), FIT_SCALE);
  v128.store(group, v128.load(group, MIN), FIT_MIN);
}

// @ts-ignore: decorator
@inline
function settle(group: usize): void {
  v128.store(group, v128.load(group, FIT_SCALE), SCALE);
  v128.store(group, v128.load(group, FIT_ERROR), ERROR);
  v128.store(group, v128.load(group, INVERSE), BEST_INVERSE);
  v128.store(group, v128.load(group, MIN), BEST_SHIFT);
}

/** Keeps the fit in the lanes where it is solved and better. */
// @ts-ignore: decorator
@inline
function keepBetter(group: usize): void {
  const fit = v128.load(group, FIT_ERROR);
  const best = v128.load(group, ERROR);
  const min = v128.load(group, MIN);
  const better = v128.and(v128.load(group, SOLVED), f32x4.lt(fit, best));
  v128.store(group, v128.bitselect(fit, best, better), ERROR);
  v128.store(group, v128.bitselect(v128.load(group, FIT_SCALE), v128.load(group, SCALE), better), SCALE);
  v128.store(group, v128.bitselect(v128.load(group, INVERSE), v128.load(group, BEST_INVERSE), better), BEST_INVERSE);
  v128.store(group, v128.bitselect(min, v128.load(group, BEST_SHIFT), better), BEST_SHIFT);
  v128.store(group, v128.bitselect(v128.load(group, FIT_MIN), min, better), MIN);
}

// @ts-ignore: decorator
@inline
function deliver(group: usize, target: usize): void {
  const alive = v128.load(group, ALIVE);
  v128.store(target, v128.and(v128.load(group, SCALE), alive), SCALES);
  v128.store(target, f32x4.neg(v128.load(group, MIN)), MINS);
  v128.store(target, v128.load(group, SUM_W), TOTALS);
  v128.store(target, v128.load(group, BEST_INVERSE), INVERSES);
  v128.store(target, v128.load(group, BEST_SHIFT), SHIFTS);
}

/** First half of a trial: levels, and the fit to them. */
function propose(pair: usize, bytes: usize, trial: usize): void {
  if (i32x4.all_true(v128.and(invert(pair, trial), invert(pair + B, trial)))) level(pair, bytes);
  else {
    levelExactly(pair, bytes);
    levelExactly(pair + B, bytes);
  }
  if (trial == 0) {
    spread(pair);
    spread(pair + B);
  } else {
    solve(pair);
    solve(pair + B);
  }
}

/** Second half of a trial: the error, and whether it is the least. */
// @ts-ignore: decorator
@inline
function judge(pair: usize, bytes: usize, trial: usize, absolute: bool): void {
  if (absolute) measureAbsolutes(pair, bytes);
  else measureSquares(pair, bytes);
  if (trial == 0) {
    settle(pair);
    settle(pair + B);
  } else {
    keepBetter(pair);
    keepBetter(pair + B);
  }
}

/** The two pairs in turn: the divisions of one hide behind the loops of the other. */
// @ts-ignore: decorator
@inline
function run(size: usize, absolute: bool, target: usize, second: usize): void {
  const bytes = size << 4;
  begin(FIRST, bytes);
  begin(FIRST + B, bytes);
  begin(SECOND, bytes);
  begin(SECOND + B, bytes);
  for (let trial: usize = 0; trial <= <usize>trials << 4; trial += 16) {
    propose(FIRST, bytes, trial);
    propose(SECOND, bytes, trial);
    judge(FIRST, bytes, trial, absolute);
    judge(SECOND, bytes, trial, absolute);
  }
  deliver(FIRST, target);
  deliver(FIRST + B, target + 16);
  deliver(SECOND, second);
  deliver(SECOND + B, second + 16);
}

/**
 * Searches the sub-blocks of `size` weights loaded in both pairs by squared error. The fits go to `target` and `second`,
 * inside slots.
 */
export function search(size: usize, target: usize, second: usize): void {
  run(size, false, target, second);
}

/** `search` by absolute error. */
export function searchAbsolutely(size: usize, target: usize, second: usize): void {
  run(size, true, target, second);
}
