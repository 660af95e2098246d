// IQ1_M: 256 weights in sixteen sub-blocks of 16 with a scale of 1, 3 … 15 each, a shift for every eight weights, one
// half for all.
//
//   byte 0 … 31      low 8 bits of the entry of every eight weights
//   byte 32 … 47     sub-block j: two nibbles of high 3 bits of an entry | shift is −1⁄8 << 3
//   byte 48 … 55     four u16 of (scale − 1) ⁄ 2 of four sub-blocks, 3 bits each, and a nibble of the scale of the
//                    scales (half), the lowest first
import { decodeHalf, encodeHalf, nearestInts } from "@fewbit/assembly";
import { BEST, I1, I2, IQ1_END, PICKED, Q, RANKS, SCALE, SHIFTS, VALID, W, X, encodeInFours, largest, pickEntries, rank } from "./iq1";
import { LIMIT, SPLITS, boundOfHalves } from "./iq1-bound";
import { decodeEntry, expandCodebook } from "./iq1-codebook";

const HIGH: usize = 256 / 8;
const SCALES: usize = HIGH + 256 / 16;
const BYTES: u32 = 32 + 16 + 8;

const SIZE: usize = 16 * 16;
/** Below this a sub-block counts as all zero. */
const TINY: f32 = 1e-7;

// Sorted elements times their weights, and their weights: those of either half, zero in place of the other's. One
// record of four vectors each.
const SORTED: usize = IQ1_END;
const SORTED_SIZE: usize = 16 * 64;
// For i = 0 … 16, sums over the first i sorted elements: X of those in either half (0, 1); what their W means for Σ wq²
// with a shift of 1⁄8 (P) or −1⁄8 (M) if i is i1 (FIRST, which includes what is fixed) or i2 (SECOND); X of both halves,
// and SECOND by pairs of shifts, times the limit. One record each.
const SUMS: usize = SORTED + SORTED_SIZE;
const X0: usize = SUMS;
const X1: usize = SUMS + 16;
const W0: usize = SUMS + 32;
const W1: usize = SUMS + 48;
const FIRST: usize = SUMS + 64; // P0, M0, P1, M1
const SECOND: usize = SUMS + 128;
const BOTH: usize = SUMS + 192;
const PP: usize = SUMS + 208;
const PM: usize = SUMS + 224;
const MP: usize = SUMS + 240;
const MM: usize = SUMS + 256;
const RECORD: usize = 272;
const LAST: usize = 16 * RECORD;
/** Σ wxq of either half with either shift, if all elements had level 2: P0, M0, P1, M1. */
const ALL_X: usize = SUMS + LAST + RECORD;
/** Per sub-block: scale, then its level; two shifts, two entries. */
const FOUND: usize = ALL_X + 64;
const FOUND_SHIFTS: usize = 16;
const FOUND_ENTRIES: usize = 48;
const FOUND_SIZE: usize = 48 + 32;

export function iq1_m_encode(source: usize, target: usize, rows: u32, columns: u32): void {
  expandCodebook();
  encodeInFours(encodeFour, source, target, rows, columns, BYTES, 0);
}

export function iq1_m_encode_weighted(source: usize, target: usize, rows: u32, columns: u32, importance: usize): void {
  expandCodebook();
  encodeInFours(encodeFour, source, target, rows, columns, BYTES, importance);
}

function encodeFour(target: usize): void {
  if (!v128.any_true(f32x4.ge(largest(X, 256 * 16), f32x4.splat(TINY)))) {
    memory.fill(target, 0, 4 * BYTES);
    return;
  }
  let most = f32x4.splat(0);
  for (let j: usize = 0; j < 16; j++) {
    const at = j * SIZE;
    let valid = f32x4.ge(largest(X + at, SIZE), f32x4.splat(TINY));
    if (v128.any_true(valid)) {
      rank(X + at, SIZE);
      sort(at);
      findSplit(at);
      valid = v128.and(valid, i32x4.ne(v128.load(0, I1), i32x4.splat(-1)));
    }
    for (let g: usize = 0; g < 32; g += 16)
      v128.store(g, v128.bitselect(v128.load(g, SHIFTS), f32x4.splat(0.125), valid), SHIFTS);
    v128.store(0, valid, VALID);
    pickEntries(at, SIZE);
    const record = FOUND + j * FOUND_SIZE;
    const scale = v128.load(0, SCALE);
    v128.store(record, scale);
    for (let g: usize = 0; g < 32; g += 16) {
      v128.store(record + g, v128.load(g, SHIFTS), FOUND_SHIFTS);
      v128.store(record + g, v128.load(g, PICKED), FOUND_ENTRIES);
    }
    most = f32x4.pmax(most, scale);
  }
  pack(target, most);
}

