// Sums over the input vectors of matrix products. Vectors lie one after another, `columns` float32 each, in linear
// memory from base() on.

/** The first address that the host may use. */
export function base(): usize {
  return __heap_base;
}

// @ts-ignore: decorator
@inline
function square(at: usize): v128 {
  const x = v128.load(at);
  return f32x4.mul(x, x);
}

/** 0 where a lane is finite, NaN where it is not. */
// @ts-ignore: decorator
@inline
function check(x: v128): v128 {
  return f32x4.sub(x, x);
}

/**
 * sums[j] += x[v][j]², one vector after another in single precision: the order in which llama-imatrix adds. Answers
 * whether every sum is finite.
 *
 *   sums   [columns]            16 sums stay in registers
 *   x      [vectors][columns]   while the vectors are gone through
 */
export function addSquares(sums: usize, x: usize, columns: u32, vectors: u32): bool {
  const row: usize = 4 * <usize>columns;
  const size: usize = row * vectors;
  let finite = f32x4.splat(0);
  let at: usize = 0;
  for (; at + 64 <= row; at += 64) {
    let a = v128.load(sums + at);
    let b = v128.load(sums + at, 16);
    let c = v128.load(sums + at, 32);
    let d = v128.load(sums + at, 48);
    const end = x + at + size;
    for (let from = x + at; from < end; from += row) {
      a = f32x4.add(a, square(from));
      b = f32x4.add(b, square(from + 16));
      c = f32x4.add(c, square(from + 32));
      d = f32x4.add(d, square(from + 48));
    }
    v128.store(sums + at, a);
    v128.store(sums + at, b, 16);
    v128.store(sums + at, c, 32);
    v128.store(sums + at, d, 48);
    finite = f32x4.add(finite, f32x4.add(f32x4.add(check(a), check(b)), f32x4.add(check(c), check(d))));
  }
  let rest: f32 = 0;
  for (; at < row; at += 4) {
    let sum = load<f32>(sums + at);
    const end = x + at + size;
    for (let from = x + at; from < end; from += row) {
      const value = load<f32>(from);
      sum += value * value;
    }
    store<f32>(sums + at, sum);
    rest += sum - sum;
  }
  rest +=
    f32x4.extract_lane(finite, 0) +
    f32x4.extract_lane(finite, 1) +
    f32x4.extract_lane(finite, 2) +
    f32x4.extract_lane(finite, 3);
  return rest == 0;
}

/** Columns of a panel. */
const PANEL: usize = 8;

/**
 * Puts vectors side by side as float64, in panels of eight columns; what is missing to a whole panel is zero.
 *
 *   x       [vectors][columns]
 *   packed  [panels][vectors][8]
 */
export function pack(x: usize, packed: usize, columns: u32, vectors: u32): void {
  const panels: usize = (<usize>columns + PANEL - 1) / PANEL;
  for (let p: usize = 0; p < panels; p++)
    for (let v: usize = 0; v < <usize>vectors; v++)
      for (let i: usize = 0; i < PANEL; i++) {
        const column = p * PANEL + i;
        const value = column < <usize>columns ? <f64>load<f32>(x + 4 * (v * columns + column)) : 0;
        store<f64>(packed + 8 * ((p * vectors + v) * PANEL + i), value);
      }
}

/**
 * Adds the products of all pairs of columns. Only panels on and below the diagonal: the matrix is symmetric.
 *
 *   packed  [panels][vectors][8]
 *   sums    [panel p][panel q ≤ p][8 columns of p][8 columns of q], float64
 */
export function addProducts(sums: usize, packed: usize, columns: u32, vectors: u32): void {
  const panels: usize = (<usize>columns + PANEL - 1) / PANEL;
  const panel: usize = 64 * <usize>vectors;
  for (let p: usize = 0; p < panels; p++)
    for (let q: usize = 0; q <= p; q++) {
      for (let i: usize = 0; i < 64; i += 16) {
        multiply(sums + 8 * i, packed + p * panel + i, packed + q * panel, panel);
      }
      sums += 512;
    }
}

/** Two columns of one panel, from `left` on, by the eight of another: 16 sums, in registers. */
// @ts-ignore: decorator
@inline
function multiply(sums: usize, left: usize, right: usize, panel: usize): void {
  let a0 = v128.load(sums);
  let a1 = v128.load(sums, 16);
  let a2 = v128.load(sums, 32);
  let a3 = v128.load(sums, 48);
  let b0 = v128.load(sums, 64);
  let b1 = v128.load(sums, 80);
  let b2 = v128.load(sums, 96);
  let b3 = v128.load(sums, 112);
  for (let at: usize = 0; at < panel; at += 64) {
    const a = v128.load_splat<f64>(left + at);
    const b = v128.load_splat<f64>(left + at, 8);
    let x = v128.load(right + at);
    a0 = f64x2.add(a0, f64x2.mul(a, x));
    b0 = f64x2.add(b0, f64x2.mul(b, x));
    x = v128.load(right + at, 16);
    a1 = f64x2.add(a1, f64x2.mul(a, x));
    b1 = f64x2.add(b1, f64x2.mul(b, x));
    x = v128.load(right + at, 32);
    a2 = f64x2.add(a2, f64x2.mul(a, x));
    b2 = f64x2.add(b2, f64x2.mul(b, x));
    x = v128.load(right + at, 48);
    a3 = f64x2.add(a3, f64x2.mul(a, x));
    b3 = f64x2.add(b3, f64x2.mul(b, x));
  }
  v128.store(sums, a0);
  v128.store(sums, a1, 16);
  v128.store(sums, a2, 32);
  v128.store(sums, a3, 48);
  v128.store(sums, b0, 64);
  v128.store(sums, b1, 80);
  v128.store(sums, b2, 96);
  v128.store(sums, b3, 112);
}
