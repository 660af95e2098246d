// The scale of four blocks at once, by trying nineteen positions of the level grid and keeping the best.
//
//   lanes        four independent blocks; element i of all four lies at X + 16 i, its weight at W + 16 i
//   levels       l = clamp(round(inverse · x), −reach, reach − 1)
//   trials       inverse = −(reach + 0.1 t) ⁄ max for t = 0, −9 … −1, 1 … 9, where max has the largest magnitude
//   best         the largest (Σ wxl)² ⁄ Σ wl², compared without a division as llama.cpp does
//
// Sums run over the elements in order in every lane, so they are the reference's to the last bit. Levels are not
// kept: whoever needs them rounds once more with the inverse that won.

/** Elements, weights and weight · element of up to 32 elements of four lanes. The caller fills all three. */
export const X: usize = 1024;
export const W: usize = X + 32 * 16;
export const WX: usize = W + 32 * 16;

/** Results, at the offset the caller names: scale, inverse that won, all bits set where all elements are tiny. */
export const SCALE: usize = WX + 32 * 16;
export const INVERSE: usize = SCALE + 512;
export const EMPTY: usize = INVERSE + 512;

const MAX: usize = EMPTY + 512;
const BEST: usize = MAX + 16;

/** Grids, as `makeGrid` writes them: each takes GRID_BYTES. */
export const GRIDS: usize = BEST + 16;
export const GRID_BYTES: usize = 26 * 16;
/** First free address. */
export const SEARCH_END: usize = GRIDS + 2 * GRID_BYTES;

// A grid: −reach, its eighteen neighbours in order of trial, the highest level, and for every three neighbours the
// scaled element above which they may exceed it. Vectors in memory, because V8 would rebuild constants at every use
// inside loops.
const NEIGHBOURS: usize = 16;
const HIGHEST: usize = 19 * 16;
const PEAKS: usize = 20 * 16;

/** Below this a block counts as all zero. */
const TINY: f32 = 1e-15;

export function makeGrid(at: usize, reach: f32): void {
  v128.store(at, f32x4.splat(-reach));
  let p = at + NEIGHBOURS;
  for (let t = -9; t <= 9; t++) {
    if (t == 0) continue;
    v128.store(p, f32x4.splat(-(reach + <f32>0.1 * <f32>t)));
    p += 16;
  }
  v128.store(at, f32x4.splat(reach - 1), HIGHEST);
  p = at + PEAKS;
  for (let t: f32 = -7; t <= 9; t += t == -1 ? 4 : 3) {
    v128.store(p, f32x4.splat(<f32>0.999 * (reach - <f32>0.5) * reach / (reach + <f32>0.1 * t)));
    p += 16;
  }
}

/** llama.cpp's rounding in full: it turns NaN into 0. Elements alone need it, weights are finite. */
// @ts-ignore: decorator
@inline
function wrapped(scaled: v128, lowest: v128, highest: v128): v128 {
  const bits = v128.and(f32x4.add(scaled, f32x4.splat(12582912.0)), i32x4.splat(0x007fffff));
  const whole = f32x4.convert_i32x4_s(i32x4.sub(bits, i32x4.splat(0x00400000)));
  return f32x4.pmax(lowest, f32x4.pmin(highest, whole));
}

/** `high` and `low`: whether levels may exceed the grid on that side, which most trials cannot. */
// @ts-ignore: decorator
@inline
function round(scaled: v128, highest: v128, lowest: v128, high: bool, low: bool, finite: bool): v128 {
  if (!finite) return wrapped(scaled, lowest, highest);
  let level = f32x4.nearest(scaled);
  if (high) level = f32x4.pmin(highest, level);
  if (low) level = f32x4.pmax(lowest, level);
  return level;
}

// @ts-ignore: decorator
@inline
function keepBetter(inverse: v128, sumlx: v128, suml2: v128, at: usize): void {
  const best = v128.load(0, BEST);
  const better = v128.and(
    f32x4.gt(suml2, f32x4.splat(0)),
    f32x4.gt(f32x4.mul(sumlx, sumlx), f32x4.mul(best, suml2)),
  );
  const scale = f32x4.div(sumlx, suml2);
  v128.store(0, v128.bitselect(f32x4.mul(scale, sumlx), best, better), BEST);
  v128.store(at, v128.bitselect(scale, v128.load(at, SCALE), better), SCALE);
  v128.store(at, v128.bitselect(inverse, v128.load(at, INVERSE), better), INVERSE);
}