/** Puts elements and weights in order and sums them. */
function sort(at: usize): void {
  memory.fill(SORTED, 0, SORTED_SIZE);
  for (let i: usize = 0; i < SIZE; i += 16) {
    const half = i < SIZE / 2 ? SORTED : SORTED + 16;
    const w = v128.load(at + i, W);
    const wx = f32x4.mul(w, v128.load(at + i, X));
    const place = i32x4.shl(v128.load(i, RANKS), 6);
    const a = half + <usize>i32x4.extract_lane(place, 0);
    const b = half + <usize>i32x4.extract_lane(place, 1);
    const c = half + <usize>i32x4.extract_lane(place, 2);
    const d = half + <usize>i32x4.extract_lane(place, 3);
    v128.store_lane<f32>(a, wx, 0);
    v128.store_lane<f32>(b, wx, 1, 4);
    v128.store_lane<f32>(c, wx, 2, 8);
    v128.store_lane<f32>(d, wx, 3, 12);
    v128.store_lane<f32>(a, w, 0, 32);
    v128.store_lane<f32>(b, w, 1, 36);
    v128.store_lane<f32>(c, w, 2, 40);
    v128.store_lane<f32>(d, w, 3, 44);
  }
  let x0 = f32x4.splat(0);
  let x1 = x0;
  let w0 = x0;
  let w1 = x0;
  for (let i: usize = 0; ; i++) {
    const record = i * RECORD;
    v128.store(record, x0, X0);
    v128.store(record, x1, X1);
    v128.store(record, w0, W0);
    v128.store(record, w1, W1);
    if (i == 16) break;
    const sorted = SORTED + i * 64;
    x0 = f32x4.add(x0, v128.load(sorted));
    x1 = f32x4.add(x1, v128.load(sorted, 16));
    w0 = f32x4.add(w0, v128.load(sorted, 32));
    w1 = f32x4.add(w1, v128.load(sorted, 48));
  }
}

/** The best of 153 splits with four pairs of shifts: SCALE, I1, I2 and two of SHIFTS. */
function findSplit(at: usize): void {
  v128.store(0, i32x4.splat(-1), I1);
  v128.store(0, i32x4.splat(-1), I2);
  prepare();
  if (boundOfHalves(at, SIZE, TINY)) {
    v128.store(0, v128.load(0, LIMIT), BEST);
    for (let split = SPLITS, end = selectSplits(); split < end; split += 4)
      compare(load<u16>(split), load<u16>(split, 2));
  } else {
    v128.store(0, f32x4.splat(-f32.MAX_VALUE), BEST);
    for (let a: usize = 0; a <= LAST; a += RECORD) for (let b = a; b <= LAST; b += RECORD) compare(a, b);
  }
}

/**
 * Levels differ by 1, their squares by 3⁄4 and 5⁄4 or the other way round: Σ wxq of a half follows from its total and
 * the sums over the first i1 and i2, and so does Σ wq².
 */
