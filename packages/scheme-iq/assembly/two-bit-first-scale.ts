// IQ2_XXS: a first scale for every sub-block of 32, as if its levels were 0 … 4 without a codebook. A scale is searched
// around 4 / max in nine steps, then levels are moved one at a time while that lowers the error. Lanes hold four
// sub-blocks; a super-block has two such fours.
import { nearestInt, nearestInts, transpose } from "@fewbit/assembly";
import { W, X } from "./two-bit-scratch";

// Of each four:
const TURNED_X: usize = 0xe800; // 32 vectors
const TURNED_W: usize = 0xea00;
const LEVELS: usize = 0xec00; // as floats 0 … 255
const SUM_LX: usize = 0xee00; // Σ w x level
const SUM_LL: usize = 0xee10; // Σ w level level
const MAXIMA: usize = 0xf600; // the largest x of each sub-block
const FOUR: usize = 0x620;

export const FIRST_SCALES: usize = 0xf500; // 8 floats
/** Where levels grow beyond what rounds exactly, llama.cpp's wrap: sub-blocks with such elements go one by one. */
const EXACT: f32 = 4e6;

const TOP: f32 = 4;
/** Bytes of each array that are looked at together for moves. */
const CHUNK: usize = 64;
const EMPTY: f32 = 1e-15;
// Constants from memory: see two-bit-search.ts.
const CONSTANTS: usize = memory.data<f32>([4, 4, 4, 4, 12582912, 12582912, 12582912, 12582912], 16);

/** Fills FIRST_SCALES of a super-block. */
export function findFirstScales(): void {
  const first = searchFour(0, 0);
  const second = searchFour(FOUR, 512);
  const both = first && second;
  if (both) moveBoth();
  finish(0, 0, first, <i32>both);
  finish(FOUR, 512, second, <i32>both);
}

/** A scale for each of four sub-blocks from offset `x` on, and levels, unless these may wrap. */
function searchFour(four: usize, x: usize): bool {
  for (let i: usize = 0; i < 128; i += 16) {
    transpose(X + x + i, 128, TURNED_X + four + 4 * i);
    transpose(W + x + i, 128, TURNED_W + four + 4 * i);
  }
  let max = f32x4.splat(0);
  let far = f32x4.splat(0);
  for (let p = four; p < four + 512; p += 16) {
    const v = v128.load(p, TURNED_X);
    max = f32x4.pmax(max, v);
    far = f32x4.pmax(far, f32x4.abs(v));
  }
  const empty = f32x4.lt(max, f32x4.splat(EMPTY));
  const sane = f32x4.lt(f32x4.mul(far, f32x4.splat(5)), f32x4.mul(max, f32x4.splat(EXACT)));
  if (i32x4.bitmask(v128.or(sane, empty)) != 15) return false;
  v128.store(four, max, MAXIMA);
  searchScale(four, max);
  return true;
}

/** @param done rounds of moves that are done */
function finish(four: usize, x: usize, searched: bool, done: i32): void {
  if (searched) v128.store(x >> 5, moveLevels(four, done), FIRST_SCALES);
  else for (let p = x; p < x + 512; p += 128) store<f32>(p >> 5, firstScale(p), FIRST_SCALES);
}

// @ts-ignore: decorator
@inline
function errorWith(p: usize, scale: v128, level: v128): v128 {
  const error = f32x4.sub(v128.load(p, TURNED_X), f32x4.mul(scale, level));
  return f32x4.mul(f32x4.mul(v128.load(p, TURNED_W), error), error);
}

/** Levels as llama.cpp keeps them, in a byte: negative ones wrap. */
// @ts-ignore: decorator
@inline
function inByte(levels: v128): v128 {
  return f32x4.convert_i32x4_s(v128.and(levels, i32x4.splat(255)));
}

