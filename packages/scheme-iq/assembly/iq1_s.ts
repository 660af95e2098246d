// IQ1_S: 256 weights in eight sub-blocks of 32 with a scale of 1, 3 … 15 and a shift each, one half for all.
//
//   byte 0 … 1       scale of the scales (half)
//   byte 2 … 33      low 8 bits of the entry of every eight weights
//   byte 34 … 49     sub-block j, u16: high 3 bits of its four entries | (scale − 1) ⁄ 2 << 12 | shift is −1⁄8 << 15
import { decodeHalf, encodeHalf, nearestInts } from "@fewbit/assembly";
import { BEST, I1, I2, IQ1_END, PICKED, RANKS, SCALE, SHIFTS, VALID, W, X, encodeInFours, largest, pickEntries, rank } from "./iq1";
import { LIMIT, SPLITS, boundOfWhole } from "./iq1-bound";
import { decodeEntry, expandCodebook } from "./iq1-codebook";

const ENTRIES: usize = 2;
const HIGH: usize = ENTRIES + 256 / 8;
const BYTES: u32 = 2 + 32 + 16;

const SIZE: usize = 32 * 16;
/** Below this a sub-block counts as all zero. */
const TINY: f32 = 1e-12;

/** Sorted elements times their weights, and their weights. */
const SORTED_X: usize = IQ1_END;
const SORTED_W: usize = SORTED_X + SIZE;
/** For i = 0 … 32, sums over the first i sorted elements: X, W, then what W means for Σ wq², times the limit. */
const SUMS: usize = SORTED_W + SIZE;
const SUM_X: usize = SUMS;
const SUM_W: usize = SUMS + 16;
const PLUS: usize = SUMS + 32;
const MINUS: usize = SUMS + 48;
const RECORD: usize = 64;
const LAST: usize = 32 * RECORD;
/** Per sub-block: scale, shift, four entries. */
const FOUND: usize = SUMS + LAST + RECORD;
const FOUND_SHIFT: usize = 16;
const FOUND_ENTRIES: usize = 32;
const FOUND_SIZE: usize = 32 + 64;

export function iq1_s_encode_weighted(source: usize, target: usize, rows: u32, columns: u32, importance: usize): void {
  expandCodebook();
  encodeInFours(encodeFour, source, target, rows, columns, BYTES, importance);
}

function encodeFour(target: usize): void {
  if (!v128.any_true(f32x4.ge(largest(X, 256 * 16), f32x4.splat(TINY)))) {
    memory.fill(target, 0, 4 * BYTES);
    return;
  }
  let most = f32x4.splat(0);
  for (let j: usize = 0; j < 8; j++) {
    const at = j * SIZE;
    let valid = f32x4.ge(largest(X + at, SIZE), f32x4.splat(TINY));
    if (v128.any_true(valid)) {
      rank(X + at, SIZE);
      sort(at);
      findSplit(at);
      valid = v128.and(valid, i32x4.ne(v128.load(0, I1), i32x4.splat(-1)));
    }
    const shift = v128.bitselect(v128.load(0, SHIFTS), f32x4.splat(0.125), valid);
    for (let g: usize = 0; g < 64; g += 16) v128.store(g, shift, SHIFTS);
    v128.store(0, valid, VALID);
    pickEntries(at, SIZE);
    const record = FOUND + j * FOUND_SIZE;
    const scale = v128.load(0, SCALE);
    v128.store(record, scale);
    v128.store(record, v128.load(0, SHIFTS), FOUND_SHIFT);
    for (let g: usize = 0; g < 64; g += 16) v128.store(record + g, v128.load(g, PICKED), FOUND_ENTRIES);
    most = f32x4.pmax(most, scale);
  }
  pack(target, most);
}

/** Puts elements and weights in order and sums them. */
function sort(at: usize): void {
  for (let i: usize = 0; i < SIZE; i += 16) {
    const x = v128.load(at + i, X);
    const w = v128.load(at + i, W);
    const wx = f32x4.mul(w, x);
    const place = i32x4.shl(v128.load(i, RANKS), 4);
    const a = <usize>i32x4.extract_lane(place, 0);
    const b = <usize>i32x4.extract_lane(place, 1);
    const c = <usize>i32x4.extract_lane(place, 2);
    const d = <usize>i32x4.extract_lane(place, 3);
    v128.store_lane<f32>(a, wx, 0, SORTED_X);
    v128.store_lane<f32>(b, wx, 1, SORTED_X + 4);
    v128.store_lane<f32>(c, wx, 2, SORTED_X + 8);
    v128.store_lane<f32>(d, wx, 3, SORTED_X + 12);
    v128.store_lane<f32>(a, w, 0, SORTED_W);
    v128.store_lane<f32>(b, w, 1, SORTED_W + 4);
    v128.store_lane<f32>(c, w, 2, SORTED_W + 8);
    v128.store_lane<f32>(d, w, 3, SORTED_W + 12);
  }
  let x = f32x4.splat(0);
  let w = x;
  let record: usize = 0;
  for (let i: usize = 0; i < SIZE; i += 16, record += RECORD) {
    v128.store(record, x, SUM_X);
    v128.store(record, w, SUM_W);
    x = f32x4.add(x, v128.load(i, SORTED_X));
    w = f32x4.add(w, v128.load(i, SORTED_W));
  }
  v128.store(record, x, SUM_X);
  v128.store(record, w, SUM_W);
}