function prepare(): void {
  const high = f32x4.splat(1.125);
  const low = f32x4.splat(0.875);
  const x0 = v128.load(LAST, X0);
  const x1 = v128.load(LAST, X1);
  v128.store(0, f32x4.mul(x0, high), ALL_X);
  v128.store(0, f32x4.mul(x0, low), ALL_X + 16);
  v128.store(0, f32x4.mul(x1, high), ALL_X + 32);
  v128.store(0, f32x4.mul(x1, low), ALL_X + 48);
  const plus0 = f32x4.mul(f32x4.mul(v128.load(LAST, W0), high), high);
  const minus0 = f32x4.mul(f32x4.mul(v128.load(LAST, W0), low), low);
  const plus1 = f32x4.mul(f32x4.mul(v128.load(LAST, W1), high), high);
  const minus1 = f32x4.mul(f32x4.mul(v128.load(LAST, W1), low), low);
  const five = f32x4.splat(1.25);
  const three = f32x4.splat(0.75);
  for (let i: usize = 0; i <= LAST; i += RECORD) {
    const w0 = v128.load(i, W0);
    const w1 = v128.load(i, W1);
    const five0 = f32x4.mul(w0, five);
    const three0 = f32x4.mul(w0, three);
    const five1 = f32x4.mul(w1, five);
    const three1 = f32x4.mul(w1, three);
    v128.store(i, f32x4.add(plus0, three0), FIRST);
    v128.store(i, f32x4.add(minus0, five0), FIRST + 16);
    v128.store(i, f32x4.add(plus1, three1), FIRST + 32);
    v128.store(i, f32x4.add(minus1, five1), FIRST + 48);
    v128.store(i, f32x4.neg(five0), SECOND);
    v128.store(i, f32x4.neg(three0), SECOND + 16);
    v128.store(i, f32x4.neg(five1), SECOND + 32);
    v128.store(i, f32x4.neg(three1), SECOND + 48);
  }
}

/** Writes to SPLITS those that may be the best: see iq1-bound.ts. Returns the end. */
function selectSplits(): usize {
  const limit = v128.load(0, LIMIT);
  for (let i: usize = 0; i <= LAST; i += RECORD) {
    const plus0 = v128.load(i, SECOND);
    const minus0 = v128.load(i, SECOND + 16);
    const plus1 = v128.load(i, SECOND + 32);
    const minus1 = v128.load(i, SECOND + 48);
    v128.store(i, f32x4.add(v128.load(i, X0), v128.load(i, X1)), BOTH);
    v128.store(i, f32x4.mul(limit, f32x4.add(plus0, plus1)), PP);
    v128.store(i, f32x4.mul(limit, f32x4.add(plus0, minus1)), PM);
    v128.store(i, f32x4.mul(limit, f32x4.add(minus0, plus1)), MP);
    v128.store(i, f32x4.mul(limit, f32x4.add(minus0, minus1)), MM);
  }
  let end = SPLITS;
  for (let a: usize = 0; a <= LAST; a += RECORD) end = selectFrom(a, end);
  return end;
}

function selectFrom(a: usize, end: usize): usize {
  const taken = v128.load(a, BOTH);
  const qxP0 = f32x4.sub(v128.load(0, ALL_X), taken);
  const qxM0 = f32x4.sub(v128.load(0, ALL_X + 16), taken);
  const qxPP = f32x4.add(qxP0, v128.load(0, ALL_X + 32));
  const qxPM = f32x4.add(qxP0, v128.load(0, ALL_X + 48));
  const qxMP = f32x4.add(qxM0, v128.load(0, ALL_X + 32));
  const qxMM = f32x4.add(qxM0, v128.load(0, ALL_X + 48));
  const limit = v128.load(0, LIMIT);
  const q2P0 = v128.load(a, FIRST);
  const q2M0 = v128.load(a, FIRST + 16);
  const q2P1 = v128.load(a, FIRST + 32);
  const q2M1 = v128.load(a, FIRST + 48);
  const q2PP = f32x4.mul(limit, f32x4.add(q2P0, q2P1));
  const q2PM = f32x4.mul(limit, f32x4.add(q2P0, q2M1));
  const q2MP = f32x4.mul(limit, f32x4.add(q2M0, q2P1));
  const q2MM = f32x4.mul(limit, f32x4.add(q2M0, q2M1));
  for (let b = a; b <= LAST; b += RECORD) {
    const taken = v128.load(b, BOTH);
    const pp = f32x4.sub(qxPP, taken);
    let better = f32x4.gt(f32x4.mul(pp, pp), f32x4.add(q2PP, v128.load(b, PP)));
    const pm = f32x4.sub(qxPM, taken);
    better = v128.or(better, f32x4.gt(f32x4.mul(pm, pm), f32x4.add(q2PM, v128.load(b, PM))));
    const mp = f32x4.sub(qxMP, taken);
    better = v128.or(better, f32x4.gt(f32x4.mul(mp, mp), f32x4.add(q2MP, v128.load(b, MP))));
    const mm = f32x4.sub(qxMM, taken);
    better = v128.or(better, f32x4.gt(f32x4.mul(mm, mm), f32x4.add(q2MM, v128.load(b, MM))));
    store<u32>(end, <u32>a | (<u32>b << 16));
    end += <usize>v128.any_true(better) << 2;
  }
  return end;
}

