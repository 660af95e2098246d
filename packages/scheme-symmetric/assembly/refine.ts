// Coordinate descent over the levels of sub-blocks of 16 weights, as llama.cpp's Q3_K does without importance: up to
// five passes over the weights, each moving one level at a time where that lowers the squared error.
//
//   S = Σ x³l  and  T = Σ x²l²  (an element weighs x²)
//   without weight i:   s = S − x³l,  t = T − x²l²,  its best level n = round(x t ⁄ s)
//   with n instead:     s + x³n,  t + x²n²,  accepted where s² ⁄ t grows
//
// Between two moves nothing changes, so all sixteen weights are judged at once, four vectors of four, against the
// sums as they stand. The first weight, from the current position on, that wants to move is the one llama.cpp would
// have come to; it moves, and the sub-block goes to the end of the queue to be judged again. Rounds of different
// sub-blocks do not depend on each other, which hides the long way from the sums to the next move; for the same
// reason a round has no branches.
import { SEARCH_END } from "./grid-search";

/** Sub-blocks that may be in work at the same time. */
export const SUB_BLOCKS: usize = 64;

/** S and T, one float per sub-block. The caller fills both, and finds there what became of them. */
export const SUMLX: usize = SEARCH_END;
export const SUML2: usize = SUMLX + 4 * SUB_BLOCKS;

// Sixteen floats per sub-block: levels, x³l, x²l², x², x³.
const LEVEL: usize = SUML2 + 4 * SUB_BLOCKS;
const LX: usize = LEVEL + 64 * SUB_BLOCKS;
const L2: usize = LX + 64 * SUB_BLOCKS;
const SQUARE: usize = L2 + 64 * SUB_BLOCKS;
const CUBE: usize = SQUARE + 64 * SUB_BLOCKS;

// One word per sub-block: the weight to look at next, and which of the passes it is, 0 … 4.
const POSITION: usize = CUBE + 64 * SUB_BLOCKS;
const PASS: usize = POSITION + 4 * SUB_BLOCKS;
const PASSES = 5;

const QUEUE: usize = PASS + 4 * SUB_BLOCKS; // a ring of addresses: 64 · sub-block
const ENTERED: usize = QUEUE + 4 * SUB_BLOCKS;

// What the sixteen weights of one round would become.
const NEXT: usize = ENTERED + 16;
const NEXT_LX: usize = NEXT + 64;
const NEXT_L2: usize = NEXT_LX + 64;

const CONSTANTS: usize = NEXT_L2 + 64;
const ONE_LANE: usize = CONSTANTS + 5 * 16;
/** First free address. */
export const REFINE_END: usize = ONE_LANE + 5 * 16;

export function makeRefineConstants(): void {
  v128.store(CONSTANTS, f32x4.splat(12582912.0));
  v128.store(CONSTANTS, i32x4.splat(0x007fffff), 16);
  v128.store(CONSTANTS, i32x4.splat(0x00400000 - 4), 32);
  v128.store(CONSTANTS, i32x4.splat(0x00400000 + 3), 48);
  v128.store(CONSTANTS, i32x4.splat(0x4b000000), 64);
  for (let i: usize = 0; i < 16; i++) store<i32>(ONE_LANE + 4 * i, i % 5 == 0 ? -1 : 0);
  v128.store(ONE_LANE, i32x4.splat(0), 64);
  store<i32>(ENTERED, 0);
}

/** Queues sub-block `s` of the weights at `x`, whose first levels are round(inverse · x), at most 3. */
export function refineLater(s: usize, x: usize, inverse: f32): void {
  const highest = f32x4.splat(3);
  const at = 64 * s;
  for (let p: usize = 0; p < 64; p += 16) {
    const v = v128.load(x + p);
    const square = f32x4.mul(v, v);
    const cube = f32x4.mul(square, v);
    const level = f32x4.pmin(highest, f32x4.nearest(f32x4.mul(f32x4.splat(inverse), v)));
    v128.store(at + p, square, SQUARE);
    v128.store(at + p, cube, CUBE);
    settle(at + p, square, cube, level);
  }
  store<i32>(4 * s, 0, POSITION);
  store<i32>(4 * s, 0, PASS);
  const entered = load<usize>(0, ENTERED);
  store<usize>(4 * entered, at, QUEUE);
  store<usize>(0, entered + 1, ENTERED);
}

/** Moves levels of the queued sub-blocks until none wants to. `source` holds the weights of sub-block 0. */
export function refineQueued(source: usize): void {
  let tail = load<usize>(0, ENTERED);
  for (let head: usize = 0; head != tail; head++) {
    const at = load<usize>(4 * (head % SUB_BLOCKS), QUEUE);
    const moved = judge(source, at);
    store<usize>(4 * (tail % SUB_BLOCKS), at, QUEUE);
    tail += moved;
  }
  store<usize>(0, 0, ENTERED);
}

