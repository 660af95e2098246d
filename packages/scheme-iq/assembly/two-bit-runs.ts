// All trials of a super-block: 32 groups of eight elements, and for each 13 or 19 trial scales.
//
// The runs of trials that round to the same point are listed for all groups, then they are searched, at last winners are
// written to a row per group: loops that do one thing keep branches predictable. Of a run the first and the last trial are
// searched, then, if these have different winners, two neighbouring trials where the change is expected.
import { LIST_BLOCK, NEAREST, ON_GRID, numberOf, shellsOf } from "./two-bit-lattice";
import {
  BREAKS,
  EXHAUSTED,
  FIXED,
  FIXED_BYTES,
  INVERSES,
  MIXED,
  ON_GRID_BIT,
  QUEUE,
  RUNS,
  SCALES,
  STEPS,
  TABLES,
  TABLES_BYTES,
  TAUS,
  TRIALS_BYTES,
  UNIQUE_BIT,
  WINNERS,
  WINNERS_BYTES,
  X,
} from "./two-bit-scratch";
import {
  FAR,
  NONE,
  compareTwo,
  crossing,
  fixGroup,
  hasClose,
  listAt,
  lookUp,
  makeTables,
  nearestOfAll,
  refuseBlock,
  signs,
} from "./two-bit-search";

// A run, 16 bytes:
const PLACE: usize = 0; // u32: of NEAREST
const GROUP: usize = 4; // u8
const FIRST_TRIAL: usize = 5; // u8
const LAST_TRIAL: usize = 6; // u8
const KIND: usize = 7; // u8
const FIRST_WINNER: usize = 8; // u16, with ON_GRID_BIT and UNIQUE_BIT
const LAST_WINNER: usize = 10; // u16
const SPLIT: usize = 12; // u32: from which trial the last winner wins; or the address of the winners of all trials
const RUN: usize = 16;

const PLAIN: u8 = 0; // the first winner up to the split, the last from there
const SEVERAL: u8 = 1; // more than two winners, or close ones
const DOUBTFUL: u8 = 2; // all candidates must be compared

/** Where a word is written only so that it was read. */
const FETCHED: usize = 0xe440;

/** Tables for a fitted scale. */
const FITTED: usize = TABLES + 32 * TABLES_BYTES;

/** 3^j. */
const POWERS: usize = memory.data<u16>([1, 3, 9, 27, 81, 243, 729, 2187]);

let runsEnd: usize = RUNS;
let queueEnd: usize = QUEUE;
let mixedEnd: usize = MIXED;

/** Starts a super-block. */
export function clearRuns(): void {
  runsEnd = RUNS;
  queueEnd = QUEUE;
  mixedEnd = MIXED;
}

/** The tables at τ = 1 are for an inverse scale a little beyond the last. */
const BEYOND: f32 = 1.001;

/** Call it before the first super-block. */
export function prepareTaus(trials: u32): void {
  const unit: f32 = <f32>32768 / (BEYOND * <f32>(trials - 1));
  for (let t: u32 = 0; t < trials; t++) store<i16>(<usize>t << 1, <i16>nearest<f32>(<f32>t * unit), TAUS);
}

/** An offset in INVERSES or SCALES. */
// @ts-ignore: decorator
@inline
function trialAt(sub: usize, trial: u32): usize {
  return sub * TRIALS_BYTES + (<usize>trial << 2);
}

/**
 * Lists the runs of two groups; searches them here and now if their numbers are beyond what two-bit-search.ts can score.
 * @param group the first of the two
 * @param sub their sub-block, whose trial scales are known
 * @param span what the inverse scale of trial t is 5 + (t - trials / 2) / 10 parts of
 * @param sane whether no element is farther than FAR from zero in units of a scale
 */
export function addGroups(lattice: usize, group: usize, sub: usize, trials: u32, span: f32, sane: bool): void {
  const x = group << 5;
  const lowest = load<f32>(trialAt(sub, 0), INVERSES);
  const highest = highestOf(sub, trials);
  const first = sane && fixGroup(group, x, highest);
  const second = sane && fixGroup(group + 1, x + 32, highest);
  store<u8>(group, <u8>!first, EXHAUSTED);
  store<u8>(group + 1, <u8>!second, EXHAUSTED);
  if (!first) exhaust(lattice, group, sub, trials);
  if (!second) exhaust(lattice, group + 1, sub, trials);
  if (first || second) {
    const starts = findBreaks(group, sub, x, trials, span);
    if (first) {
      fixTables(group, lowest, highest);
      addRuns(lattice, group, starts & 0xffff, 0, trials);
    }
    if (second) {
      fixTables(group + 1, lowest, highest);
      addRuns(lattice, group + 1, starts >> 16, 64, trials);
    }
  }
}

