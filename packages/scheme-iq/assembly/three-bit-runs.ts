// The entries that all trials of a sub-block lead to.
//
// As the scale shrinks, a group rounds to four or five points in turn. While it stays at one, a run of trials, its
// candidates are the same, and
//
//   D(q) / scale = scale · A − B + C,    A = Σ w q²,  B = Σ 2 w x q,  C = Σ w x² / scale
//
// is linear in the scale but for C, which all share: a candidate that is nearest at both ends of a run is nearest in
// between. So A and B are computed once in a run, and scale · A − B at both ends. If different candidates win there,
// the trials on both sides of where their lines cross are examined in the same way.
//
// Error. Let u = 2⁻²⁴, M = 225 scale Σ w + C. llama.cpp's D̂ differs from D by less than 18.4 u scale M: one rounding
// of scale · q, at most |scale q| u, moves the square of a difference d by 2.1 |d| |scale q| u, and seven roundings
// act on the square, the term and the sums that contain it, 7.1 u d²; with |d| ≤ scale q + |x|, both together are
// below 9.2 u w (scale q + |x|)² ≤ 18.4 u w (scale² q² + x²), and q ≤ 15. The computed scale · A − B differs from the
// exact one by less than 12.1 u M: A has four roundings, B five, the product and the difference one each, and 2 |x| q
// ≤ x² / scale + scale q². So if two candidates differ by more than 61 u M, D̂ differs in the same direction; DOUBT =
// 80 u leaves room for the roundings of M and of the comparison. With M for the largest of all scales in its first
// term and the smallest in its second, a lead of DOUBT · M at both ends of a run is one in between. Where the lead is
// smaller, the candidates are compared as llama.cpp does it. Underflow is of no concern while Σ w x² > 1e-30, and
// overflow while the sub-block is regular (three-bit.ts).
//
// Left-out candidates (three-bit-nearest.ts). Elements lie at a threshold only in the first or the last trial of a
// run: in neighbouring trials x / 2 scale differs by more than 1 / 100.
//
// All runs of two sub-blocks go through each step together, and steps have few branches, because what a branch would
// depend on comes from long chains of arithmetic and is hard to predict.
//
// WINNERS has what groups go to, written only in trials from which on it is something else, or may be.
import {
  LIST_BLOCK, ON_GRID, POINTS, candidateCount, candidates, entryAt, entryOfFour, listBytes, winnerCount, winners,
} from "./three-bit-lattice";
import { atThreshold, entryOf, high, low, nearest, roundPlainly, rounded } from "./three-bit-nearest";
import {
  CHANGES, CROSSINGS, DOUBTS, ENTRIES, ENTRY_MASK, FEW, HALF, HALVES, INVERSES, LARGEST, MAGIC, MANY, MARKS, PAIR_MASK,
  PER_INVERSE, ROOT, ROUNDED, ROUNDED_BYTES, RUNS, SCALES, SEVEN, STATES, THRESHOLDS, TRIALS_BYTES, TWICE, WINNERS,
  WINNERS_BYTES, X,
} from "./three-bit-scratch";

const DOUBT: f32 = 80 / 16777216;
const TOUCH: f32 = 1e-3;
/** Bit of WINNERS: says nothing about scales nearby. */
const UNSURE: u32 = 0x8000;
/** Bit of WINNERS that tells an entry from a gap. */
const WRITTEN: u32 = 0x4000;

// A run.
const POINT: usize = 0; // u32: a word of POINTS
const GROUP: usize = 4; // u8
const FIRST: usize = 5; // u8: trial
const LAST: usize = 6; // u8
const MIDDLE: usize = 7; // u8: from this trial on the entry is ENTRY_B
const CLOSE_A: usize = 8; // u32: a bit for each candidate that may be nearest in the first trial
const CLOSE_B: usize = 12; // u32: in the last
const ENTRY_A: usize = 16; // u16
const ENTRY_B: usize = 18; // u16
const EACH: usize = 20; // u32: whether trials between the ends have to be looked at
const LINES: usize = 24; // u32: address of A and B of the candidates
const RUN_BYTES: usize = 32;

// Of the sub-blocks at hand.
let runsEnd: usize = 0;
let fewCount: usize = 0;
let manyCount: usize = 0;
let crossingCount: usize = 0;
let thresholdCount: usize = 0;

