const f = Math.fround;

/** Mean square of a block's weights, twice: how large "large" is in this block. */
export function twiceMeanSquare(x: Float32Array): number {
  let sum = 0;
  for (const v of x) sum = f(sum + f(v * v));
  return f(sum * f(2 / x.length));
}

/** How much an error in each element counts: importance · √(σ² + x²), with σ² of the whole block. */
export const errorWeights = (x: Float32Array, importance: Float32Array, sigma2: number): Float32Array =>
  x.map((v, i) => f(importance[i]! * f(Math.sqrt(f(sigma2 + f(v * v))))));

/**
 * llama.cpp's rounding to the nearest integer, ties to even: the mantissa of x + 1.5·2²³. Beyond ±2²² it wraps.
 */
export function nearestInt(x: number): number {
  float[0] = f(x) + 12582912;
  return Number.isNaN(x) ? 0 : (word[0]! & 0x7fffff) - 0x400000;
}

const float = new Float32Array(1);
const word = new Uint32Array(float.buffer);