/** Three neighbours share the loads of elements and weights. */
// @ts-ignore: decorator
@inline
function tryThree(grid: usize, neighbours: usize, size: usize, at: usize, high: bool, low: bool, finite: bool): void {
  const max = v128.load(0, MAX);
  const highest = v128.load(grid, HIGHEST);
  const lowest = v128.load(grid);
  const inverseA = f32x4.div(v128.load(neighbours), max);
  const inverseB = f32x4.div(v128.load(neighbours, 16), max);
  const inverseC = f32x4.div(v128.load(neighbours, 32), max);
  let lxA = f32x4.splat(0);
  let lxB = lxA;
  let lxC = lxA;
  let l2A = lxA;
  let l2B = lxA;
  let l2C = lxA;
  for (let p: usize = 0; p < size; p += 16) {
    const x = v128.load(p, X);
    const w = v128.load(p, W);
    const wx = v128.load(p, WX);
    const a = round(f32x4.mul(inverseA, x), highest, lowest, high, low, finite);
    lxA = f32x4.add(lxA, f32x4.mul(wx, a));
    l2A = f32x4.add(l2A, f32x4.mul(f32x4.mul(w, a), a));
    const b = round(f32x4.mul(inverseB, x), highest, lowest, high, low, finite);
    lxB = f32x4.add(lxB, f32x4.mul(wx, b));
    l2B = f32x4.add(l2B, f32x4.mul(f32x4.mul(w, b), b));
    const c = round(f32x4.mul(inverseC, x), highest, lowest, high, low, finite);
    lxC = f32x4.add(lxC, f32x4.mul(wx, c));
    l2C = f32x4.add(l2C, f32x4.mul(f32x4.mul(w, c), c));
  }
  keepBetter(inverseA, lxA, l2A, at);
  keepBetter(inverseB, lxB, l2B, at);
  keepBetter(inverseC, lxC, l2C, at);
}

/**
 * t = −9 … −1 and 1 … 3 stay above −reach − ½ and never need the lower clamp; t = 4 … 9 may.
 * @param peak the highest element scaled by the inverse of t = 0
 */
// @ts-ignore: decorator
@inline
function tryAll(grid: usize, size: usize, at: usize, peak: v128, finite: bool): void {
  let p = grid + NEIGHBOURS;
  let limit = grid + PEAKS;
  for (const end = p + 12 * 16; p < end; p += 48, limit += 16) {
    if (!finite || v128.any_true(f32x4.gt(peak, v128.load(limit)))) tryThree(grid, p, size, at, true, false, finite);
    else tryThree(grid, p, size, at, false, false, finite);
  }
  for (const end = p + 6 * 16; p < end; p += 48, limit += 16) {
    if (!finite || v128.any_true(f32x4.gt(peak, v128.load(limit)))) tryThree(grid, p, size, at, true, true, finite);
    else tryThree(grid, p, size, at, false, true, finite);
  }
}

// @ts-ignore: decorator
@inline
function search(grid: usize, size: usize, at: usize, finite: bool): void {
  let largest = f32x4.splat(0);
  let max = largest;
  for (let p: usize = 0; p < size; p += 16) {
    const x = v128.load(p, X);
    const magnitude = f32x4.abs(x);
    max = v128.bitselect(x, max, f32x4.gt(magnitude, largest));
    largest = f32x4.pmax(largest, magnitude);
  }
  const empty = f32x4.lt(largest, f32x4.splat(TINY));
  const lowest = v128.load(grid);
  const highest = v128.load(grid, HIGHEST);
  const inverse = f32x4.div(lowest, max);
  let sumlx = f32x4.splat(0);
  let suml2 = sumlx;
  let peak = sumlx;
  for (let p: usize = 0; p < size; p += 16) {
    const scaled = f32x4.mul(inverse, v128.load(p, X));
    peak = f32x4.pmax(peak, scaled);
    const level = round(scaled, highest, lowest, true, false, finite);
    sumlx = f32x4.add(sumlx, f32x4.mul(v128.load(p, WX), level));
    suml2 = f32x4.add(suml2, f32x4.mul(f32x4.mul(v128.load(p, W), level), level));
  }
  const scale = v128.and(f32x4.div(sumlx, suml2), f32x4.ne(suml2, f32x4.splat(0)));
  v128.store(0, max, MAX);
  v128.store(0, f32x4.mul(scale, sumlx), BEST);
  v128.store(at, scale, SCALE);
  v128.store(at, inverse, INVERSE);
  v128.store(at, empty, EMPTY);
  tryAll(grid, size, at, peak, finite);
  v128.store(at, v128.andnot(v128.load(at, SCALE), empty), SCALE);
}

/** Finite elements. `size`: 16 bytes per element. Weights may be anything. */
export function searchScales(grid: usize, size: usize, at: usize): void {
  search(grid, size, at, true);
}

/** Any elements, also the NaN and infinite scales of weights near the end of the range. */
export function searchScalesOfAny(grid: usize, size: usize, at: usize): void {
  search(grid, size, at, false);
}
