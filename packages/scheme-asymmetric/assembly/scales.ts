// The second stage of super-blocks: the scales (and likewise the minimums) that the search found for the sub-blocks of
// four super-blocks become small integers times one number per super-block. One super-block per lane:
//
//   VALUES + 16 j   value of sub-block j in super-blocks 0 1 2 3
import { nearestInts, transpose } from "@fewbit/assembly";
import { MINS, SCALES, SLOT, SLOTS, TOTALS } from "./search";

const VALUES: usize = 12544;
const WEIGHTS: usize = VALUES + 256;
/** Results: one i32 per super-block and sub-block; only the low byte counts. */
export const SCALE_LEVELS: usize = WEIGHTS + 256;
export const MIN_LEVELS: usize = SCALE_LEVELS + 256;

/** Below this the reference takes a super-block for zero. */
const NOTHING: f32 = 1e-15;

// @ts-ignore: decorator
@inline
function gather(field: usize, count: usize, target: usize): void {
  for (let j: usize = 0; j < count; j += 4) transpose(SLOTS + field + (j << 2), SLOT, target + (j << 4));
}

/**
 * Plain: the largest value gets the top level; what rounding into a byte makes of the others stops at `limit`.
 * @returns the unit of each super-block
 */
function spread(field: usize, count: usize, top: f32, limit: i32, levels: usize): v128 {
  gather(field, count, VALUES);
  let max = f32x4.splat(0);
  for (let p: usize = 0; p < count << 4; p += 16) max = f32x4.pmax(max, v128.load(p, VALUES));
  const inverse = v128.and(f32x4.div(f32x4.splat(top), max), f32x4.gt(max, f32x4.splat(0)));
  for (let p: usize = 0; p < count << 4; p += 16) {
    const level = v128.and(nearestInts(f32x4.mul(inverse, v128.load(p, VALUES))), i32x4.splat(255));
    v128.store(levels + p, i32x4.min_s(level, i32x4.splat(limit)));
  }
  return f32x4.div(max, f32x4.splat(top));
}

// @ts-ignore: decorator
@inline
function round(inverse: v128, value: v128, top: v128): v128 {
  return i32x4.min_s(top, nearestInts(f32x4.mul(inverse, value)));
}

/**
 * With importance: the best of nine units, then the levels one by one as long as the weighted fit improves.
 * @returns the unit of each super-block
 */
function fit(field: usize, count: usize, top: f32, levels: usize): v128 {
  gather(field, count, VALUES);
  gather(TOTALS, count, WEIGHTS);
  const end = count << 4;
  const tops = i32x4.splat(<i32>top);
  let max = f32x4.splat(0);
  for (let p: usize = 0; p < end; p += 16) {
    const x = v128.load(p, VALUES);
    max = v128.bitselect(max, x, f32x4.gt(max, x));
  }
  const nothing = f32x4.lt(max, f32x4.splat(NOTHING));
  let inverse = f32x4.div(f32x4.splat(top), max);

  // The first unit rounds into a byte without looking at the top level.
  let scale = f32x4.div(f32x4.splat(1), inverse);
  let best = f32x4.splat(0);
  for (let p: usize = 0; p < end; p += 16) {
    const x = v128.load(p, VALUES);
    const l = f32x4.convert_i32x4_s(v128.and(nearestInts(f32x4.mul(inverse, x)), i32x4.splat(255)));
    const e = f32x4.sub(x, f32x4.mul(scale, l));
    best = f32x4.add(best, f32x4.mul(f32x4.mul(v128.load(p, WEIGHTS), e), e));
  }
  for (let i = -4; i <= 4; i++) {
    if (i == 0) continue;
    const trial = f32x4.div(f32x4.splat(<f32>0.1 * <f32>i + top), max);
    scale = f32x4.div(f32x4.splat(1), trial);
    let error = f32x4.splat(0);
    for (let p: usize = 0; p < end; p += 16) {
      const x = v128.load(p, VALUES);
      const e = f32x4.sub(x, f32x4.mul(scale, f32x4.convert_i32x4_s(round(trial, x, tops))));
      error = f32x4.add(error, f32x4.mul(f32x4.mul(v128.load(p, WEIGHTS), e), e));
    }
    const better = f32x4.lt(error, best);
    best = v128.bitselect(error, best, better);
    inverse = v128.bitselect(trial, inverse, better);
  }

  let sumXL = f32x4.splat(0);
  let sumLL = f32x4.splat(0);
  for (let p: usize = 0; p < end; p += 16) {
    const x = v128.load(p, VALUES);
    const w = v128.load(p, WEIGHTS);
    const level = round(inverse, x, tops);
    const l = f32x4.convert_i32x4_s(level);
    v128.store(levels + p, v128.and(level, i32x4.splat(255)));
    sumXL = f32x4.add(sumXL, f32x4.mul(f32x4.mul(w, x), l));
    sumLL = f32x4.add(sumLL, f32x4.mul(f32x4.mul(w, l), l));
  }
  // A lane in which nothing changed would not change in another round either, so rounds need no lane mask.
  for (let attempt = 0; attempt < 5; attempt++) {
    let changed = f32x4.splat(0);
    for (let p: usize = 0; p < end; p += 16) {
      const x = v128.load(p, VALUES);
      const w = v128.load(p, WEIGHTS);
      const level = v128.load(levels + p);
      const l = f32x4.convert_i32x4_s(level);
      const wx = f32x4.mul(w, x);
      let xl = f32x4.sub(sumXL, f32x4.mul(wx, l));
      let ll = f32x4.sub(sumLL, f32x4.mul(f32x4.mul(w, l), l));
      const positive = v128.and(f32x4.gt(xl, f32x4.splat(0)), f32x4.gt(ll, f32x4.splat(0)));
      const newLevel = i32x4.min_s(tops, nearestInts(f32x4.div(f32x4.mul(x, ll), xl)));
      const other = v128.and(positive, i32x4.ne(newLevel, level));
      if (!v128.any_true(other)) continue;
      const n = f32x4.convert_i32x4_s(newLevel);
      xl = f32x4.add(xl, f32x4.mul(wx, n));
      ll = f32x4.add(ll, f32x4.mul(f32x4.mul(w, n), n));
      const gain = f32x4.gt(f32x4.mul(f32x4.mul(xl, xl), sumLL), f32x4.mul(f32x4.mul(sumXL, sumXL), ll));
      const better = v128.and(other, gain);
      v128.store(levels + p, v128.and(v128.bitselect(newLevel, level, better), i32x4.splat(255)));
      sumXL = v128.bitselect(xl, sumXL, better);
      sumLL = v128.bitselect(ll, sumLL, better);
      changed = v128.or(changed, better);
    }
    if (!v128.any_true(changed)) break;
  }
  for (let p: usize = 0; p < end; p += 16) v128.store(levels + p, v128.andnot(v128.load(levels + p), nothing));
  const solved = v128.andnot(f32x4.gt(sumLL, f32x4.splat(0)), nothing);
  return v128.and(f32x4.div(sumXL, sumLL), solved);
}

export function spreadScales(count: usize, top: f32, limit: i32): v128 {
  return spread(SCALES, count, top, limit, SCALE_LEVELS);
}

export function spreadMins(count: usize, top: f32, limit: i32): v128 {
  return spread(MINS, count, top, limit, MIN_LEVELS);
}

export function fitScales(count: usize, top: f32): v128 {
  return fit(SCALES, count, top, SCALE_LEVELS);
}

export function fitMins(count: usize, top: f32): v128 {
  return fit(MINS, count, top, MIN_LEVELS);
}
