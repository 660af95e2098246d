// Single precision in plain TypeScript: every operation is followed by Math.fround.

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** To the nearest integer, ties to even, as llama.cpp does it: beyond ±2²² the result wraps. */
export function nearestInteger(x: number): number {
  float[0] = x + 12582912; // 1.5·2²³
  return (bits[0]! & 0x7fffff) - 0x400000;
}

/** float32 → float16 bits. */
export function encodeHalf(x: number): number {
  float[0] = x;
  const sign = (bits[0]! >>> 16) & 0x8000;
  const size = Math.abs(float[0]!);
  if (Number.isNaN(size)) return sign | 0x7e00;
  if (size >= 65520) return sign | 0x7c00;
  // The spacing of halves at this size; the quotient is exact, and 1024 steps make one exponent.
  const exponent = Math.max(-14, ((bits[0]! >>> 23) & 255) - 127);
  const steps = toEven(size * 2 ** (10 - exponent));
  return sign | (((exponent + 14) << 10) + steps);
}

/** Ties to even, for numbers from 0 to 2⁵¹. */
const toEven = (x: number): number => x + 1.5 * 2 ** 52 - 1.5 * 2 ** 52;

/** float16 bits → number. */
export function decodeHalf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 31;
  const mantissa = half & 1023;
  if (exponent === 31) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent ? sign * (1024 + mantissa) * 2 ** (exponent - 25) : sign * mantissa * 2 ** -24;
}

/** Writes a half in two bytes, the low one first. */
export function putHalf(block: Uint8Array, at: number, x: number): void {
  const half = encodeHalf(x);
  block[at] = half & 255;
  block[at + 1] = half >>> 8;
}

export const getHalf = (block: Uint8Array, at: number): number =>
  decodeHalf(block[at]! | (block[at + 1]! << 8));

/** Σ x², added up in order. */
export function sumOfSquares(x: Float32Array): number {
  let sum = 0;
  for (const v of x) sum = Math.fround(sum + Math.fround(v * v));
  return sum;
}