/**
 * Lines of all runs. From 0.8 to 1.2 times its size, an element crosses four thresholds at most, so that there are at
 * most 17 runs in a group, and lists have 24 candidates at most.
 *
 *   byte 0 … 31      A of eight candidates
 *   byte 32 … 63     B of eight candidates
 */
const ALL_LINES: usize = memory.data(16 * 17 * 3 * 64, 16);

/** Points and winners of all trials of the sub-block at offset `at`, one by one. `sub`: whether it is the second. */
export function searchPlainly(lattice: usize, at: usize, sub: usize, trials: usize): void {
  store<u32>(sub << 2, 0, MARKS);
  for (let t: usize = 0; t < trials; t++)
    for (let g: usize = 0; g < 8; g++) {
      const group = at + (g << 4);
      const p = sub * TRIALS_BYTES + (t << 2);
      const point = roundPlainly(group, load<f32>(p, INVERSES));
      store<u16>((8 * sub + g) * ROUNDED_BYTES + (t << 1), <u16>point, ROUNDED);
      choose(8 * sub + g, t, entryOf(lattice, point, group, load<f32>(p, SCALES)));
    }
}

/** A bit for each group of a sub-block whose point in trial t is no entry. */
export function offGrid(lattice: usize, sub: usize, t: usize): u32 {
  let groups: u32 = 0;
  for (let g: u32 = 0; g < 8; g++) {
    const point = <usize>load<u16>((8 * sub + <usize>g) * ROUNDED_BYTES + (t << 1), ROUNDED);
    groups |= (~load<u32>(lattice + (point << 2), POINTS) >>> 31) << g;
  }
  return groups;
}

/** Offset of a trial in INVERSES, HALVES and SCALES of the sub-block that has group g. */
// @ts-ignore: decorator
@inline
function trialAt(g: usize, t: usize): usize {
  return (g >> 3) * TRIALS_BYTES + (t << 2);
}

/** From this trial on to the next with an entry. */
// @ts-ignore: decorator
@inline
function choose(g: usize, t: usize, entry: u32): void {
  store<u16>(t * WINNERS_BYTES + (g << 1), <u16>(entry | WRITTEN), WINNERS);
  const p = g >> 3 << 2;
  store<u32>(p, load<u32>(p, MARKS) | (1 << <u32>t), MARKS);
}

/** Points and winners of all trials of two regular sub-blocks from offset `at` on, or of one of them. */
export function searchTrials(lattice: usize, at: usize, firstSub: usize, endSub: usize, trials: usize): void {
  for (let sub = firstSub; sub < endSub; sub++) roundTrials(at, sub, trials);
  listRuns(lattice, firstSub, endSub, trials);
  let touching: u32 = 0;
  for (let sub = firstSub; sub < endSub; sub++) touching |= measureGroups(at, sub, trials);
  findEnds(lattice, at, touching);
  findMiddles();
  let middles: u64 = 0;
  for (let run = RUNS; run < runsEnd; run += RUN_BYTES) {
    if (load<u32>(run, EACH)) {
      searchEach(lattice, at, run);
      continue;
    }
    const g = <usize>load<u8>(run, GROUP);
    const to = g << 1;
    const middle = <usize>load<u8>(run, MIDDLE);
    store<u16>(to + <usize>load<u8>(run, FIRST) * WINNERS_BYTES, load<u16>(run, ENTRY_A) | <u16>WRITTEN, WINNERS);
    store<u16>(to + middle * WINNERS_BYTES, load<u16>(run, ENTRY_B) | <u16>WRITTEN, WINNERS);
    middles |= (<u64>1) << (middle + ((g & 8) << 2));
  }
  store<u64>(0, load<u64>(0, MARKS) | middles, MARKS);
  for (let k: usize = 0; k < thresholdCount; k++) searchEnds(lattice, at, RUNS + load<u16>(k << 1, THRESHOLDS));
}

