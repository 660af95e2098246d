// The first step of the IQ2 types: signs apart, magnitudes and weights of a super-block of 256 in scratch.
import { ROOT, SIGNS, W, WX, X } from "./two-bit-scratch";

/** Sums of squares of the super-blocks of a row, four at a time. */
const SQUARES: usize = 0x6da0;

/** Σ x² in order, of one of four consecutive super-blocks; `block` is its place in the row of `blocks`. */
export function sumOfSquares(source: usize, block: u32, blocks: u32): f32 {
  if ((block & 3) == 0) sumFour(source, min<u32>(3, blocks - block - 1));
  return load<f32>((block & 3) << 2, SQUARES);
}

/** Lanes hold super-blocks; the last is repeated where fewer than four are left. */
function sumFour(source: usize, last: u32): void {
  const b = source + (<usize>min<u32>(1, last) << 10);
  const c = source + (<usize>min<u32>(2, last) << 10);
  const d = source + (<usize>min<u32>(3, last) << 10);
  let sum = f32x4.splat(0);
  for (let i: usize = 0; i < 1024; i += 16) {
    const x0 = v128.load(source + i);
    const x1 = v128.load(b + i);
    const x2 = v128.load(c + i);
    const x3 = v128.load(d + i);
    const p = v128.shuffle<f32>(x0, x1, 0, 4, 1, 5);
    const q = v128.shuffle<f32>(x2, x3, 0, 4, 1, 5);
    const r = v128.shuffle<f32>(x0, x1, 2, 6, 3, 7);
    const s = v128.shuffle<f32>(x2, x3, 2, 6, 3, 7);
    let x = v128.shuffle<f64>(p, q, 0, 2);
    sum = f32x4.add(sum, f32x4.mul(x, x));
    x = v128.shuffle<f64>(p, q, 1, 3);
    sum = f32x4.add(sum, f32x4.mul(x, x));
    x = v128.shuffle<f64>(r, s, 0, 2);
    sum = f32x4.add(sum, f32x4.mul(x, x));
    x = v128.shuffle<f64>(r, s, 1, 3);
    sum = f32x4.add(sum, f32x4.mul(x, x));
  }
  v128.store(SQUARES, sum);
}

/** W = importance · √(σ² + x²). */
export function weighWith(source: usize, importance: usize, sigma2: f32): void {
  const sigma = f32x4.splat(sigma2);
  for (let i: usize = 0; i < 1024; i += 16) {
    const x = v128.load(source + i);
    const w = f32x4.mul(v128.load(importance + i), f32x4.sqrt(f32x4.add(sigma, f32x4.mul(x, x))));
    v128.store(i, w, W);
    v128.store(i, f32x4.sqrt(w), ROOT);
  }
}

/** Without importance: W = x² and a constant. */
export function weighAlone(source: usize, constant: f32): void {
  const splat = f32x4.splat(constant);
  for (let i: usize = 0; i < 1024; i += 16) {
    const x = v128.load(source + i);
    const w = f32x4.add(splat, f32x4.mul(x, x));
    v128.store(i, w, W);
    v128.store(i, f32x4.sqrt(w), ROOT);
  }
}

/** X = |x| and a bit per negative weight, in 32 bytes. Call it after the weighing. */
export function splitSigns(source: usize): void {
  const zero = f32x4.splat(0);
  for (let i: usize = 0; i < 1024; i += 64) {
    const a = v128.load(source + i);
    const b = v128.load(source + i, 16);
    const c = v128.load(source + i, 32);
    const d = v128.load(source + i, 48);
    const ab = i16x8.narrow_i32x4_s(f32x4.lt(a, zero), f32x4.lt(b, zero));
    const cd = i16x8.narrow_i32x4_s(f32x4.lt(c, zero), f32x4.lt(d, zero));
    store<u16>(i >> 5, <u16>i8x16.bitmask(i8x16.narrow_i16x8_s(ab, cd)), SIGNS);
    v128.store(i, f32x4.abs(a), X);
    v128.store(i, f32x4.abs(b), X + 16);
    v128.store(i, f32x4.abs(c), X + 32);
    v128.store(i, f32x4.abs(d), X + 48);
  }
}

/**
 * Makes the number of minus signs of every eight even, as seven bits of signs demand: the least important weight of
 * an odd eight, that with the smallest w x x, changes its sign, and its magnitude becomes negative.
 */
export function evenSigns(): void {
  for (let g: usize = 0; g < 32; g++) {
    const signs = <u32>load<u8>(g, SIGNS);
    if (popcnt(signs) & 1) flipLeast(g, signs);
    else store<u8>(g, <u8>(signs & 127), SIGNS);
  }
}

function flipLeast(g: usize, signs: u32): void {
  const at = g << 5;
  const x0 = v128.load(at, X);
  const x1 = v128.load(at, X + 16);
  const a = f32x4.mul(f32x4.mul(v128.load(at, W), x0), x0);
  const b = f32x4.mul(f32x4.mul(v128.load(at, W + 16), x1), x1);
  let least = f32x4.pmin(a, b);
  least = f32x4.pmin(least, v128.shuffle<i32>(least, least, 2, 3, 0, 1));
  least = f32x4.pmin(least, v128.shuffle<i32>(least, least, 1, 0, 3, 2));
  const found = i32x4.bitmask(f32x4.eq(a, least)) | (i32x4.bitmask(f32x4.eq(b, least)) << 4);
  const strange = v128.any_true(v128.or(f32x4.ne(a, a), f32x4.ne(b, b)));
  const i = strange ? leastInOrder(at) : <u32>ctz(found);
  const p = at + (<usize>i << 2);
  store<f32>(p, -load<f32>(p, X), X);
  store<u8>(g, <u8>((signs ^ (1 << i)) & 127), SIGNS);
}

/** With infinite weights w x x may be NaN, which is smaller than nothing. */
function leastInOrder(at: usize): u32 {
  let least: f32 = 0;
  let found: u32 = 0;
  for (let i: u32 = 0; i < 8; i++) {
    const p = at + (<usize>i << 2);
    const value = load<f32>(p, W) * load<f32>(p, X) * load<f32>(p, X);
    if (i == 0 || value < least) {
      least = value;
      found = i;
    }
  }
  return found;
}

/** WX = W · X. */
export function multiply(): void {
  for (let i: usize = 0; i < 1024; i += 16) v128.store(i, f32x4.mul(v128.load(i, W), v128.load(i, X)), WX);
}

/** The largest of four. */
// @ts-ignore: decorator
@inline
export function largestLane(v: v128): f32 {
  v = f32x4.pmax(v, v128.shuffle<i32>(v, v, 2, 3, 0, 1));
  v = f32x4.pmax(v, v128.shuffle<i32>(v, v, 1, 0, 3, 2));
  return f32x4.extract_lane(v, 0);
}
