// Coordinate descent over the levels of sub-blocks of 16 weights, as llama.cpp's Q3_K does without importance: up to
// five passes over the weights, each moving one level at a time where that lowers the squared error.
//
//   S = Σ x³l  and  T = Σ x²l²  (an element weighs x²)
//   without weight i:   s = S − x³l,  t = T − x²l²,  its best level n = round(x t ⁄ s)
//   with n instead:     s + x³n,  t + x²n²,  accepted where s² ⁄ t grows
//
// Between two moves nothing changes, so the best levels of all sixteen weights are found at once, four vectors of
// four, against the sums as they stand. The first weight, from the current position on, whose level is another is the
// one llama.cpp would have come to; it moves (hardly ever is it not accepted), and the sub-block goes to the end of
// the queue for the next round. Rounds of different sub-blocks do not depend on each other, which hides the long way
// from the sums to the next move; for the same reason a round has no branches.
import { SEARCH_END } from "./grid-search";

/** Sub-blocks that may be in work at the same time. */
export const SUB_BLOCKS: usize = 64;

/** S and T, one float per sub-block. The caller fills both, and finds there what became of them. */
export const SUMLX: usize = SEARCH_END;
export const SUML2: usize = SUMLX + 4 * SUB_BLOCKS;

// Sixteen words per sub-block: levels as MAGIC + l, and two terms of the sums, x³l and x²l².
const LEVEL: usize = SUML2 + 4 * SUB_BLOCKS;
const LX: usize = LEVEL + 64 * SUB_BLOCKS;
const L2: usize = LX + 64 * SUB_BLOCKS;

// One word per sub-block: the weight to look at next, which of the passes it is, and the weights whose move was not
// accepted, one bit each, since the last one that was.
const POSITION: usize = L2 + 64 * SUB_BLOCKS;
const PASS: usize = POSITION + 4 * SUB_BLOCKS;
const REJECTED: usize = PASS + 4 * SUB_BLOCKS;
const PASSES = 5;

const QUEUE: usize = REJECTED + 4 * SUB_BLOCKS; // a ring of offsets: 64 · sub-block
const QUEUED: usize = QUEUE + 4 * SUB_BLOCKS;

// Of one round: best levels, and the sums with those of the four weights around the first.
const BEST: usize = QUEUED + 16;
const NEXT_SUMLX: usize = BEST + 64;
const NEXT_SUML2: usize = NEXT_SUMLX + 16;

// Constants in memory: V8 would rebuild them at every use inside loops.
export const MAGIC: usize = NEXT_SUML2 + 16;
export const MANTISSA: usize = MAGIC + 16;
export const EXPONENT: usize = MANTISSA + 16;
export const LOWEST: usize = EXPONENT + 16;
export const HIGHEST: usize = LOWEST + 16;
const ONE_LANE: usize = HIGHEST + 16; // a vector per lane, and one for none
/** First free address. */
export const REFINE_END: usize = ONE_LANE + 5 * 16;

export function makeRefineConstants(): void {
  v128.store(MAGIC, f32x4.splat(12582912.0)); // 0x4b400000: adding it rounds, and leaves the integer in the low bits
  v128.store(MANTISSA, i32x4.splat(0x007fffff));
  v128.store(EXPONENT, i32x4.splat(0x4b000000));
  v128.store(LOWEST, i32x4.splat(0x4b400000 - 4));
  v128.store(HIGHEST, i32x4.splat(0x4b400000 + 3));
  for (let i: usize = 0; i < 16; i++) store<i32>(ONE_LANE + 4 * i, i % 5 == 0 ? -1 : 0);
  v128.store(ONE_LANE, i32x4.splat(0), 64);
  store<i32>(QUEUED, 0);
}

/** First levels as MAGIC + l: round(inverse · x), which is −4 or more and clamped to 3. */
// @ts-ignore: decorator
@inline
export function firstLevels(x: v128, inverse: v128, magic: v128, highest: v128): v128 {
  return i32x4.min_s(highest, f32x4.add(f32x4.mul(inverse, x), magic));
}

/** Best levels as MAGIC + n, with llama.cpp's rounding, which wraps far outside of −4 … 3. */
// @ts-ignore: decorator
@inline
export function bestLevels(
  x: v128, sumlx: v128, suml2: v128,
  magic: v128, mantissa: v128, exponent: v128, lowest: v128, highest: v128,
): v128 {
  const rounded = f32x4.add(f32x4.div(f32x4.mul(x, suml2), sumlx), magic);
  const bits = v128.or(v128.and(rounded, mantissa), exponent);
  return i32x4.max_s(lowest, i32x4.min_s(highest, bits));
}

/** Queues sub-block `s`, whose weights are at `x` and whose first levels are round(inverse · x). */
// @ts-ignore: decorator
@inline
export function refineLater(s: usize, x: usize, inverse: f32): void {
  const at = 64 * s;
  const factor = f32x4.splat(inverse);
  const magic = v128.load(0, MAGIC);
  const highest = v128.load(0, HIGHEST);
  for (let p: usize = 0; p < 64; p += 16) {
    const v = v128.load(x + p);
    const bits = firstLevels(v, factor, magic, highest);
    const level = f32x4.sub(bits, magic);
    const square = f32x4.mul(v, v);
    v128.store(at + p, bits, LEVEL);
    v128.store(at + p, f32x4.mul(f32x4.mul(square, v), level), LX);
    v128.store(at + p, f32x4.mul(f32x4.mul(square, level), level), L2);
  }
  store<i32>(4 * s, 0, POSITION);
  store<i32>(4 * s, 0, PASS);
  store<i32>(4 * s, 0, REJECTED);
  const queued = load<usize>(0, QUEUED);
  store<usize>(4 * queued, at, QUEUE);
  store<usize>(0, queued + 1, QUEUED);
}