/** Rounds eight groups in all trials. */
function roundTrials(at: usize, sub: usize, trials: usize): void {
  const half = v128.load(0, HALF);
  const magic = v128.load(0, MAGIC);
  const seven = v128.load(0, SEVEN);
  const pairs = v128.load(0, PAIR_MASK);
  for (let t: usize = 0; t < trials; t += 4) {
    const halves = sub * TRIALS_BYTES + (t << 2);
    const h0 = v128.load32_splat(halves, HALVES);
    const h1 = v128.load32_splat(halves, HALVES + 4);
    const h2 = v128.load32_splat(halves, HALVES + 8);
    const h3 = v128.load32_splat(halves, HALVES + 12);
    let to = ROUNDED + 8 * sub * ROUNDED_BYTES + (t << 1);
    const first = at + (sub << 7);
    for (let p = first; p < first + 128; p += 16, to += ROUNDED_BYTES) {
      const x = v128.load(p, X);
      const a = i16x8.narrow_i32x4_s(rounded(x, h0, half, magic), rounded(x, h1, half, magic));
      const b = i16x8.narrow_i32x4_s(rounded(x, h2, half, magic), rounded(x, h3, half, magic));
      let bits = i8x16.min_u(i8x16.narrow_i16x8_u(a, b), seven);
      // Four bytes to twelve bits.
      bits = v128.and(v128.or(bits, i32x4.shr_u(bits, 5)), pairs);
      bits = v128.and(v128.or(bits, i32x4.shr_u(bits, 10)), i32x4.splat(0xfff));
      store<i64>(to, i64x2.extract_lane(i16x8.narrow_i32x4_s(bits, bits), 0));
    }
  }
}

/** Bit t: trial t rounds to another point than trial t − 1. Bits 0 and `trials` are set too. */
// @ts-ignore: decorator
@inline
function changes(g: usize, trials: usize): u32 {
  const p = g * ROUNDED_BYTES;
  const a = i16x8.eq(v128.load(p, ROUNDED), v128.load(p, ROUNDED - 2));
  const b = i16x8.eq(v128.load(p, ROUNDED + 16), v128.load(p, ROUNDED + 14));
  const c = i16x8.eq(v128.load(p, ROUNDED + 32), v128.load(p, ROUNDED + 30));
  const d = i16x8.eq(v128.load(p, ROUNDED + 48), v128.load(p, ROUNDED + 46));
  const same = i8x16.bitmask(i8x16.narrow_i16x8_s(a, b)) | (i8x16.bitmask(i8x16.narrow_i16x8_s(c, d)) << 16);
  const end = 1 << <u32>trials;
  return (~same & (end - 1)) | end | 1;
}

/** Lists all runs, and by the number of candidates, those whose points are not on the grid. */
function listRuns(lattice: usize, firstSub: usize, endSub: usize, trials: usize): void {
  let run = RUNS;
  let few: usize = 0;
  let many: usize = 0;
  const all: u64 = ((1 << <u32>trials) - 1) * 0x100000001;
  store<u64>(0, 0, MARKS);
  for (let pair = 4 * firstSub; pair < 4 * endSub; pair++) {
    // Bits of two groups. What follows the last trial of a group is no run: it is written, but not counted.
    let left = <u64>changes(2 * pair, trials) | (<u64>changes(2 * pair + 1, trials) << 32);
    store<u64>(pair << 3, left, CHANGES);
    const marks = left & all;
    store<u32>(pair >> 2 << 2, load<u32>(pair >> 2 << 2, MARKS) | <u32>marks | <u32>(marks >>> 32), MARKS);
    while (left) {
      const bit = <usize>ctz(left);
      left &= left - 1;
      const first = bit & 31;
      const last = (<usize>ctz(left) - 1) & 31;
      const rounded = <usize>load<u16>(2 * pair * ROUNDED_BYTES + (bit << 1), ROUNDED);
      const point = load<u32>(lattice + (rounded << 2), POINTS);
      store<u32>(run, point, POINT);
      store<u32>(run, <u32>((2 * pair + (bit >> 5)) | (first << 8) | (last << 16) | (first << 24)), GROUP);
      store<u64>(run, (point & 0xffff) * 0x10001, ENTRY_A); // and EACH = 0
      store<u16>(few << 1, <u16>(run - RUNS), FEW);
      store<u16>(many << 1, <u16>(run - RUNS), MANY);
      const counts = <usize>(first != trials);
      const off = counts & <usize>(~point >>> 31);
      const more = off & <usize>(winnerCount(point) > 4);
      few += off ^ more;
      many += more;
      run += RUN_BYTES * counts;
    }
  }
  runsEnd = run;
  fewCount = few;
  manyCount = many;
}