// @ts-ignore: decorator
@inline
function highestOf(sub: usize, trials: u32): f32 {
  const lowest = load<f32>(trialAt(sub, 0), INVERSES);
  return lowest + BEYOND * (load<f32>(trialAt(sub, trials - 1), INVERSES) - lowest);
}

function fixTables(group: usize, lowest: f32, highest: f32): void {
  const fixed = FIXED + group * FIXED_BYTES;
  const tables = TABLES + group * TABLES_BYTES;
  makeTables(fixed, lowest, tables);
  makeTables(fixed, highest, tables + 64);
}

/** All trials of a group one by one. */
function exhaust(lattice: usize, group: usize, sub: usize, trials: u32): void {
  for (let t: u32 = 0; t < trials; t++)
    store<u16>(WINNERS + group * WINNERS_BYTES + (<usize>t << 1), exhaustTrial(lattice, group, sub, t));
}

function exhaustTrial(lattice: usize, group: usize, sub: usize, trial: u32): u16 {
  const at = trialAt(sub, trial);
  const found = nearestOfAll(lattice, group << 5, load<f32>(at, INVERSES), load<f32>(at, SCALES));
  if (found != NONE) return <u16>found;
  refuseBlock();
  return 0;
}

// @ts-ignore: decorator
@inline
function addRuns(lattice: usize, group: usize, start: u32, steps: usize, trials: u32): void {
  let later = load<u32>(group << 2, BREAKS) | (1 << trials);
  let number = start;
  let run = runsEnd;
  let queue = queueEnd;
  for (let t: u32 = 0; t < trials; ) {
    const next = <u32>ctz(later);
    later &= later - 1;
    const place = load<u32>(lattice + (<usize>number << 2), NEAREST);
    store<u32>(run, place, PLACE);
    store<u32>(run, <u32>group | (t << 8) | ((next - 1) << 16), GROUP);
    const won = (place & 0x3ff) | ON_GRID_BIT | UNIQUE_BIT; // if it is on the grid
    store<u32>(run, won | (won << 16), FIRST_WINNER);
    store<u32>(run, next - 1, SPLIT);
    store<u32>(queue, <u32>run);
    queue += (~place >> 31) << 2;
    run += RUN;
    number += <u32>load<u16>(steps + (<usize>next << 1), STEPS);
    t = next;
  }
  runsEnd = run;
  queueEnd = queue;
}

/**
 * Where the points of two groups change from trial to trial: fills BREAKS and STEPS. Returns the numbers of their points
 * in the first trial in two halves.
 *
 * A level rises from 0 to 1 where x · inverse > 2 and from 1 to 2 where it is ≥ 4: rounding of (y − 1) / 2 with ties to
 * even. Inverse scales grow from trial to trial, but not so much that an element could pass both thresholds.
 */