/** The best of 561 splits with either shift: SCALE, I1, I2 and the first of SHIFTS. */
function findSplit(at: usize): void {
  v128.store(0, i32x4.splat(-1), I1);
  v128.store(0, i32x4.splat(-1), I2);
  if (boundOfWhole(at, SIZE, TINY)) {
    v128.store(0, v128.load(0, LIMIT), BEST);
    for (let split = SPLITS, end = selectSplits(); split < end; split += 4)
      compare(load<u16>(split), load<u16>(split, 2));
  } else {
    v128.store(0, f32x4.splat(-f32.MAX_VALUE), BEST);
    for (let a: usize = 0; a <= LAST; a += RECORD) for (let b = a; b <= LAST; b += RECORD) compare(a, b);
  }
}

/**
 * Writes to SPLITS those that may be the best: see iq1-bound.ts. Levels differ by 1, their squares by 3⁄4 and 5⁄4 or
 * the other way round. Returns the end.
 */
function selectSplits(): usize {
  const limit = v128.load(0, LIMIT);
  const plus = f32x4.splat(-1.25);
  const minus = f32x4.splat(-0.75);
  for (let a: usize = 0; a <= LAST; a += RECORD) {
    const w = f32x4.mul(limit, v128.load(a, SUM_W));
    v128.store(a, f32x4.mul(w, plus), PLUS);
    v128.store(a, f32x4.mul(w, minus), MINUS);
  }
  const x = v128.load(LAST, SUM_X);
  const w = f32x4.mul(limit, v128.load(LAST, SUM_W));
  const plusX = f32x4.mul(x, f32x4.splat(1.125));
  const minusX = f32x4.mul(x, f32x4.splat(0.875));
  const plusW = f32x4.mul(w, f32x4.splat(1.125 * 1.125));
  const minusW = f32x4.mul(w, f32x4.splat(0.875 * 0.875));
  let end = SPLITS;
  for (let a: usize = 0; a <= LAST; a += RECORD) {
    const x1 = v128.load(a, SUM_X);
    const w1 = f32x4.mul(limit, v128.load(a, SUM_W));
    const qxP = f32x4.sub(plusX, x1);
    const qxM = f32x4.sub(minusX, x1);
    const q2P = f32x4.add(plusW, f32x4.mul(w1, f32x4.splat(0.75)));
    const q2M = f32x4.add(minusW, f32x4.mul(w1, f32x4.splat(1.25)));
    for (let b = a; b <= LAST; b += RECORD) {
      const x2 = v128.load(b, SUM_X);
      const p = f32x4.sub(qxP, x2);
      const m = f32x4.sub(qxM, x2);
      const better = v128.or(
        f32x4.gt(f32x4.mul(p, p), f32x4.add(q2P, v128.load(b, PLUS))),
        f32x4.gt(f32x4.mul(m, m), f32x4.add(q2M, v128.load(b, MINUS))),
      );
      store<u32>(end, <u32>a | (<u32>b << 16));
      end += <usize>v128.any_true(better) << 2;
    }
  }
  return end;
}

/** Keeps the split if it is better than what was kept before, as llama.cpp computes it. */
function compare(a: usize, b: usize): void {
  const x1 = v128.load(a, SUM_X);
  const w1 = v128.load(a, SUM_W);
  const x2 = v128.load(b, SUM_X);
  const w2 = v128.load(b, SUM_W);
  const eighth = f32x4.splat(0.125);
  const middleX = f32x4.mul(f32x4.sub(x2, x1), eighth);
  const middleW = f32x4.mul(f32x4.mul(f32x4.sub(w2, w1), eighth), eighth);
  const restX = f32x4.sub(v128.load(LAST, SUM_X), x2);
  const restW = f32x4.sub(v128.load(LAST, SUM_W), w2);
  const high = f32x4.splat(1.125);
  const low = f32x4.splat(0.875);
  keepBetter(
    f32x4.add(f32x4.sub(middleX, f32x4.mul(x1, low)), f32x4.mul(restX, high)),
    f32x4.add(f32x4.add(f32x4.mul(f32x4.mul(w1, low), low), middleW), f32x4.mul(f32x4.mul(restW, high), high)),
    a,
    b,
    0.125,
  );
  keepBetter(
    f32x4.sub(f32x4.mul(restX, low), f32x4.add(f32x4.mul(x1, high), middleX)),
    f32x4.add(f32x4.add(f32x4.mul(f32x4.mul(w1, high), high), middleW), f32x4.mul(f32x4.mul(restW, low), low)),
    a,
    b,
    -0.125,
  );
}