/**
 * For each group 2 w x, and DOUBT · M for the worst of all scales; nothing is trusted if M may underflow. Returns a bit
 * for each group with an element that may touch a threshold in some trial.
 *
 * x / 2 scale is k in trial T for 15 + 0.2 (T − steps) = 2 k largest / x, so T − steps = 10 k largest / x − 75. In all
 * trials the product is below 93, and its rounding errors are below 5e-5: if it is not within TOUCH of an integer,
 * x / 2 scale is not within (TOUCH − 5e-5) / 93 of k, and SLACK is less than that.
 */
function measureGroups(at: usize, sub: usize, trials: usize): u32 {
  const scale = load<f32>(sub * TRIALS_BYTES, SCALES);
  const inverse = load<f32>(sub * TRIALS_BYTES + (trials << 2), INVERSES - 4);
  const ten = f32x4.splat(10 * load<f32>(sub << 2, LARGEST));
  let touching: u32 = 0;
  const first = 8 * <u32>sub;
  for (let g = first; g < first + 8; g++) {
    const p = at + (<usize>g << 4);
    const x = v128.load(p, X);
    const w = v128.load(p, ROOT);
    const wx = f32x4.mul(w, x);
    v128.store(<usize>g << 4, f32x4.add(wx, wx), TWICE);
    const sumWxx = sumLanes(f32x4.mul(wx, x));
    const most = DOUBT * (225 * scale * sumLanes(w) + inverse * sumWxx);
    store<f32>(<usize>g << 2, sumWxx > <f32>1e-30 ? most : Infinity, DOUBTS);
    const f = f32x4.div(ten, x);
    let nearest = toInteger(f);
    let multiple = f;
    for (let k = 2; k < 8; k++) {
      multiple = f32x4.mul(f, f32x4.splat(<f32>k));
      nearest = f32x4.pmin(nearest, toInteger(multiple));
    }
    touching |= <u32>v128.any_true(f32x4.lt(nearest, f32x4.splat(TOUCH))) << g;
  }
  return touching;
}

// @ts-ignore: decorator
@inline
function toInteger(v: v128): v128 {
  return f32x4.abs(f32x4.sub(v, f32x4.nearest(v)));
}

// @ts-ignore: decorator
@inline
function sumLanes(v: v128): f32 {
  v = f32x4.add(v, v128.shuffle<f32>(v, v, 2, 3, 0, 1));
  return f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1);
}

/** What wins at both ends of the runs that are not on the grid. */
function findEnds(lattice: usize, at: usize, touching: u32): void {
  crossingCount = 0;
  thresholdCount = 0;
  let lines = ALL_LINES;
  for (let k: usize = 0; k < fewCount; k++, lines += 64) {
    const run = RUNS + <usize>load<u16>(k << 1, FEW);
    const point = load<u32>(run, POINT);
    const g = <usize>load<u8>(run, GROUP);
    const list = winners(lattice, point);
    store<u32>(run, <u32>lines, LINES);
    const bits = endsOfFour(list, at, lines, g, load<u8>(run, FIRST), load<u8>(run, LAST));
    const close = bits & (0x11 * ((1 << winnerCount(point)) - 1));
    settleEnds(run, list, (touching >>> <u32>g) & 1, close & 15, close >>> 4, true);
  }
  for (let k: usize = 0; k < manyCount; k++) {
    const run = RUNS + <usize>load<u16>(k << 1, MANY);
    const point = load<u32>(run, POINT);
    const g = <usize>load<u8>(run, GROUP);
    const list = winners(lattice, point);
    store<u32>(run, <u32>lines, LINES);
    const first = lines;
    const end = list + listBytes(winnerCount(point));
    for (let p = list; p < end; p += LIST_BLOCK, lines += 64) makeLines(p, at, lines, g);
    const close = closest(first, winnerCount(point), g, load<u8>(run, FIRST), load<u8>(run, LAST));
    settleEnds(run, list, (touching >>> <u32>g) & 1, <u32>close, <u32>(close >>> 32), false);
  }
}