function findBreaks(group: usize, sub: usize, x: usize, trials: u32, span: f32): u32 {
  const inverses = INVERSES + sub * TRIALS_BYTES;
  const low = f32x4.splat(load<f32>(inverses));
  const high = f32x4.splat(load<f32>(inverses + (<usize>(trials - 1) << 2)));
  const two = f32x4.splat(2);
  const four = f32x4.splat(4);
  const x0 = v128.load(x, X);
  const x1 = v128.load(x, X + 16);
  const x2 = v128.load(x, X + 32);
  const x3 = v128.load(x, X + 48);
  let y0 = f32x4.mul(low, x0);
  let y1 = f32x4.mul(low, x1);
  let y2 = f32x4.mul(low, x2);
  let y3 = f32x4.mul(low, x3);
  const always2 = signs(f32x4.gt(y0, two), f32x4.gt(y1, two), f32x4.gt(y2, two), f32x4.gt(y3, two));
  const always4 = signs(f32x4.ge(y0, four), f32x4.ge(y1, four), f32x4.ge(y2, four), f32x4.ge(y3, four));
  y0 = f32x4.mul(high, x0);
  y1 = f32x4.mul(high, x1);
  y2 = f32x4.mul(high, x2);
  y3 = f32x4.mul(high, x3);
  const once2 = signs(f32x4.gt(y0, two), f32x4.gt(y1, two), f32x4.gt(y2, two), f32x4.gt(y3, two));
  const once4 = signs(f32x4.ge(y0, four), f32x4.ge(y1, four), f32x4.ge(y2, four), f32x4.ge(y3, four));
  const zero = i32x4.splat(0);
  store<u64>(group << 2, 0, BREAKS);
  v128.store(STEPS, zero);
  v128.store(STEPS, zero, 16);
  v128.store(STEPS, zero, 32);
  v128.store(STEPS, zero, 64);
  v128.store(STEPS, zero, 80);
  v128.store(STEPS, zero, 96);
  const lowest = <f32>5 - <f32>0.1 * <f32>(trials >> 1);
  for (let bits = once2 & ~always2; bits; bits &= bits - 1) {
    const i = <usize>ctz(bits);
    const v = load<f32>(x + (i << 2), X);
    let t = guess((<f32>2 * span) / v, lowest, trials);
    while (!(load<f32>(inverses + (<usize>t << 2)) * v > <f32>2)) t++;
    while (load<f32>(inverses + (<usize>t << 2) - 4) * v > <f32>2) t--;
    passes(group, i, t);
  }
  for (let bits = once4 & ~always4; bits; bits &= bits - 1) {
    const i = <usize>ctz(bits);
    const v = load<f32>(x + (i << 2), X);
    let t = guess((<f32>4 * span) / v, lowest, trials);
    while (!(load<f32>(inverses + (<usize>t << 2)) * v >= <f32>4)) t++;
    while (load<f32>(inverses + (<usize>t << 2) - 4) * v >= <f32>4) t--;
    passes(group, i, t);
  }
  const first = numberOf((always2 & 255) | ((always4 & 255) << 8));
  return first | (numberOf((always2 >> 8) | (always4 & 0xff00)) << 16);
}

/** About the first trial that passes; not the first of all, which does not, and at most the last, which does. */
// @ts-ignore: decorator
@inline
function guess(needed: f32, lowest: f32, trials: u32): u32 {
  return <u32>max<i32>(1, min<i32>(<i32>trials - 1, <i32>ceil<f32>((needed - lowest) * <f32>10)));
}

/** Element i of sixteen passes a threshold in trial t. */
// @ts-ignore: decorator
@inline
function passes(group: usize, i: usize, t: u32): void {
  const at = STEPS + ((i >> 3) << 6) + (<usize>t << 1);
  store<u16>(at, load<u16>(at) + load<u16>(POWERS + ((i & 7) << 1)));
  const breaks = BREAKS + ((group + (i >> 3)) << 2);
  store<u32>(breaks, load<u32>(breaks) | (1 << t));
}

/**
 * Searches all runs. Afterwards WINNERS has a row of u16 per group: for each trial an entry, with ON_GRID_BIT where
 * rounding alone led to it, and UNIQUE_BIT.
 * @param shift log2 of the groups of a sub-block
 */
export function searchRuns(lattice: usize, shift: usize): void {
  const pruned = shellsOf(lattice) > 1;
  for (let q = QUEUE; q < queueEnd; q += 4) {
    const run = <usize>load<u32>(q);
    // Have the next list fetched meanwhile.
    if (q + 4 < queueEnd) store<u32>(FETCHED, load<u32>(listAt(lattice, load<u32>(<usize>load<u32>(q + 4), PLACE))));
    if (pruned && isClose(shift, run)) store<u8>(run, DOUBTFUL, KIND);
    else searchRun(lattice, shift, run);
  }
  for (let run = RUNS; run < runsEnd; run += RUN) {
    const row = WINNERS + <usize>load<u8>(run, GROUP) * WINNERS_BYTES;
    if (load<u8>(run, KIND) == PLAIN) {
      fill(row + (<usize>load<u8>(run, FIRST_TRIAL) << 1), load<u16>(run, FIRST_WINNER));
      fill(row + (<usize>load<u32>(run, SPLIT) << 1), load<u16>(run, LAST_WINNER));
    } else fillSeveral(lattice, shift, run, row);
  }
}

