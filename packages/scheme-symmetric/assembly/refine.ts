// Coordinate descent over the levels of one sub-block of 16 weights, as llama.cpp's Q3_K does without importance:
// up to five passes over the weights, each moving one level at a time where that lowers the squared error.
//
// Between two moves nothing changes, so all sixteen weights are judged at once, four vectors of four, against the
// sums as they stand. The first weight, from the current position on, that wants to move is the one llama.cpp would
// have found; it moves, and the others are judged again. That takes moves + 1 rounds, and most sub-blocks make none.
//
//   S = Σ x³l  and  T = Σ x²l²  (an element weighs x²)
//   without weight i:   s = S − x³l,  t = T − x²l²,  its best level n = round(x t ⁄ s)
//   with n instead:     s + x³n,  t + x²n²,  accepted where s² ⁄ t grows
import { SEARCH_END } from "./grid-search";

const CONSTANTS: usize = SEARCH_END + 1024;
const ONE_LANE: usize = CONSTANTS + 5 * 16;
const LEVEL: usize = ONE_LANE + 4 * 16; // sixteen floats each from here on
const CUBE_LEVEL: usize = LEVEL + 64;
const SQUARE_LEVEL2: usize = CUBE_LEVEL + 64;
const NEW_LEVEL: usize = SQUARE_LEVEL2 + 64;
const NEW_SUMLX: usize = NEW_LEVEL + 64;
const NEW_SUML2: usize = NEW_SUMLX + 64;
const SQUARE: usize = NEW_SUML2 + 64;
const CUBE: usize = SQUARE + 64;

const PASSES = 5;