/**
 * Notes what wins, and what is to be done about it.
 * @param a a bit for each candidate that may win in the first trial, b in the last
 * @param four whether the list has four candidates at most
 */
// @ts-ignore: decorator
@inline
function settleEnds(run: usize, list: usize, touches: u32, a: u32, b: u32, four: bool): void {
  store<u32>(run, a, CLOSE_A);
  store<u32>(run, b, CLOSE_B);
  store<u16>(run, <u16>(four ? entryOfFour(list, ctz(a) & 3) : entryAt(list, ctz(a) & 31)), ENTRY_A);
  store<u16>(run, <u16>(four ? entryOfFour(list, ctz(b) & 3) : entryAt(list, ctz(b) & 31)), ENTRY_B);
  const doubtful = <usize>(((a & (a - 1)) | (b & (b - 1))) != 0);
  store<u32>(run, <u32>doubtful, EACH);
  const first = <usize>load<u8>(run, FIRST);
  const last = <usize>load<u8>(run, LAST);
  store<u8>(run, <u8>(a == b ? first : last), MIDDLE);
  store<u16>(crossingCount << 1, <u16>(run - RUNS), CROSSINGS);
  crossingCount += (doubtful ^ 1) & <usize>(a != b) & <usize>(last > first + 1);
  const point = load<u32>(run, POINT);
  store<u16>(thresholdCount << 1, <u16>(run - RUNS), THRESHOLDS);
  thresholdCount += <usize>touches & <usize>(winnerCount(point) != candidateCount(point));
}

/** MIDDLE of runs at whose ends different candidates win. */
function findMiddles(): void {
  for (let k: usize = 0; k < crossingCount; k++) {
    const run = RUNS + <usize>load<u16>(k << 1, CROSSINGS);
    const g = <usize>load<u8>(run, GROUP);
    const lines = <usize>load<u32>(run, LINES);
    const expected = load<u64>(run, CLOSE_A);
    const crossing = crossingOf(lines, g, ctz(<u32>expected), ctz(<u32>(expected >>> 32)));
    const middle = max(<i32>load<u8>(run, FIRST) + 1, min(<i32>load<u8>(run, LAST), crossing));
    store<u8>(run, <u8>middle, MIDDLE);
    const found = closest(lines, winnerCount(load<u32>(run, POINT)), g, middle - 1, middle);
    store<u32>(run, <u32>(found != expected), EACH);
  }
}

/** Runs with more than one change of winner, or with doubts. */
function searchEach(lattice: usize, at: usize, run: usize): void {
  const a = load<u32>(run, CLOSE_A);
  const b = load<u32>(run, CLOSE_B);
  searchPart(lattice, at, run, load<u8>(run, FIRST), a, load<u8>(run, LAST), b);
}

/** The part of a run between two trials where candidates `a` and `b` (bits) win, or may win. */
function searchPart(lattice: usize, at: usize, run: usize, first: usize, a: u32, last: usize, b: u32): void {
  const g = <usize>load<u8>(run, GROUP);
  const point = load<u32>(run, POINT);
  const list = winners(lattice, point);
  const count = winnerCount(point);
  const lines = <usize>load<u32>(run, LINES);
  for (; !isOne(a); a = <u32>closest(lines, count, g, first, first)) {
    choose(g, first, nearest(list, count, at + (g << 4), load<f32>(trialAt(g, first), SCALES)) | UNSURE);
    if (first == last) return;
    first++;
  }
  if (!isOne(b)) {
    searchPart(lattice, at, run, first, a, last - 1, <u32>closest(lines, count, g, last - 1, last - 1));
    choose(g, last, nearest(list, count, at + (g << 4), load<f32>(trialAt(g, last), SCALES)) | UNSURE);
  } else if (a == b || last <= first + 1) {
    choose(g, first, entryAt(list, ctz(a)));
    choose(g, a == b ? first : last, entryAt(list, ctz(b)));
  } else {
    const middle = <usize>max(<i32>first + 1, min(<i32>last, crossingOf(lines, g, ctz(a), ctz(b))));
    const close = closest(lines, count, g, middle - 1, middle);
    searchPart(lattice, at, run, first, a, middle - 1, <u32>close);
    searchPart(lattice, at, run, middle, <u32>(close >>> 32), last, b);
  }
}