/** A winner for a trial and all after it, until another one is written over it. */
// @ts-ignore: decorator
@inline
function fill(at: usize, winner: u16): void {
  const splat = i16x8.splat(winner);
  v128.store(at, splat);
  v128.store(at, splat, 16);
  v128.store(at, splat, 32);
}

/** Whether thresholds are close at either end of a run. */
// @ts-ignore: decorator
@inline
function isClose(shift: usize, run: usize): bool {
  const group = <usize>load<u8>(run, GROUP);
  const sub = group >> shift;
  return hasClose(
    FIXED + group * FIXED_BYTES,
    load<f32>(trialAt(sub, load<u8>(run, FIRST_TRIAL)), INVERSES),
    load<f32>(trialAt(sub, load<u8>(run, LAST_TRIAL)), INVERSES),
  );
}

/** Searches two trials of the run whose list was looked up last. */
// @ts-ignore: decorator
@inline
function searchTwo(lattice: usize, shift: usize, run: usize, a: u32, b: u32): u64 {
  const group = <usize>load<u8>(run, GROUP);
  return compareTwo(
    lattice,
    load<u32>(run, PLACE),
    group << 5,
    load<i16>(<usize>a << 1, TAUS),
    load<i16>(<usize>b << 1, TAUS),
    load<f32>(trialAt(group >> shift, a), SCALES),
    load<f32>(trialAt(group >> shift, b), SCALES),
  );
}

function searchRun(lattice: usize, shift: usize, run: usize): void {
  const place = load<u32>(run, PLACE);
  const tables = TABLES + <usize>load<u8>(run, GROUP) * TABLES_BYTES;
  const list = listAt(lattice, place);
  lookUp(list, list + LIST_BLOCK * <usize>(((place & 255) + 15) >> 4), tables, tables + 64);
  const a = <u32>load<u8>(run, FIRST_TRIAL);
  const b = <u32>load<u8>(run, LAST_TRIAL);
  const found = searchTwo(lattice, shift, run, a, b);
  const first = <u32>(found >> 8) & 0xffff;
  const last = <u32>(found >> 40);
  store<u32>(run, first | (last << 16), FIRST_WINNER);
  if (b - a > 1 && (first != last || !(first & UNIQUE_BIT))) refine(lattice, shift, run, found);
}

/** Two winners: searches where the one is expected to follow the other. */
function refine(lattice: usize, shift: usize, run: usize, ends: u64): void {
  const a = <u32>load<u8>(run, FIRST_TRIAL);
  const b = <u32>load<u8>(run, LAST_TRIAL);
  const first = <u32>(ends >> 8) & 0xffff;
  const last = <u32>(ends >> 40);
  const c = inside(a, b, a + <u32>(crossing(<u32>ends & 255, <u32>(ends >> 32) & 255) * <f32>(b - a)));
  const d = min(c + 1, b - 1);
  const found = searchTwo(lattice, shift, run, c, d);
  const atC = <u32>(found >> 8) & 0xffff;
  const atD = <u32>(found >> 40);
  if (first & last & atC & atD & UNIQUE_BIT) {
    let split: u32 = 0;
    if (atC == first && atD == last) split = d;
    else if (atD == first && d + 1 == b) split = b;
    else if (atC == last && c == a + 1) split = c;
    if (split) {
      store<u32>(run, split, SPLIT);
      return;
    }
  }
  const row = mixedEnd - (<usize>a << 1);
  mixedEnd += 48;
  store<u8>(run, SEVERAL, KIND);
  store<u32>(run, <u32>row, SPLIT);
  store<u16>(row + (<usize>a << 1), <u16>first);
  store<u16>(row + (<usize>b << 1), <u16>last);
  store<u16>(row + (<usize>c << 1), <u16>atC);
  store<u16>(row + (<usize>d << 1), <u16>atD);
  searchBetween(lattice, shift, run, row, a, c);
  searchBetween(lattice, shift, run, row, d, b);
}

/** The trial to search between a and b, at least one from a and two from b, where there are so many. */
// @ts-ignore: decorator
@inline
function inside(a: u32, b: u32, c: u32): u32 {
  return <u32>max<i32>(a + 1, min<i32>(c, b - 2));
}