function searchScale(four: usize, max: v128): void {
  const one = f32x4.splat(1);
  const top = v128.load(CONSTANTS);
  let inverse = f32x4.div(top, max);
  let scale = f32x4.div(one, inverse);
  let least = f32x4.splat(0);
  for (let p = four; p < four + 512; p += 16) {
    const levels = inByte(nearestInts(f32x4.mul(inverse, v128.load(p, TURNED_X))));
    least = f32x4.add(least, errorWith(p, scale, levels));
  }
  // Two steps at a time hide each other's latency: -4, -3 | -2, -1 | 1, 2 | 3, 4.
  for (let step: i32 = -4; step < 4; step += 2) {
    const a = step + <i32>(step >= 0);
    const inverseA = f32x4.div(f32x4.splat(<f32>0.1 * <f32>a + TOP), max);
    const inverseB = f32x4.div(f32x4.splat(<f32>0.1 * <f32>(a + 1) + TOP), max);
    const scaleA = f32x4.div(one, inverseA);
    const scaleB = f32x4.div(one, inverseB);
    let errorA = f32x4.splat(0);
    let errorB = f32x4.splat(0);
    for (let p = four; p < four + 512; p += 16) {
      const x = v128.load(p, TURNED_X);
      errorA = f32x4.add(errorA, errorWith(p, scaleA, f32x4.pmin(top, f32x4.nearest(f32x4.mul(inverseA, x)))));
      errorB = f32x4.add(errorB, errorWith(p, scaleB, f32x4.pmin(top, f32x4.nearest(f32x4.mul(inverseB, x)))));
    }
    let less = f32x4.lt(errorA, least);
    least = v128.bitselect(errorA, least, less);
    inverse = v128.bitselect(inverseA, inverse, less);
    less = f32x4.lt(errorB, least);
    least = v128.bitselect(errorB, least, less);
    inverse = v128.bitselect(inverseB, inverse, less);
  }
  let lx = f32x4.splat(0);
  let ll = f32x4.splat(0);
  for (let p = four; p < four + 512; p += 16) {
    const x = v128.load(p, TURNED_X);
    const w = v128.load(p, TURNED_W);
    const rounded = i32x4.min_s(nearestInts(f32x4.mul(inverse, x)), i32x4.splat(<i32>TOP));
    const level = f32x4.convert_i32x4_s(rounded);
    v128.store(p, inByte(rounded), LEVELS);
    lx = f32x4.add(lx, f32x4.mul(f32x4.mul(w, x), level));
    ll = f32x4.add(ll, f32x4.mul(f32x4.mul(w, level), level));
  }
  v128.store(four, lx, SUM_LX);
  v128.store(four, ll, SUM_LL);
}

/** The first round, in which many levels move, of both fours: they hide each other's latency. */
function moveBoth(): void {
  let lxA = v128.load(SUM_LX);
  let llA = v128.load(SUM_LL);
  let lxB = v128.load(SUM_LX + FOUR);
  let llB = v128.load(SUM_LL + FOUR);
  const zero = f32x4.splat(0);
  for (let p: usize = 0; p < 512; p += 16) {
    const wA = v128.load(p, TURNED_W);
    const wB = v128.load(p, TURNED_W + FOUR);
    const levelA = v128.load(p, LEVELS);
    const levelB = v128.load(p, LEVELS + FOUR);
    const wxA = f32x4.mul(wA, v128.load(p, TURNED_X));
    const wxB = f32x4.mul(wB, v128.load(p, TURNED_X + FOUR));
    const restXA = f32x4.sub(lxA, f32x4.mul(wxA, levelA));
    const restXB = f32x4.sub(lxB, f32x4.mul(wxB, levelB));
    const restLA = f32x4.sub(llA, f32x4.mul(f32x4.mul(wA, levelA), levelA));
    const restLB = f32x4.sub(llB, f32x4.mul(f32x4.mul(wB, levelB), levelB));
    const roundedA = otherLevel(v128.load(p, TURNED_X), restXA, restLA);
    const roundedB = otherLevel(v128.load(p, TURNED_X + FOUR), restXB, restLB);
    const otherA = f32x4.convert_i32x4_s(roundedA);
    const otherB = f32x4.convert_i32x4_s(roundedB);
    const newXA = f32x4.add(restXA, f32x4.mul(wxA, otherA));
    const newXB = f32x4.add(restXB, f32x4.mul(wxB, otherB));
    const newLA = f32x4.add(restLA, f32x4.mul(f32x4.mul(wA, otherA), otherA));
    const newLB = f32x4.add(restLB, f32x4.mul(f32x4.mul(wB, otherB), otherB));
    const betterA = f32x4.gt(f32x4.mul(f32x4.mul(newXA, newXA), llA), f32x4.mul(f32x4.mul(lxA, lxA), newLA));
    const betterB = f32x4.gt(f32x4.mul(f32x4.mul(newXB, newXB), llB), f32x4.mul(f32x4.mul(lxB, lxB), newLB));
    const mayA = v128.and(v128.and(f32x4.gt(restXA, zero), f32x4.gt(restLA, zero)), f32x4.ne(otherA, levelA));
    const mayB = v128.and(v128.and(f32x4.gt(restXB, zero), f32x4.gt(restLB, zero)), f32x4.ne(otherB, levelB));
    const moveA = v128.and(betterA, mayA);
    const moveB = v128.and(betterB, mayB);
    v128.store(p, v128.bitselect(inByte(roundedA), levelA, moveA), LEVELS);
    v128.store(p, v128.bitselect(inByte(roundedB), levelB, moveB), LEVELS + FOUR);
    lxA = v128.bitselect(newXA, lxA, moveA);
    lxB = v128.bitselect(newXB, lxB, moveB);
    llA = v128.bitselect(newLA, llA, moveA);
    llB = v128.bitselect(newLB, llB, moveB);
  }
  v128.store(SUM_LX, lxA);
  v128.store(SUM_LL, llA);
  v128.store(SUM_LX + FOUR, lxB);
  v128.store(SUM_LL + FOUR, llB);
}