// @ts-ignore: decorator
@inline
function isOne(bits: u32): bool {
  return bits != 0 && (bits & (bits - 1)) == 0;
}

/** Compares all candidates where an element lies at a threshold. */
function searchEnds(lattice: usize, at: usize, run: usize): void {
  const point = load<u32>(run, POINT);
  const g = <usize>load<u8>(run, GROUP);
  const group = at + (g << 4);
  for (let end = FIRST; end <= LAST; end++) {
    const t = <usize>load<u8>(run + end);
    const trial = trialAt(g, t);
    if (!atThreshold(group, load<f32>(trial, HALVES))) continue;
    const entry = nearest(candidates(lattice, point), candidateCount(point), group, load<f32>(trial, SCALES));
    const to = t * WINNERS_BYTES + (g << 1);
    // What was chosen from here on holds from the next trial on.
    const goesOn = t < <usize>load<u8>(run, LAST) && !load<u16>(to, WINNERS + WINNERS_BYTES);
    if (goesOn) choose(g, t + 1, load<u16>(to, WINNERS));
    choose(g, t, entry | UNSURE);
  }
}

/**
 * Stores A and B of the first four candidates of a list, twice. Returns bits as `closest` does of those close in trial t,
 * and from bit 4 up, in trial u.
 */
// @ts-ignore: decorator
@inline
function endsOfFour(list: usize, at: usize, lines: usize, g: usize, t: usize, u: usize): u32 {
  const p = g << 4;
  const x = at + p;
  let q = low(v128.load(list));
  let a = f32x4.mul(v128.load32_splat(x, ROOT), f32x4.mul(q, q));
  let b = f32x4.mul(v128.load32_splat(p, TWICE), q);
  q = low(v128.load(list, 16));
  a = f32x4.add(a, f32x4.mul(v128.load32_splat(x, ROOT + 4), f32x4.mul(q, q)));
  b = f32x4.add(b, f32x4.mul(v128.load32_splat(p, TWICE + 4), q));
  q = low(v128.load(list, 32));
  a = f32x4.add(a, f32x4.mul(v128.load32_splat(x, ROOT + 8), f32x4.mul(q, q)));
  b = f32x4.add(b, f32x4.mul(v128.load32_splat(p, TWICE + 8), q));
  q = low(v128.load(list, 48));
  a = f32x4.add(a, f32x4.mul(v128.load32_splat(x, ROOT + 12), f32x4.mul(q, q)));
  b = f32x4.add(b, f32x4.mul(v128.load32_splat(p, TWICE + 12), q));
  v128.store(lines, a);
  v128.store(lines, a, 16);
  v128.store(lines, b, 32);
  v128.store(lines, b, 48);
  const s = f32x4.sub(f32x4.mul(v128.load32_splat(trialAt(g, t), SCALES), a), b);
  const r = f32x4.sub(f32x4.mul(v128.load32_splat(trialAt(g, u), SCALES), a), b);
  const limits = f32x4.add(leastOfBoth(s, r), v128.load32_splat(g << 2, DOUBTS));
  const closeS = f32x4.le(s, v128.shuffle<f32>(limits, limits, 0, 0, 0, 0));
  const closeR = f32x4.le(r, v128.shuffle<f32>(limits, limits, 2, 2, 2, 2));
  return i16x8.bitmask(i16x8.narrow_i32x4_s(closeS, closeR));
}

