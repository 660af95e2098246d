import { extreme } from "./scale-search.js";

const f = Math.fround;

/**
 * The scale is the largest magnitude; every weight becomes -1, 0 or 1 scales, halves away from zero.
 * Where the scale is so small that its inverse is infinite, every level is `otherwise`.
 */
export function ternary(x: Float32Array, otherwise: -1 | 0): { scale: number; levels: Int8Array } {
  const scale = Math.abs(extreme(x));
  const inverse = scale ? f(1 / scale) : 0;
  const levels = Int8Array.from(x, (v) => {
    if (!Number.isFinite(inverse)) return otherwise;
    const scaled = f(v * inverse);
    return scaled >= 0.5 ? 1 : scaled <= -0.5 ? -1 : 0;
  });
  return { scale, levels };
}