/** The level that fits the scale of all other elements best. */
// @ts-ignore: decorator
@inline
function otherLevel(x: v128, restX: v128, restL: v128): v128 {
  const bits = f32x4.add(f32x4.div(f32x4.mul(x, restL), restX), v128.load(CONSTANTS, 16));
  return i32x4.min_s(i32x4.sub(v128.and(bits, i32x4.splat(0x7fffff)), i32x4.splat(0x400000)), i32x4.splat(<i32>TOP));
}

/**
 * Up to five rounds over all levels: each moves to what fits the others' scale best, if that lowers the error. Sub-blocks
 * that a round leaves as they were stay so.
 */
function moveLevels(four: usize, done: i32): v128 {
  let lx = v128.load(four, SUM_LX);
  let ll = v128.load(four, SUM_LL);
  const zero = f32x4.splat(0);
  for (let round = done; round < 5; round++) {
    let moved = zero;
    for (let next = four; next < four + 512; next += CHUNK) {
      // Moves are rare.
      if (i32x4.all_true(staying(four, next, lx, ll))) continue;
      for (let p = next; p < next + CHUNK; p += 16) {
        const x = v128.load(p, TURNED_X);
        const w = v128.load(p, TURNED_W);
        const level = v128.load(p, LEVELS);
        const wx = f32x4.mul(w, x);
        const restX = f32x4.sub(lx, f32x4.mul(wx, level));
        const restL = f32x4.sub(ll, f32x4.mul(f32x4.mul(w, level), level));
        const rounded = otherLevel(x, restX, restL);
        const other = f32x4.convert_i32x4_s(rounded);
        const newX = f32x4.add(restX, f32x4.mul(wx, other));
        const newL = f32x4.add(restL, f32x4.mul(f32x4.mul(w, other), other));
        const better = f32x4.gt(f32x4.mul(f32x4.mul(newX, newX), ll), f32x4.mul(f32x4.mul(lx, lx), newL));
        const may = v128.and(v128.and(f32x4.gt(restX, zero), f32x4.gt(restL, zero)), f32x4.ne(other, level));
        const move = v128.and(better, may);
        v128.store(p, v128.bitselect(inByte(rounded), level, move), LEVELS);
        lx = v128.bitselect(newX, lx, move);
        ll = v128.bitselect(newL, ll, move);
        moved = v128.or(moved, move);
      }
    }
    if (!v128.any_true(moved)) break;
  }
  return v128.and(f32x4.div(lx, ll), f32x4.gt(ll, zero));
}

/**
 * Lanes are true where no level of a chunk moves as long as the sums are these, X = Σ w x l and L = Σ w l².
 *
 * A level l stays where x restL / restX is nearest to l, and l is 4 where it is larger: where x restL − l restX, which is
 * x L − l X because w x l² leaves both terms, is within ± restX / 2. With u = 2⁻²⁴ and 0 ≤ l ≤ 4, |x| L ≤ |x L − l X| +
 * 4 X, and what the roundings of llama.cpp and those here can shift is below 17 u |x L − l X| + 60 u X < 70 u X; the limit
 * leaves 256 u X. As this makes restX at least 2⁻¹⁵ X, the quotient of an x < 32 X / L stays below 2²⁰, where rounding
 * works. X > 1e-30 keeps underflow out. If x is negative and l, as wrapping leaves it, is not zero, restL > 0 means that
 * |x| L > w |x| l², so that x L − l X is beyond the limit; and without restL > 0 nothing moves.
 */
