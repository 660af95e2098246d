// Which trial fits best, and with what scale: sums over the elements of a sub-block, each in its order.
import { ROWS } from "./two-bit-lattice";
import { largestLane } from "./two-bit-magnitudes";
import { DISTINCT, FIRSTS, KEYS, SUMS_QQ, SUMS_QX, W, WINNERS, WINNERS_BYTES, WX } from "./two-bit-scratch";

const ENTRY: u32 = 0x3fff;

// @ts-ignore: decorator
@inline
function rowOf(lattice: usize, winners: usize): usize {
  return lattice + ((<usize>load<u16>(winners) & ENTRY) << 5) + ROWS;
}

/**
 * The combinations of winners of a sub-block's groups, of all trials that differ from the one before.
 * @param group its first
 * @param pair whether it has two groups, not four
 * @returns how many; DISTINCT repeats the last one to a multiple of four
 */
// @ts-ignore: decorator
@inline
function findDistinct(group: usize, pair: bool, trials: u32): usize {
  const rows = WINNERS + group * WINNERS_BYTES;
  const known = i16x8.splat(<i16>ENTRY);
  let changes: u32 = 1;
  for (let t: usize = 0; t < <usize>trials; t += 8) {
    const a = v128.and(v128.load(rows + 2 * t), known);
    const b = v128.and(v128.load(rows + 2 * t, WINNERS_BYTES), known);
    const low = v128.shuffle<i16>(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
    const high = v128.shuffle<i16>(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
    if (pair) {
      const keys = KEYS + 4 * t;
      v128.store(keys, low, 16);
      v128.store(keys, high, 32);
      changes |= i32x4.bitmask(i32x4.ne(low, v128.load(keys, 12))) << <u32>t;
      changes |= i32x4.bitmask(i32x4.ne(high, v128.load(keys, 28))) << <u32>(t + 4);
    } else {
      const c = v128.and(v128.load(rows + 2 * t, 2 * WINNERS_BYTES), known);
      const d = v128.and(v128.load(rows + 2 * t, 3 * WINNERS_BYTES), known);
      const low2 = v128.shuffle<i16>(c, d, 0, 8, 1, 9, 2, 10, 3, 11);
      const high2 = v128.shuffle<i16>(c, d, 4, 12, 5, 13, 6, 14, 7, 15);
      const keys = KEYS + 8 * t;
      v128.store(keys, v128.shuffle<i32>(low, low2, 0, 4, 1, 5), 16);
      v128.store(keys, v128.shuffle<i32>(low, low2, 2, 6, 3, 7), 32);
      v128.store(keys, v128.shuffle<i32>(high, high2, 0, 4, 1, 5), 48);
      v128.store(keys, v128.shuffle<i32>(high, high2, 2, 6, 3, 7), 64);
      for (let i: usize = 0; i < 8; i += 2)
        changes |= i64x2.bitmask(i64x2.ne(v128.load(keys + 8 * i, 16), v128.load(keys + 8 * i, 8))) << <u32>(t + i);
    }
  }
  let out = DISTINCT;
  let bits = (changes | 1) & ((1 << trials) - 1);
  let first: usize = 0;
  if (pair) {
    for (; bits; bits &= bits - 1, out += 4, first++) {
      const t = <usize>ctz(bits);
      store<u32>(out, load<u32>(KEYS + 16 + (t << 2)));
      store<u8>(first, <u8>t, FIRSTS);
    }
    store<u8>(first, <u8>trials, FIRSTS);
    v128.store(out, v128.load32_splat(out - 4));
    return (out - DISTINCT) >> 2;
  }
  for (; bits; bits &= bits - 1, out += 8) store<u64>(out, load<u64>(KEYS + 16 + (<usize>ctz(bits) << 3)));
  const last = v128.load64_splat(out - 8);
  v128.store(out, last);
  v128.store(out, last, 16);
  return (out - DISTINCT) >> 3;
}

/**
 * Finds the best trial of a sub-block of two or four groups: the first with the largest (Σ w x q)² / Σ w q q, as far as
 * single precision tells.
 * @returns its place in DISTINCT, SUMS_QX and SUMS_QQ, or -1 if no trial is any good
 */
// @ts-ignore: decorator
@inline
export function bestTrial(lattice: usize, group: usize, pair: bool, trials: u32): i32 {
  const count = findDistinct(group, pair, trials);
  const bytes: usize = pair ? 4 : 8;
  for (let i: usize = 0; i < count; i += 4)
    sumFour(lattice, group << 5, pair ? 2 : 4, bytes, DISTINCT + bytes * i, i << 2);
  // What is better by more than rounding can hide, 6 · 2⁻²⁴, needs no comparing in order, if nothing underflows.
  let largest = f32x4.splat(0);
  let sound = i32x4.splat(-1);
  for (let i: usize = 0; i < count << 2; i += 16) {
    const qx = v128.load(i, SUMS_QX);
    const qq = v128.load(i, SUMS_QQ);
    const gain = f32x4.mul(f32x4.div(qx, qq), qx);
    v128.store(i, gain, GAINS);
    largest = f32x4.pmax(largest, gain);
    const smallest = f32x4.pmin(f32x4.mul(qx, qx), gain);
    sound = v128.and(sound, v128.and(f32x4.gt(qq, f32x4.splat(0)), f32x4.gt(smallest, f32x4.splat(1e-30))));
    sound = v128.and(sound, f32x4.lt(f32x4.pmax(f32x4.mul(qx, qx), gain), f32x4.splat(1e30)));
  }
  const most = largestLane(largest);
  const limit = f32x4.splat(most - most * <f32>1e-6);
  let close: u32 = 0;
  for (let i: usize = 0; i < count; i += 4)
    close |= i32x4.bitmask(f32x4.ge(v128.load(i << 2, GAINS), limit)) << <u32>i;
  close &= (1 << <u32>count) - 1;
  if (popcnt(close) == 1 && i32x4.all_true(sound)) return <i32>ctz(close);
  return bestInOrder(count);
}

/**
 * Of a combination of two groups, the trial that llama.cpp takes of those that lead to it. They have equal sums, so that
 * the first counts, or, if rounding makes a combination better than itself, the last: they may differ in which groups
 * are on the grid.
 */
// @ts-ignore: decorator
@inline
export function trialOf(d: usize): usize {
  const qx = load<f32>(d << 2, SUMS_QX);
  const qq = load<f32>(d << 2, SUMS_QQ);
  const first = <usize>load<u8>(d, FIRSTS);
  return qx * qx > (qx / qq) * qx * qq ? <usize>load<u8>(d, FIRSTS + 1) - 1 : first;
}

/** Compares trials as llama.cpp does it. */
function bestInOrder(count: usize): i32 {
  let best: i32 = -1;
  let gain: f32 = 0;
  for (let i: usize = 0; i < count; i++) {
    const qx = load<f32>(i << 2, SUMS_QX);
    const qq = load<f32>(i << 2, SUMS_QQ);
    if (!(qq > 0 && qx * qx > gain * qq)) continue;
    gain = (qx / qq) * qx;
    best = <i32>i;
  }
  return best;
}

/** Floats: scale · Σ w x q of each distinct combination. */
const GAINS: usize = 0x6e00;

/** Lanes hold trials. */
function sumFour(lattice: usize, x: usize, groups: usize, bytes: usize, winners: usize, out: usize): void {
  let qx = f32x4.splat(0);
  let qq = f32x4.splat(0);
  for (const end = x + (groups << 5); x < end; winners += 2) {
    let a = rowOf(lattice, winners);
    let b = rowOf(lattice, winners + bytes);
    let c = rowOf(lattice, winners + 2 * bytes);
    let d = rowOf(lattice, winners + 3 * bytes);
    for (const half = x + 32; x < half; x += 16, a += 16, b += 16, c += 16, d += 16) {
      const a4 = v128.load(a);
      const b4 = v128.load(b);
      const c4 = v128.load(c);
      const d4 = v128.load(d);
      const ab = v128.shuffle<f32>(a4, b4, 0, 4, 1, 5);
      const cd = v128.shuffle<f32>(c4, d4, 0, 4, 1, 5);
      const ab2 = v128.shuffle<f32>(a4, b4, 2, 6, 3, 7);
      const cd2 = v128.shuffle<f32>(c4, d4, 2, 6, 3, 7);
      let q = v128.shuffle<f64>(ab, cd, 0, 2);
      qx = f32x4.add(qx, f32x4.mul(v128.load32_splat(x, WX), q));
      qq = f32x4.add(qq, f32x4.mul(f32x4.mul(v128.load32_splat(x, W), q), q));
      q = v128.shuffle<f64>(ab, cd, 1, 3);
      qx = f32x4.add(qx, f32x4.mul(v128.load32_splat(x, WX + 4), q));
      qq = f32x4.add(qq, f32x4.mul(f32x4.mul(v128.load32_splat(x, W + 4), q), q));
      q = v128.shuffle<f64>(ab2, cd2, 0, 2);
      qx = f32x4.add(qx, f32x4.mul(v128.load32_splat(x, WX + 8), q));
      qq = f32x4.add(qq, f32x4.mul(f32x4.mul(v128.load32_splat(x, W + 8), q), q));
      q = v128.shuffle<f64>(ab2, cd2, 1, 3);
      qx = f32x4.add(qx, f32x4.mul(v128.load32_splat(x, WX + 12), q));
      qq = f32x4.add(qq, f32x4.mul(f32x4.mul(v128.load32_splat(x, W + 12), q), q));
    }
  }
  v128.store(out, qx, SUMS_QX);
  v128.store(out, qq, SUMS_QQ);
}

/**
 * The scale that fits the entries of a sub-block best, Σ w x q / Σ w q q, or `scale` if they have no weight.
 * @param winners u16 per group
 */
export function fitScale(lattice: usize, x: usize, groups: usize, winners: usize, scale: f32): f32 {
  let qx: f32 = 0;
  let qq: f32 = 0;
  for (const end = x + (groups << 5); x < end; winners += 2) {
    const row = rowOf(lattice, winners);
    for (let j: usize = 0; j < 32; j += 4) {
      const q = load<f32>(row + j);
      qx += load<f32>(x + j, WX) * q;
      qq += load<f32>(x + j, W) * q * q;
    }
    x += 32;
  }
  return qq > 0 ? qx / qq : scale;
}