/** Stores A and B of the eight candidates of a list block. */
// @ts-ignore: decorator
@inline
function makeLines(block: usize, at: usize, to: usize, g: usize): void {
  const p = g << 4;
  const x = at + p;
  let q = v128.load(block);
  let l = low(q);
  let h = high(q);
  let w = v128.load32_splat(x, ROOT);
  let wx = v128.load32_splat(p, TWICE);
  let a = f32x4.mul(w, f32x4.mul(l, l));
  let b = f32x4.mul(wx, l);
  let c = f32x4.mul(w, f32x4.mul(h, h));
  let d = f32x4.mul(wx, h);
  q = v128.load(block, 16);
  l = low(q);
  h = high(q);
  w = v128.load32_splat(x, ROOT + 4);
  wx = v128.load32_splat(p, TWICE + 4);
  a = f32x4.add(a, f32x4.mul(w, f32x4.mul(l, l)));
  b = f32x4.add(b, f32x4.mul(wx, l));
  c = f32x4.add(c, f32x4.mul(w, f32x4.mul(h, h)));
  d = f32x4.add(d, f32x4.mul(wx, h));
  q = v128.load(block, 32);
  l = low(q);
  h = high(q);
  w = v128.load32_splat(x, ROOT + 8);
  wx = v128.load32_splat(p, TWICE + 8);
  a = f32x4.add(a, f32x4.mul(w, f32x4.mul(l, l)));
  b = f32x4.add(b, f32x4.mul(wx, l));
  c = f32x4.add(c, f32x4.mul(w, f32x4.mul(h, h)));
  d = f32x4.add(d, f32x4.mul(wx, h));
  q = v128.load(block, 48);
  l = low(q);
  h = high(q);
  w = v128.load32_splat(x, ROOT + 12);
  wx = v128.load32_splat(p, TWICE + 12);
  a = f32x4.add(a, f32x4.mul(w, f32x4.mul(l, l)));
  b = f32x4.add(b, f32x4.mul(wx, l));
  c = f32x4.add(c, f32x4.mul(w, f32x4.mul(h, h)));
  d = f32x4.add(d, f32x4.mul(wx, h));
  v128.store(to, a);
  v128.store(to, c, 16);
  v128.store(to, b, 32);
  v128.store(to, d, 48);
}

/**
 * For trials t (in the low half) and u (in the high half): a bit for each candidate whose scale · A − B is the least,
 * or so close that the exact D̂ must decide.
 */
// @ts-ignore: decorator
@inline
function closest(lines: usize, count: u32, g: usize, t: usize, u: usize): u64 {
  const s = v128.load32_splat(trialAt(g, t), SCALES);
  const r = v128.load32_splat(trialAt(g, u), SCALES);
  const doubt = v128.load32_splat(g << 2, DOUBTS);
  if (count > 8) return closestOfMany(lines, count, s, r, doubt);
  const s0 = score(s, lines);
  const s1 = score(s, lines + 16);
  const r0 = score(r, lines);
  const r1 = score(r, lines + 16);
  const limits = f32x4.add(leastOfBoth(f32x4.pmin(s0, s1), f32x4.pmin(r0, r1)), doubt);
  const bits = closeBits(s0, s1, r0, r1, limits) & (0x0101 * ((1 << count) - 1));
  return <u64>(bits & 255) | (<u64>(bits >>> 8) << 32);
}

function closestOfMany(lines: usize, count: u32, s: v128, r: v128, doubt: v128): u64 {
  const stop = lines + (<usize>((count + 7) >>> 3) << 6);
  let leastS = f32x4.splat(f32.MAX_VALUE);
  let leastR = leastS;
  for (let p = lines; p < stop; p += 64) {
    leastS = f32x4.pmin(leastS, f32x4.pmin(score(s, p), score(s, p + 16)));
    leastR = f32x4.pmin(leastR, f32x4.pmin(score(r, p), score(r, p + 16)));
  }
  const limits = f32x4.add(leastOfBoth(leastS, leastR), doubt);
  let closeS: u32 = 0;
  let closeR: u32 = 0;
  let shift: u32 = 0;
  for (let p = lines; p < stop; p += 64, shift += 8) {
    const bits = closeBits(score(s, p), score(s, p + 16), score(r, p), score(r, p + 16), limits);
    closeS |= (bits & 255) << shift;
    closeR |= (bits >>> 8) << shift;
  }
  const valid = (1 << count) - 1;
  return <u64>(closeS & valid) | (<u64>(closeR & valid) << 32);
}

// @ts-ignore: decorator
@inline
function score(scale: v128, p: usize): v128 {
  return f32x4.sub(f32x4.mul(scale, v128.load(p)), v128.load(p, 32));
}