/** One round of one sub-block: 1 where a level moved, 0 where it is done. */
// @ts-ignore: decorator
@inline
function judge(source: usize, at: usize): usize {
  const s = at >> 4;
  const sumlx = v128.load32_splat(s, SUMLX);
  const suml2 = v128.load32_splat(s, SUML2);
  const sumlx2 = f32x4.mul(sumlx, sumlx);
  const a = judgeFour(source, at, 0, sumlx, suml2, sumlx2);
  const b = judgeFour(source, at, 16, sumlx, suml2, sumlx2);
  const c = judgeFour(source, at, 32, sumlx, suml2, sumlx2);
  const d = judgeFour(source, at, 48, sumlx, suml2, sumlx2);
  const moves = i8x16.bitmask(i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d)));

  // The first one ahead; else, in the next pass, the first of all. A pass without moves ends it.
  const ahead = moves & (-1 << load<i32>(s, POSITION));
  const wraps = <i32>(ahead == 0);
  const pass = load<i32>(s, PASS) + wraps;
  const candidates = ahead | (moves & -wraps);
  const go = <i32>(candidates != 0) & <i32>(pass < PASSES);
  const i = <usize>ctz(candidates | 0x8000);
  store<i32>(s, pass, PASS);
  store<i32>(s, <i32>i + 1, POSITION);

  const p = at + ((i << 2) & 48);
  const lane = v128.load(choose(<i32>(i & 3) << 4, 64, go), ONE_LANE);
  const level = v128.bitselect(v128.load((i << 2) & 48, NEXT), v128.load(p, LEVEL), lane);
  settle(p, v128.load(p, SQUARE), v128.load(p, CUBE), level);
  store<i32>(s, choose(load<i32>(i << 2, NEXT_LX), load<i32>(s, SUMLX), go), SUMLX);
  store<i32>(s, choose(load<i32>(i << 2, NEXT_L2), load<i32>(s, SUML2), go), SUML2);
  return go;
}

/** Which of four weights want to move; leaves in NEXT where to. */
// @ts-ignore: decorator
@inline
function judgeFour(source: usize, at: usize, p: usize, sumlx: v128, suml2: v128, sumlx2: v128): v128 {
  const level = v128.load(at + p, LEVEL);
  const square = v128.load(at + p, SQUARE);
  const lx = f32x4.sub(sumlx, v128.load(at + p, LX));
  const l2 = f32x4.sub(suml2, v128.load(at + p, L2));
  const next = bestLevel(f32x4.div(f32x4.mul(v128.load(source + at + p), l2), lx));
  const nextLx = f32x4.add(lx, f32x4.mul(v128.load(at + p, CUBE), next));
  const nextL2 = f32x4.add(l2, f32x4.mul(f32x4.mul(square, next), next));
  v128.store(p, next, NEXT);
  v128.store(p, nextLx, NEXT_LX);
  v128.store(p, nextL2, NEXT_L2);
  const zero = f32x4.splat(0);
  const better = f32x4.gt(f32x4.mul(f32x4.mul(nextLx, nextLx), suml2), f32x4.mul(sumlx2, nextL2));
  const possible = v128.and(f32x4.gt(lx, zero), f32x4.gt(nextL2, zero));
  return v128.and(v128.and(better, possible), f32x4.ne(next, level));
}

/** Level −4 … 3 of a quotient, with llama.cpp's rounding that wraps far outside of them. */
// @ts-ignore: decorator
@inline
function bestLevel(quotient: v128): v128 {
  const magic = v128.load(0, CONSTANTS);
  const bits = v128.and(f32x4.add(quotient, magic), v128.load(0, CONSTANTS + 16));
  const clamped = i32x4.min_s(i32x4.max_s(bits, v128.load(0, CONSTANTS + 32)), v128.load(0, CONSTANTS + 48));
  return f32x4.sub(v128.or(clamped, v128.load(0, CONSTANTS + 64)), magic);
}

// @ts-ignore: decorator
@inline
function settle(p: usize, square: v128, cube: v128, level: v128): void {
  v128.store(p, level, LEVEL);
  v128.store(p, f32x4.mul(cube, level), LX);
  v128.store(p, f32x4.mul(f32x4.mul(square, level), level), L2);
}

/** Without a branch: which way it goes is not predictable. */
// @ts-ignore: decorator
@inline
function choose(yes: i32, no: i32, condition: i32): i32 {
  return no ^ ((yes ^ no) & -condition);
}

/** The levels of a sub-block that was queued, as bytes 0 … 7. */
export function refinedLevels(s: usize): v128 {
  const four = f32x4.splat(4);
  const p = 64 * s;
  const a = i32x4.trunc_sat_f32x4_s(f32x4.add(v128.load(p, LEVEL), four));
  const b = i32x4.trunc_sat_f32x4_s(f32x4.add(v128.load(p, LEVEL + 16), four));
  const c = i32x4.trunc_sat_f32x4_s(f32x4.add(v128.load(p, LEVEL + 32), four));
  const d = i32x4.trunc_sat_f32x4_s(f32x4.add(v128.load(p, LEVEL + 48), four));
  return i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d));
}