/** Moves levels of the queued sub-blocks until none wants to. `source` holds the weights of sub-block 0. */
export function refineQueued(source: usize): void {
  let tail = load<usize>(0, QUEUED);
  for (let head: usize = 0; head != tail; head++) {
    const at = load<usize>(4 * (head % SUB_BLOCKS), QUEUE);
    store<usize>(4 * (tail % SUB_BLOCKS), at, QUEUE);
    tail += round(source, at);
  }
  store<usize>(0, 0, QUEUED);
}

/** One round of the sub-block at offset `at`: 1 where it has to come again, 0 where it is done. */
// @ts-ignore: decorator
@inline
function round(source: usize, at: usize): usize {
  const s = at >> 4;
  const sumlx = v128.load32_splat(s, SUMLX);
  const suml2 = v128.load32_splat(s, SUML2);
  const a = others(source, at, 0, sumlx, suml2);
  const b = others(source, at, 16, sumlx, suml2);
  const c = others(source, at, 32, sumlx, suml2);
  const d = others(source, at, 48, sumlx, suml2);
  const all = i8x16.bitmask(i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d)));

  // The first one ahead; else, in the next pass, the first of all.
  const rejected = load<i32>(s, REJECTED);
  const moves = all & ~rejected;
  const ahead = moves & (-1 << load<i32>(s, POSITION));
  const wraps = <i32>(ahead == 0);
  const pass = load<i32>(s, PASS) + wraps;
  const candidates = ahead | (moves & -wraps);
  const go = <i32>(candidates != 0) & <i32>(pass < PASSES);
  const i = ctz(candidates | 0x8000);
  store<i32>(s, pass, PASS);
  store<i32>(s, i + 1, POSITION);

  // The four weights around it, of which one lane counts, or none.
  const p = <usize>((i << 2) & 48);
  const q = at + p;
  const lane = v128.load(<usize>choose((i & 3) << 4, 64, go), ONE_LANE);
  const x = v128.load(source + q);
  const square = f32x4.mul(x, x);
  const bits = v128.load(p, BEST);
  const level = f32x4.sub(bits, v128.load(0, MAGIC));
  const lx = f32x4.mul(f32x4.mul(square, x), level);
  const l2 = f32x4.mul(f32x4.mul(square, level), level);
  const oldLx = v128.load(q, LX);
  const oldL2 = v128.load(q, L2);
  const nextLx = f32x4.add(f32x4.sub(sumlx, oldLx), lx);
  const nextL2 = f32x4.add(f32x4.sub(suml2, oldL2), l2);
  const better = v128.and(
    f32x4.gt(nextL2, f32x4.splat(0)),
    f32x4.gt(f32x4.mul(f32x4.mul(nextLx, nextLx), suml2), f32x4.mul(f32x4.mul(sumlx, sumlx), nextL2)),
  );
  const accepted = v128.and(lane, better);
  v128.store(q, v128.bitselect(bits, v128.load(q, LEVEL), accepted), LEVEL);
  v128.store(q, v128.bitselect(lx, oldLx, accepted), LX);
  v128.store(q, v128.bitselect(l2, oldL2, accepted), L2);
  v128.store(0, nextLx, NEXT_SUMLX);
  v128.store(0, nextL2, NEXT_SUML2);
  const moved = <i32>v128.any_true(accepted);
  const l = <usize>((i & 3) << 2);
  store<i32>(s, choose(load<i32>(l, NEXT_SUMLX), load<i32>(s, SUMLX), moved), SUMLX);
  store<i32>(s, choose(load<i32>(l, NEXT_SUML2), load<i32>(s, SUML2), moved), SUML2);
  store<i32>(s, (rejected | (1 << i)) & (moved - 1), REJECTED);
  return go;
}

/** Which of four weights would have another level, if they may move at all; leaves in BEST which one. */
// @ts-ignore: decorator
@inline
function others(source: usize, at: usize, p: usize, sumlx: v128, suml2: v128): v128 {
  const lx = f32x4.sub(sumlx, v128.load(at + p, LX));
  const l2 = f32x4.sub(suml2, v128.load(at + p, L2));
  const bits = bestLevels(
    v128.load(source + at + p), lx, l2,
    v128.load(0, MAGIC), v128.load(0, MANTISSA), v128.load(0, EXPONENT), v128.load(0, LOWEST), v128.load(0, HIGHEST),
  );
  v128.store(p, bits, BEST);
  return v128.andnot(f32x4.gt(lx, f32x4.splat(0)), i32x4.eq(bits, v128.load(at + p, LEVEL)));
}

/** Without a branch: which way it goes is not predictable. */
// @ts-ignore: decorator
@inline
function choose(yes: i32, no: i32, condition: i32): i32 {
  return no ^ ((yes ^ no) & -condition);
}

/** The levels of a sub-block that was queued, as bytes 0 … 7. */
export function refinedLevels(s: usize): v128 {
  const lowest = v128.load(0, LOWEST);
  const p = 64 * s;
  const a = i32x4.sub(v128.load(p, LEVEL), lowest);
  const b = i32x4.sub(v128.load(p, LEVEL + 16), lowest);
  const c = i32x4.sub(v128.load(p, LEVEL + 32), lowest);
  const d = i32x4.sub(v128.load(p, LEVEL + 48), lowest);
  return i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d));
}
