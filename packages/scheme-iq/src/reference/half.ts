const float = new Float32Array(1);
const word = new Uint32Array(float.buffer);

/** To the nearest integer, ties to even, for |x| < 2⁵¹. */
export const nearestEven = (x: number): number => x + 1.5 * 2 ** 52 - 1.5 * 2 ** 52;

/** float32 → float16 bits. */
export function encodeHalf(x: number): number {
  float[0] = x;
  const sign = (word[0]! >>> 16) & 0x8000;
  const size = Math.abs(float[0]!);
  if (Number.isNaN(size)) return sign | 0x7e00;
  if (size >= 65520) return sign | 0x7c00;
  if (size < 2 ** -14) return sign | nearestEven(size * 2 ** 24);
  const exponent = ((word[0]! >>> 23) & 255) - 127;
  const mantissa = nearestEven(size * 2 ** (10 - exponent)); // 1024 … 2048; the last carries into the exponent
  return sign | (((exponent + 14) << 10) + mantissa);
}

/** float16 bits → float32. */
export function decodeHalf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 31;
  const mantissa = half & 1023;
  if (exponent === 31) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent ? sign * (1024 + mantissa) * 2 ** (exponent - 25) : sign * mantissa * 2 ** -24;
}

/** A half in two little-endian bytes. */
export function putHalf(block: Uint8Array, at: number, x: number): void {
  const half = encodeHalf(x);
  block[at] = half & 255;
  block[at + 1] = half >>> 8;
}

export const getHalf = (block: Uint8Array, at: number): number =>
  decodeHalf(block[at]! | (block[at + 1]! << 8));