/** Finds the winners of the trials between two that are done. */
function searchBetween(lattice: usize, shift: usize, run: usize, row: usize, a: u32, b: u32): void {
  if (b - a < 2) return;
  const won = load<u16>(row + (<usize>a << 1));
  if (won == load<u16>(row + (<usize>b << 1)) && (won & <u16>UNIQUE_BIT)) {
    for (let t = a + 1; t < b; t++) store<u16>(row + (<usize>t << 1), won);
    return;
  }
  const c = inside(a, b, (a + b) >> 1);
  const d = min(c + 1, b - 1);
  const found = searchTwo(lattice, shift, run, c, d);
  store<u16>(row + (<usize>c << 1), <u16>(found >> 8));
  store<u16>(row + (<usize>d << 1), <u16>(found >> 40));
  searchBetween(lattice, shift, run, row, a, c);
  searchBetween(lattice, shift, run, row, d, b);
}

/** Writes the winners of a run that was searched trial by trial, or does so now. */
function fillSeveral(lattice: usize, shift: usize, run: usize, row: usize): void {
  const a = <usize>load<u8>(run, FIRST_TRIAL);
  const b = <usize>load<u8>(run, LAST_TRIAL);
  if (load<u8>(run, KIND) == SEVERAL) {
    memory.copy(row + (a << 1), <usize>load<u32>(run, SPLIT) + (a << 1), (b - a + 1) << 1);
    return;
  }
  const group = <usize>load<u8>(run, GROUP);
  for (let t = a; t <= b; t++) store<u16>(row + (t << 1), exhaustTrial(lattice, group, group >> shift, <u32>t));
}

/**
 * The winner at one scale that was fitted, with ON_GRID_BIT or without; or NONE.
 * @param span as in `addGroups`
 */
export function searchFitted(
  lattice: usize,
  group: usize,
  sub: usize,
  inverse: f32,
  scale: f32,
  trials: u32,
  span: f32,
): u32 {
  const inverses = INVERSES + sub * TRIALS_BYTES;
  let highest: f32 = 0;
  if (!load<u8>(group, EXHAUSTED)) {
    // Between two trials of a run that a unique candidate wins it wins as well.
    const t = <i32>floor<f32>((inverse * span - <f32>5) * <f32>10) + <i32>(trials >> 1);
    if (t >= 0 && t < <i32>trials - 1) {
      const at = inverses + (<usize>t << 2);
      const row = WINNERS + group * WINNERS_BYTES + (<usize>t << 1);
      const won = <u32>load<u16>(row);
      if (
        load<f32>(at) <= inverse &&
        inverse <= load<f32>(at, 4) &&
        won & UNIQUE_BIT &&
        won == <u32>load<u16>(row, 2) &&
        !((load<u32>(group << 2, BREAKS) >> (t + 1)) & 1)
      )
        return won & ~UNIQUE_BIT;
    }
    highest = highestOf(sub, trials);
  }
  const x = group << 5;
  const splat = f32x4.splat(inverse);
  const two = f32x4.splat(2);
  const four = f32x4.splat(4);
  const y0 = f32x4.mul(splat, v128.load(x, X));
  const y1 = f32x4.mul(splat, v128.load(x, X + 16));
  const far = f32x4.splat(FAR);
  const beyond = v128.or(f32x4.gt(f32x4.abs(y0), far), f32x4.gt(f32x4.abs(y1), far));
  if (v128.any_true(beyond) || !(inverse <= highest || fixGroup(group, x, inverse)))
    return nearestOfAll(lattice, x, inverse, scale);
  const mask = signs(f32x4.gt(y0, two), f32x4.gt(y1, two), f32x4.ge(y0, four), f32x4.ge(y1, four));
  const place = load<u32>(lattice + (<usize>numberOf(mask) << 2), NEAREST);
  if (place & ON_GRID) return (place & 0xffff) | ON_GRID_BIT;
  if (shellsOf(lattice) > 1 && hasClose(FIXED + group * FIXED_BYTES, inverse, inverse))
    return nearestOfAll(lattice, x, inverse, scale);
  makeTables(FIXED + group * FIXED_BYTES, inverse, FITTED);
  const list = listAt(lattice, place);
  lookUp(list, list + LIST_BLOCK * <usize>(((place & 255) + 15) >> 4), FITTED, FITTED);
  return <u32>(compareTwo(lattice, place, x, 0, 0, scale, scale) >> 8) & 0xffff & ~UNIQUE_BIT;
}