/** Keeps the split if it is better than what was kept before, as llama.cpp computes it. */
function compare(a: usize, b: usize): void {
  const taken0 = f32x4.add(v128.load(a, X0), v128.load(b, X0));
  const taken1 = f32x4.add(v128.load(a, X1), v128.load(b, X1));
  const qxP0 = f32x4.sub(v128.load(0, ALL_X), taken0);
  const qxM0 = f32x4.sub(v128.load(0, ALL_X + 16), taken0);
  const qxP1 = f32x4.sub(v128.load(0, ALL_X + 32), taken1);
  const qxM1 = f32x4.sub(v128.load(0, ALL_X + 48), taken1);
  const q2P0 = f32x4.add(v128.load(a, FIRST), v128.load(b, SECOND));
  const q2M0 = f32x4.add(v128.load(a, FIRST + 16), v128.load(b, SECOND + 16));
  const q2P1 = f32x4.add(v128.load(a, FIRST + 32), v128.load(b, SECOND + 32));
  const q2M1 = f32x4.add(v128.load(a, FIRST + 48), v128.load(b, SECOND + 48));
  const best = v128.load(0, BEST);
  const any = v128.or(
    v128.or(
      exceeds(f32x4.add(qxP0, qxP1), f32x4.add(q2P0, q2P1), best),
      exceeds(f32x4.add(qxP0, qxM1), f32x4.add(q2P0, q2M1), best),
    ),
    v128.or(
      exceeds(f32x4.add(qxM0, qxP1), f32x4.add(q2M0, q2P1), best),
      exceeds(f32x4.add(qxM0, qxM1), f32x4.add(q2M0, q2M1), best),
    ),
  );
  if (!v128.any_true(any)) return;
  keepBetter(f32x4.add(qxP0, qxP1), f32x4.add(q2P0, q2P1), a, b, 0.125, 0.125);
  keepBetter(f32x4.add(qxP0, qxM1), f32x4.add(q2P0, q2M1), a, b, 0.125, -0.125);
  keepBetter(f32x4.add(qxM0, qxP1), f32x4.add(q2M0, q2P1), a, b, -0.125, 0.125);
  keepBetter(f32x4.add(qxM0, qxM1), f32x4.add(q2M0, q2M1), a, b, -0.125, -0.125);
}

// @ts-ignore: decorator
@inline
function exceeds(qx: v128, q2: v128, best: v128): v128 {
  return f32x4.gt(f32x4.mul(qx, qx), f32x4.mul(best, q2));
}

// @ts-ignore: decorator
@inline
function keepBetter(qx: v128, q2: v128, a: usize, b: usize, shift0: f32, shift1: f32): void {
  const best = v128.load(0, BEST);
  const better = v128.and(exceeds(qx, q2, best), f32x4.gt(q2, f32x4.splat(0)));
  if (!v128.any_true(better)) return;
  const scale = f32x4.div(qx, q2);
  v128.store(0, v128.bitselect(f32x4.mul(scale, qx), best, better), BEST);
  v128.store(0, v128.bitselect(scale, v128.load(0, SCALE), better), SCALE);
  v128.store(0, v128.bitselect(i32x4.splat(<i32>(a / RECORD)), v128.load(0, I1), better), I1);
  v128.store(0, v128.bitselect(i32x4.splat(<i32>(b / RECORD)), v128.load(0, I2), better), I2);
  v128.store(0, v128.bitselect(f32x4.splat(shift0), v128.load(0, SHIFTS), better), SHIFTS);
  v128.store(0, v128.bitselect(f32x4.splat(shift1), v128.load(0, SHIFTS + 16), better), SHIFTS + 16);
}

