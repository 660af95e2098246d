// What the types with sixteen sub-blocks of 16 weights share.

const float = new Float32Array(1);
const word = new Uint32Array(float.buffer);

/**
 * llama.cpp's rounding to the nearest integer, ties to even: the mantissa of x + 1.5·2²³. Beyond ±2²², where a
 * weight is huge beside its scale, it wraps.
 */
export function nearestInt(x: number): number {
  float[0] = Math.fround(x) + 12582912;
  return Number.isNaN(x) ? 0 : (word[0]! & 0x7fffff) - 0x400000;
}

/** The sixteen weights, levels or importances of sub-block `j`. */
export const subBlock = <T extends Float32Array | Uint8Array>(of: T, j: number): T =>
  of.subarray(16 * j, 16 * j + 16) as T;

/**
 * Levels once more, now with the scale that the decoder will see. A scale of zero tells nothing, and the levels of
 * the search stay.
 */
export function requantize(x: Float32Array, scale: number, reach: number, levels: Uint8Array): void {
  if (scale === 0) return;
  x.forEach((v, i) => {
    const level = nearestInt(Math.fround(v / scale));
    levels[i] = Math.max(-reach, Math.min(reach - 1, level)) + reach;
  });
}