/** The least lane of s, twice, and of r, twice. */
// @ts-ignore: decorator
@inline
function leastOfBoth(s: v128, r: v128): v128 {
  const two = f32x4.pmin(v128.shuffle<f32>(s, r, 0, 1, 4, 5), v128.shuffle<f32>(s, r, 2, 3, 6, 7));
  return f32x4.pmin(two, v128.shuffle<f32>(two, two, 1, 0, 3, 2));
}

// @ts-ignore: decorator
@inline
function closeBits(s0: v128, s1: v128, r0: v128, r1: v128, limits: v128): u32 {
  const s = v128.shuffle<f32>(limits, limits, 0, 0, 0, 0);
  const r = v128.shuffle<f32>(limits, limits, 2, 2, 2, 2);
  const a = i16x8.narrow_i32x4_s(f32x4.le(s0, s), f32x4.le(s1, s));
  const b = i16x8.narrow_i32x4_s(f32x4.le(r0, r), f32x4.le(r1, r));
  return i8x16.bitmask(i8x16.narrow_i16x8_s(a, b));
}

/** About the first trial in which candidate b is nearer than a. */
// @ts-ignore: decorator
@inline
function crossingOf(lines: usize, g: usize, a: u32, b: u32): i32 {
  const p = lines + (<usize>(a & 24) << 3) + (<usize>(a & 7) << 2);
  const q = lines + (<usize>(b & 24) << 3) + (<usize>(b & 7) << 2);
  const inverse = (load<f32>(p) - load<f32>(q)) / (load<f32>(p, 32) - load<f32>(q, 32));
  const trial = (inverse - load<f32>(trialAt(g, 0), INVERSES)) * load<f32>(g >> 3 << 2, PER_INVERSE);
  // Not a plain conversion, which traps on what is no integer of 32 bits.
  return i32x4.extract_lane(i32x4.trunc_sat_f32x4_s(f32x4.splat(max<f32>(-1, min<f32>(32, trial)))), 0) + 1;
}

/**
 * Entries of these groups of regular sub-block j under a scale of its own, as far as the trials tell: a group that
 * rounds to the same point in the next trials on both sides, and surely goes to the same entry, does so in between.
 * Call it while STATES are of that sub-block. Returns a bit for each group settled.
 */
export function settleBetween(scale: f32, trials: usize, j: usize, groups: u32): u32 {
  const sub = j & 1;
  const from = sub * TRIALS_BYTES;
  const inverse = <f32>1 / scale;
  const trial = (inverse - load<f32>(from, INVERSES)) * load<f32>(sub << 2, PER_INVERSE);
  const t = <usize>max(0, min(<i32>trials - 2, i32x4.extract_lane(i32x4.trunc_sat_f32x4_s(f32x4.splat(trial)), 0)));
  const p = from + (t << 2);
  if (!(inverse >= load<f32>(p, INVERSES) && inverse <= load<f32>(p, INVERSES + 4))) return 0;
  if (!(scale <= load<f32>(p, SCALES) && scale >= load<f32>(p, SCALES + 4))) return 0;
  const bit = i32x4.splat(2 << <u32>t);
  const changed = i16x8.narrow_i32x4_s(
    i32x4.eq(v128.and(v128.load(sub << 5, CHANGES), bit), bit),
    i32x4.eq(v128.and(v128.load(sub << 5, CHANGES + 16), bit), bit),
  );
  const chosen = stateAt(sub, t);
  const same = v128.and(i16x8.eq(chosen, stateAt(sub, t + 1)), i16x8.ge_s(chosen, i16x8.splat(0)));
  const numbers = i16x8(1, 2, 4, 8, 16, 32, 64, 128);
  const wanted = i16x8.eq(v128.and(i16x8.splat(<i16>groups), numbers), numbers);
  const settled = v128.andnot(v128.and(same, wanted), changed);
  const entries = v128.and(chosen, v128.load(0, ENTRY_MASK));
  v128.store(j << 4, v128.bitselect(entries, v128.load(j << 4, ENTRIES), settled), ENTRIES);
  return i16x8.bitmask(settled);
}

/** What groups go to in a trial. */
// @ts-ignore: decorator
@inline
function stateAt(sub: usize, t: usize): v128 {
  return v128.load(<usize>popcnt(load<u32>(sub << 2, MARKS) & ((2 << <u32>t) - 1)) << 4, STATES - 16);
}