export function makeRefineConstants(): void {
  v128.store(CONSTANTS, f32x4.splat(12582912.0));
  v128.store(CONSTANTS, i32x4.splat(0x007fffff), 16);
  v128.store(CONSTANTS, i32x4.splat(0x00400000 - 4), 32);
  v128.store(CONSTANTS, i32x4.splat(0x00400000 + 3), 48);
  v128.store(CONSTANTS, i32x4.splat(0x4b000000), 64);
  for (let i: usize = 0; i < 16; i++) store<i32>(ONE_LANE + 4 * i, i % 5 == 0 ? -1 : 0);
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

/** Which of four weights want to move. `keep` stores where to. */
// @ts-ignore: decorator
@inline
function judge(
  x: v128, square: v128, cube: v128, level: v128, cubeLevel: v128, squareLevel2: v128,
  sumlx: v128, suml2: v128, sumlx2: v128, p: usize, keep: bool,
): v128 {
  const zero = f32x4.splat(0);
  const lx = f32x4.sub(sumlx, cubeLevel);
  const l2 = f32x4.sub(suml2, squareLevel2);
  const next = bestLevel(f32x4.div(f32x4.mul(x, l2), lx));
  const nextLx = f32x4.add(lx, f32x4.mul(cube, next));
  const nextL2 = f32x4.add(l2, f32x4.mul(f32x4.mul(square, next), next));
  if (keep) {
    v128.store(p, next, NEW_LEVEL);
    v128.store(p, nextLx, NEW_SUMLX);
    v128.store(p, nextL2, NEW_SUML2);
  }
  const better = f32x4.gt(f32x4.mul(f32x4.mul(nextLx, nextLx), suml2), f32x4.mul(sumlx2, nextL2));
  const possible = v128.and(f32x4.gt(lx, zero), f32x4.gt(nextL2, zero));
  return v128.and(v128.and(better, possible), f32x4.ne(next, level));
}

// @ts-ignore: decorator
@inline
function firstLevel(x: v128, inverse: v128): v128 {
  return f32x4.pmin(f32x4.splat(3), f32x4.nearest(f32x4.mul(inverse, x)));
}

/** Whether any of the sixteen weights at `x` wants to move from its first level, round(inverse · x). */
// @ts-ignore: decorator
@inline
export function wantsToMove(x: usize, inverse: f32, sumlx: f32, suml2: f32): bool {
  const factor = f32x4.splat(inverse);
  const lx = f32x4.splat(sumlx);
  const l2 = f32x4.splat(suml2);
  const lx2 = f32x4.mul(lx, lx);
  let moves = f32x4.splat(0);
  for (let p: usize = 0; p < 64; p += 16) {
    const v = v128.load(x + p);
    const square = f32x4.mul(v, v);
    const cube = f32x4.mul(square, v);
    const level = firstLevel(v, factor);
    const squareLevel2 = f32x4.mul(f32x4.mul(square, level), level);
    moves = v128.or(
      moves,
      judge(v, square, cube, level, f32x4.mul(cube, level), squareLevel2, lx, l2, lx2, p, false),
    );
  }
  return v128.any_true(moves);
}

/** Moves levels until none wants to, and returns the scale; `refinedLevels` has the levels. */
export function refine(x: usize, inverse: f32, sumlx: f32, suml2: f32): f32 {
  for (let p: usize = 0; p < 64; p += 16) {
    const v = v128.load(x + p);
    const square = f32x4.mul(v, v);
    const cube = f32x4.mul(square, v);
    const level = firstLevel(v, f32x4.splat(inverse));
    v128.store(p, square, SQUARE);
    v128.store(p, cube, CUBE);
    settle(p, square, cube, level);
  }
  let position = 0;
  let pass = 1;
  while (true) {
    const moves = judgeAll(x, sumlx, suml2);
    if (moves == 0) break;
    let ahead = moves & (-1 << position);
    if (ahead == 0) {
      if (++pass > PASSES) break;
      ahead = moves;
    }
    const i = ctz(ahead);
    position = i + 1;
    sumlx = load<f32>(4 * i, NEW_SUMLX);
    suml2 = load<f32>(4 * i, NEW_SUML2);
    const p = 16 * <usize>(i >> 2);
    const lane = v128.load(16 * (i & 3), ONE_LANE);
    const level = v128.bitselect(v128.load(p, NEW_LEVEL), v128.load(p, LEVEL), lane);
    settle(p, v128.load(p, SQUARE), v128.load(p, CUBE), level);
  }
  return suml2 > 0 ? sumlx / suml2 : 0;
}

/** One bit per weight that wants to move. */
// @ts-ignore: decorator
@inline
function judgeAll(x: usize, sumlx: f32, suml2: f32): i32 {
  const lx = f32x4.splat(sumlx);
  const l2 = f32x4.splat(suml2);
  const lx2 = f32x4.mul(lx, lx);
  const a = judgeStored(x, 0, lx, l2, lx2);
  const b = judgeStored(x, 16, lx, l2, lx2);
  const c = judgeStored(x, 32, lx, l2, lx2);
  const d = judgeStored(x, 48, lx, l2, lx2);
  return i8x16.bitmask(i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d)));
}

// @ts-ignore: decorator
@inline
function judgeStored(x: usize, p: usize, sumlx: v128, suml2: v128, sumlx2: v128): v128 {
  return judge(
    v128.load(x + p), v128.load(p, SQUARE), v128.load(p, CUBE), v128.load(p, LEVEL),
    v128.load(p, CUBE_LEVEL), v128.load(p, SQUARE_LEVEL2), sumlx, suml2, sumlx2, p, true,
  );
}

// @ts-ignore: decorator
@inline
function settle(p: usize, square: v128, cube: v128, level: v128): void {
  v128.store(p, level, LEVEL);
  v128.store(p, f32x4.mul(cube, level), CUBE_LEVEL);
  v128.store(p, f32x4.mul(f32x4.mul(square, level), level), SQUARE_LEVEL2);
}

/** The levels of the last `refine` as bytes 0 … 7. */
export function refinedLevels(): v128 {
  const four = f32x4.splat(4);
  const a = i32x4.trunc_sat_f32x4_s(f32x4.add(v128.load(0, LEVEL), four));
  const b = i32x4.trunc_sat_f32x4_s(f32x4.add(v128.load(0, LEVEL + 16), four));
  const c = i32x4.trunc_sat_f32x4_s(f32x4.add(v128.load(0, LEVEL + 32), four));
  const d = i32x4.trunc_sat_f32x4_s(f32x4.add(v128.load(0, LEVEL + 48), four));
  return i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d));
}
