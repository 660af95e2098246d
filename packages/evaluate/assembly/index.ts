// Sums over a row of logits. The rows lie in linear memory from base() on, 16-byte aligned, and are filled up to a
// multiple of four with the lowest finite number, whose exponential is zero beside any logit.

/** The first address that the host may use. */
export function base(): usize {
  return __heap_base;
}

// Constants at fixed addresses, in four equal lanes
const LOWEST: usize = 16; //     where exponentials vanish: e^-87 is still a normal number
const LOG2_E: usize = 32; //     1 / ln 2
const SHIFT: usize = 48; //      adding 1.5·2²³ rounds to an integer, which is then in the low bits
const LN2_HIGH: usize = 64; //   ln 2 in two parts, so that n times the first is exact
const LN2_LOW: usize = 80;
const ONE: usize = 96; //        1/k! for k = 1 ‥ 7
const HALF: usize = 112;
const SIXTH: usize = 128;
const IN_24: usize = 144;
const IN_120: usize = 160;
const IN_720: usize = 176;
const IN_5040: usize = 192;

/** V8 builds constant vectors anew at every use inside a loop, but loads them as operands. */
function prepare(): void {
  v128.store(LOWEST, f32x4.splat(-87));
  v128.store(LOG2_E, f32x4.splat(1.442695040888963407));
  v128.store(SHIFT, f32x4.splat(12582912));
  v128.store(LN2_HIGH, f32x4.splat(0.693359375));
  v128.store(LN2_LOW, f32x4.splat(-2.1219444005469058e-4));
  v128.store(ONE, f32x4.splat(1));
  v128.store(HALF, f32x4.splat(0.5));
  v128.store(SIXTH, f32x4.splat(1.0 / 6));
  v128.store(IN_24, f32x4.splat(1.0 / 24));
  v128.store(IN_120, f32x4.splat(1.0 / 120));
  v128.store(IN_720, f32x4.splat(1.0 / 720));
  v128.store(IN_5040, f32x4.splat(1.0 / 5040));
}

/**
 * e^x for -87 ≤ x ≤ 0, within 2 units in the last place: x = n·ln 2 + r with |r| ≤ ½·ln 2, the Taylor series of e^r up
 * to r⁷, whose rest is below 6·10⁻⁹, and 2^n by adding n to the exponent.
 */
// @ts-ignore: decorator
@inline
function exponential(x: v128): v128 {
  const shifted = f32x4.add(f32x4.mul(x, v128.load(LOG2_E)), v128.load(SHIFT));
  const n = f32x4.sub(shifted, v128.load(SHIFT));
  let r = f32x4.sub(x, f32x4.mul(n, v128.load(LN2_HIGH)));
  r = f32x4.sub(r, f32x4.mul(n, v128.load(LN2_LOW)));
  let y = f32x4.add(f32x4.mul(r, v128.load(IN_5040)), v128.load(IN_720));
  y = f32x4.add(f32x4.mul(y, r), v128.load(IN_120));
  y = f32x4.add(f32x4.mul(y, r), v128.load(IN_24));
  y = f32x4.add(f32x4.mul(y, r), v128.load(SIXTH));
  y = f32x4.add(f32x4.mul(y, r), v128.load(HALF));
  y = f32x4.add(f32x4.mul(y, r), v128.load(ONE));
  y = f32x4.add(f32x4.mul(y, r), v128.load(ONE));
  return i32x4.add(y, i32x4.shl(shifted, 23));
}

/** e^(x - peak) of four logits; e^-87 at least. */
// @ts-ignore: decorator
@inline
function weight(x: v128, peak: v128): v128 {
  return exponential(f32x4.pmax(v128.load(LOWEST), f32x4.sub(x, peak)));
}

/** The same, but nothing where it vanishes: to be multiplied by what may be very large. */
// @ts-ignore: decorator
@inline
function weightOrNothing(x: v128, peak: v128): v128 {
  const below = f32x4.sub(x, peak);
  const e = exponential(f32x4.pmax(v128.load(LOWEST), below));
  return v128.and(e, f32x4.gt(below, v128.load(LOWEST)));
}

/** The upper two of four numbers, as float64. */
// @ts-ignore: decorator
@inline
function upper(x: v128): v128 {
  return f64x2.promote_low_f32x4(v128.shuffle<f32>(x, x, 2, 3, 2, 3));
}

// @ts-ignore: decorator
@inline
function total(a: v128, b: v128): f64 {
  const sum = f64x2.add(a, b);
  return f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1);
}

/** The highest of a row; NaN where one of a row is NaN or infinite. */
export function highest(row: usize, count: u32): f32 {
  let best = v128.load(row);
  // 0·x is NaN where x is not finite, and a sum never loses a NaN.
  let finite = f32x4.splat(0);
  const end: usize = row + 4 * <usize>count;
  for (let at = row; at < end; at += 16) {
    const x = v128.load(at);
    best = f32x4.pmax(best, x);
    finite = f32x4.add(finite, f32x4.mul(x, f32x4.splat(0)));
  }
  const zero =
    f32x4.extract_lane(finite, 0) +
    f32x4.extract_lane(finite, 1) +
    f32x4.extract_lane(finite, 2) +
    f32x4.extract_lane(finite, 3);
  const a = max(f32x4.extract_lane(best, 0), f32x4.extract_lane(best, 1));
  const b = max(f32x4.extract_lane(best, 2), f32x4.extract_lane(best, 3));
  return max(a, b) + zero;
}

/** Where `value` occurs first in a row that has it. */
export function find(row: usize, value: f32): u32 {
  const wanted = f32x4.splat(value);
  let at = row;
  while (!v128.any_true(f32x4.eq(v128.load(at), wanted))) at += 16;
  while (load<f32>(at) != value) at += 4;
  return <u32>((at - row) / 4);
}

/** Σ e^(x - peak), in float64. */
export function sum(row: usize, count: u32, peak: f32): f64 {
  prepare();
  const top = f32x4.splat(peak);
  let low = f64x2.splat(0);
  let high = f64x2.splat(0);
  const end: usize = row + 4 * <usize>count;
  for (let at = row; at < end; at += 16) {
    const e = weight(v128.load(at), top);
    low = f64x2.add(low, f64x2.promote_low_f32x4(e));
    high = f64x2.add(high, upper(e));
  }
  return total(low, high);
}

/** Of a row x and another y: Σ e^(x - peak)·(x - y), in float64. */
export function product(x: usize, y: usize, count: u32, peak: f32): f64 {
  prepare();
  const top = f32x4.splat(peak);
  let low = f64x2.splat(0);
  let high = f64x2.splat(0);
  const end: usize = x + 4 * <usize>count;
  for (; x < end; x += 16, y += 16) {
    const ofX = v128.load(x);
    const term = f32x4.mul(weightOrNothing(ofX, top), f32x4.sub(ofX, v128.load(y)));
    low = f64x2.add(low, f64x2.promote_low_f32x4(term));
    high = f64x2.add(high, upper(term));
  }
  return total(low, high);
}