// @ts-ignore: decorator
@inline
function staying(four: usize, next: usize, lx: v128, ll: v128): v128 {
  const top = v128.load(CONSTANTS);
  const known = v128.and(
    f32x4.gt(lx, f32x4.splat(1e-30)),
    f32x4.lt(f32x4.mul(v128.load(four, MAXIMA), ll), f32x4.mul(f32x4.splat(32), lx)),
  );
  const limit = v128.bitselect(f32x4.mul(lx, f32x4.splat(1 - 1 / 32768)), f32x4.splat(-Infinity), known);
  const twiceX = f32x4.add(lx, lx);
  const twiceL = f32x4.add(ll, ll);
  let stay = i32x4.splat(-1);
  for (let p = next; p < next + CHUNK; p += 16) {
    const x = v128.load(p, TURNED_X);
    const level = v128.load(p, LEVELS);
    const d = f32x4.sub(f32x4.mul(x, twiceL), f32x4.mul(level, twiceX));
    const away = f32x4.pmax(f32x4.neg(d), v128.and(d, f32x4.lt(level, top)));
    const w = v128.load(p, TURNED_W);
    const near = f32x4.lt(f32x4.add(away, f32x4.mul(f32x4.mul(w, x), level)), limit);
    const alone = f32x4.le(ll, f32x4.mul(f32x4.mul(w, level), level));
    stay = v128.and(stay, v128.or(near, alone));
  }
  return stay;
}

/** The same for one sub-block, whatever its numbers. */
function firstScale(x: usize): f32 {
  let max: f32 = 0;
  for (let p = x; p < x + 128; p += 4) if (load<f32>(p, X) > max) max = load<f32>(p, X);
  let inverse = TOP / max;
  let scale: f32 = <f32>1 / inverse;
  let least: f32 = 0;
  for (let p = x; p < x + 128; p += 4) {
    const error: f32 = load<f32>(p, X) - scale * <f32>(<u8>nearestInt(inverse * load<f32>(p, X)));
    least += load<f32>(p, W) * error * error;
  }
  for (let step: i32 = -4; step <= 4; step++) {
    if (step == 0) continue;
    const trial: f32 = (<f32>0.1 * <f32>step + TOP) / max;
    scale = <f32>1 / trial;
    let sum: f32 = 0;
    for (let p = x; p < x + 128; p += 4) {
      const level = min<i32>(4, nearestInt(trial * load<f32>(p, X)));
      const error: f32 = load<f32>(p, X) - scale * <f32>level;
      sum += load<f32>(p, W) * error * error;
    }
    if (sum < least) {
      least = sum;
      inverse = trial;
    }
  }
  let lx: f32 = 0;
  let ll: f32 = 0;
  for (let p = x; p < x + 128; p += 4) {
    const level = min<i32>(4, nearestInt(inverse * load<f32>(p, X)));
    store<u8>((p - x) >> 2, <u8>level, LEVELS);
    lx += load<f32>(p, W) * load<f32>(p, X) * <f32>level;
    ll += load<f32>(p, W) * <f32>level * <f32>level;
  }
  for (let round = 0, moved = true; moved && round < 5; round++) {
    moved = false;
    for (let p = x; p < x + 128; p += 4) {
      const at = (p - x) >> 2;
      const v = load<f32>(p, X);
      const w = load<f32>(p, W);
      const level = <f32>load<u8>(at, LEVELS);
      let newX: f32 = lx - w * v * level;
      let newL: f32 = ll - w * level * level;
      if (!(newX > 0 && newL > 0)) continue;
      const other = min<i32>(4, nearestInt((v * newL) / newX));
      if (<f32>other == level) continue;
      newX += w * v * <f32>other;
      newL += w * <f32>other * <f32>other;
      if (newX * newX * ll > lx * lx * newL) {
        store<u8>(at, <u8>other, LEVELS);
        lx = newX;
        ll = newL;
        moved = true;
      }
    }
  }
  return ll > 0 ? lx / ll : 0;
}