/** Quantizes the scales, fits the scale of all anew and writes four super-blocks. `most`: the largest scale of each. */
function pack(target: usize, most: v128): void {
  let factor = f32x4.div(most, f32x4.splat(15));
  const inverse = f32x4.div(f32x4.splat(1), factor);
  const filled = f32x4.ne(most, f32x4.splat(0));
  let qx = f32x4.splat(0);
  let q2 = qx;
  let at: usize = 0;
  for (let record = FOUND; record < FOUND + 16 * FOUND_SIZE; record += FOUND_SIZE) {
    const wanted = f32x4.mul(f32x4.splat(0.5), f32x4.sub(f32x4.mul(inverse, v128.load(record)), f32x4.splat(1)));
    const level = i32x4.max_s(i32x4.splat(0), i32x4.min_s(i32x4.splat(7), nearestInts(wanted)));
    v128.store(record, v128.and(level, filled));
    const scale = f32x4.convert_i32x4_s(i32x4.add(i32x4.add(level, level), i32x4.splat(1)));
    for (const end = at + SIZE; at < end; at += 16) {
      const q = f32x4.mul(v128.load(at, Q), scale);
      const wq = f32x4.mul(v128.load(at, W), q);
      qx = f32x4.add(qx, f32x4.mul(wq, v128.load(at, X)));
      q2 = f32x4.add(q2, f32x4.mul(wq, q));
    }
  }
  factor = v128.bitselect(f32x4.div(qx, q2), factor, f32x4.gt(q2, f32x4.splat(0)));
  v128.store(0, v128.and(f32x4.mul(factor, f32x4.splat(1.1125)), filled), BEST);
  v128.store(0, filled, I1);
  for (let lane: usize = 0; lane < 16; lane += 4, target += BYTES) {
    const half: u32 = encodeHalf(load<f32>(lane, BEST));
    const signs = load<u32>(lane, I1) & 0x88;
    let record = FOUND + lane;
    let scales: u32 = 0;
    for (let j: usize = 0; j < 16; j++, record += FOUND_SIZE) {
      const a = load<u32>(record, FOUND_ENTRIES);
      const b = load<u32>(record, FOUND_ENTRIES + 16);
      store<u16>(target + 2 * j, <u16>((a & 255) | (b << 8)));
      const shifts = (load<u32>(record, FOUND_SHIFTS) >> 31 << 3) | (load<u32>(record, FOUND_SHIFTS + 16) >> 31 << 7);
      store<u8>(target + j, <u8>((a >> 8) | ((b >> 8) << 4) | (shifts & signs)), HIGH);
      const place = <u32>j & 3;
      scales |= load<u32>(record) << (3 * place);
      if (place == 3) {
        scales |= ((half >> (4 * (<u32>j >> 2))) & 15) << 12;
        store<u16>(target + (j >> 2 << 1), <u16>scales, SCALES);
        scales = 0;
      }
    }
  }
}

/** The scale of the scales. */
// @ts-ignore: decorator
@inline
function halfOf(source: usize): u32 {
  const scales = load<u64>(source, SCALES);
  return (
    (<u32>(scales >> 12) & 0x000f) |
    (<u32>(scales >> 24) & 0x00f0) |
    (<u32>(scales >> 36) & 0x0f00) |
    (<u32>(scales >> 48) & 0xf000)
  );
}

/** The first block whose scale is NaN or infinite, or −1. */
export function iq1_m_invalid(source: usize, blocks: u32): i32 {
  for (let block: u32 = 0; block < blocks; block++, source += BYTES)
    if ((halfOf(source) & 0x7c00) == 0x7c00) return block;
  return -1;
}

export function iq1_m_decode(source: usize, target: usize, blocks: u32): void {
  expandCodebook();
  for (; blocks > 0; blocks--, source += BYTES) {
    const factor = decodeHalf(<u16>halfOf(source));
    for (let j: usize = 0; j < 16; j++, target += 64) {
      const scales: u32 = load<u16>(source + (j >> 2 << 1), SCALES);
      const scale = f32x4.splat(factor * <f32>(((scales >> (3 * (<u32>j & 3))) & 7) * 2 + 1));
      const low: u32 = load<u16>(source + 2 * j);
      const high: u32 = load<u8>(source + j, HIGH);
      const shift0 = f32x4.splat(high & 0x08 ? -0.125 : 0.125);
      const shift1 = f32x4.splat(high & 0x80 ? -0.125 : 0.125);
      decodeEntry((low & 255) | ((high << 8) & 0x700), target, scale, shift0);
      decodeEntry((low >> 8) | ((high << 4) & 0x700), target + 32, scale, shift1);
    }
  }
}