// @ts-ignore: decorator
@inline
function keepBetter(qx: v128, q2: v128, a: usize, b: usize, shift: f32): void {
  const best = v128.load(0, BEST);
  const better = v128.and(f32x4.gt(f32x4.mul(qx, qx), f32x4.mul(best, q2)), f32x4.gt(q2, f32x4.splat(0)));
  if (!v128.any_true(better)) return;
  const scale = f32x4.div(qx, q2);
  v128.store(0, v128.bitselect(f32x4.mul(scale, qx), best, better), BEST);
  v128.store(0, v128.bitselect(scale, v128.load(0, SCALE), better), SCALE);
  v128.store(0, v128.bitselect(i32x4.splat(<i32>(a / RECORD)), v128.load(0, I1), better), I1);
  v128.store(0, v128.bitselect(i32x4.splat(<i32>(b / RECORD)), v128.load(0, I2), better), I2);
  v128.store(0, v128.bitselect(f32x4.splat(shift), v128.load(0, SHIFTS), better), SHIFTS);
}

/** Quantizes the scales and writes four super-blocks. `most`: the largest scale of each. */
function pack(target: usize, most: v128): void {
  const factor = f32x4.div(most, f32x4.splat(15));
  const inverse = f32x4.div(f32x4.splat(1), factor);
  const filled = f32x4.ne(most, f32x4.splat(0));
  v128.store(0, f32x4.mul(factor, f32x4.splat(1.125)), BEST);
  for (let record = FOUND; record < FOUND + 8 * FOUND_SIZE; record += FOUND_SIZE) {
    const wanted = f32x4.mul(f32x4.splat(0.5), f32x4.sub(f32x4.mul(inverse, v128.load(record)), f32x4.splat(1)));
    const level = i32x4.max_s(i32x4.splat(0), i32x4.min_s(i32x4.splat(7), nearestInts(wanted)));
    const sign = v128.and(i32x4.shr_u(v128.load(record, FOUND_SHIFT), 28), i32x4.splat(8));
    v128.store(record, v128.and(v128.or(level, sign), filled));
  }
  for (let lane: usize = 0; lane < 16; lane += 4, target += BYTES) {
    store<u16>(target, encodeHalf(load<f32>(lane, BEST)));
    let record = FOUND + lane;
    for (let j: usize = 0; j < 8; j++, record += FOUND_SIZE) {
      const a = load<u32>(record, FOUND_ENTRIES);
      const b = load<u32>(record, FOUND_ENTRIES + 16);
      const c = load<u32>(record, FOUND_ENTRIES + 32);
      const d = load<u32>(record, FOUND_ENTRIES + 48);
      store<u32>(target + 4 * j, (a & 255) | ((b & 255) << 8) | ((c & 255) << 16) | (d << 24), ENTRIES);
      const high = (a >> 8) | ((b >> 8) << 3) | ((c >> 8) << 6) | ((d >> 8) << 9) | (load<u32>(record) << 12);
      store<u16>(target + 2 * j, <u16>high, HIGH);
    }
  }
}

export function iq1_s_decode(source: usize, target: usize, blocks: u32): void {
  expandCodebook();
  for (; blocks > 0; blocks--, source += BYTES) {
    const factor = decodeHalf(load<u16>(source));
    for (let j: usize = 0; j < 8; j++, target += 128) {
      const high: u32 = load<u16>(source + 2 * j, HIGH);
      const scale = f32x4.splat(factor * <f32>(((high >> 12) & 7) * 2 + 1));
      const shift = f32x4.splat(high & 0x8000 ? -0.125 : 0.125);
      const low = load<u32>(source + 4 * j, ENTRIES);
      decodeEntry((low & 255) | ((high << 8) & 0x700), target, scale, shift);
      decodeEntry(((low >> 8) & 255) | ((high << 5) & 0x700), target + 32, scale, shift);
      decodeEntry(((low >> 16) & 255) | ((high << 2) & 0x700), target + 64, scale, shift);
      decodeEntry((low >> 24) | ((high >> 1) & 0x700), target + 96, scale, shift);
    }
  }
}
