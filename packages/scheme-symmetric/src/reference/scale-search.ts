import { nearestEven } from "./half.js";

const f = Math.fround;

/** Below this a block counts as all zero. */
const TINY = f(1e-15);

/** The element of largest magnitude, with its sign; the first one where several are equal. */
export function extreme(x: Float32Array): number {
  let max = 0;
  for (const v of x) if (Math.abs(v) > Math.abs(max)) max = v;
  return max;
}

/**
 * The scale and the levels, from 0 to 2·reach − 1 where `reach` stands for zero, with the least squared error
 * Σ w (x − scale·l)², l = level − reach. The element of largest magnitude goes near -reach: nineteen places from
 * -reach − 0.9 to -reach + 0.9 are tried. For fixed levels the best scale is Σwxl ⁄ Σwl², and the error falls by
 * (Σwxl)² ⁄ Σwl², which is compared without a division. A block of zeros gets scale 0 and levels 0.
 * @param weights one per element; x² where absent
 */
export function searchScale(
  x: Float32Array,
  reach: number,
  weights?: Float32Array,
): { scale: number; levels: Uint8Array } {
  const levels = new Uint8Array(x.length);
  const max = extreme(x);
  if (Math.abs(max) < TINY) return { scale: 0, levels };
  const trial = new Uint8Array(x.length);
  let scale = 0;
  let best = 0;
  for (const step of [0, -9, -8, -7, -6, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 6, 7, 8, 9]) {
    const inverse = f(-f(reach + f(f(0.1) * step)) / max);
    let sumlx = 0;
    let suml2 = 0;
    x.forEach((v, i) => {
      const level = Math.max(-reach, Math.min(reach - 1, nearestEven(f(inverse * v))));
      trial[i] = level + reach;
      const w = weights ? weights[i]! : f(v * v);
      sumlx = f(sumlx + f(f(w * v) * level));
      suml2 = f(suml2 + f(f(w * level) * level));
    });
    if (step === 0 || (suml2 > 0 && f(sumlx * sumlx) > f(best * suml2))) {
      scale = suml2 === 0 ? 0 : f(sumlx / suml2);
      best = f(scale * sumlx);
      levels.set(trial);
    }
  }
  return { scale, levels };
}
