// What IQ4_NL and IQ4_XS share: sixteen values that are dense around zero, where weights are, and a search for the
// scale of 32 weights.

const f = Math.fround;

/** What a level stands for, in units of the scale. */
export const values = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113] as const;

/** Halfway from each value to the next. All are exact, so that "nearer" needs no subtraction. */
const middles = values.slice(1).map((value, i) => (values[i]! + value) / 2);

/** Below this a block counts as all zero. */
const TINY = f(1e-15);

/** The level of the value next to x, of two equally near ones the higher. NaN gets the highest. */
export function nearestLevel(x: number): number {
  let level = 0;
  for (const middle of middles) if (!(x < middle)) level++;
  return level;
}

/** The levels of all of x under a scale whose inverse is known. */
export const levelsOf = (x: Float32Array, inverse: number): Uint8Array =>
  Uint8Array.from(x, (v) => nearestLevel(f(inverse * v)));

/**
 * The scale with the least squared error Σ w (x − scale·q)². The element of largest magnitude goes to 127, or near
 * -127: fifteen places from -134 to -120 are tried. For fixed levels the best scale is Σwxq ⁄ Σwq², and the error
 * falls by (Σwxq)² ⁄ Σwq², which is compared without a division.
 * @param weights one per element
 */
export function searchScale(x: Float32Array, weights: Float32Array): number {
  let max = 0;
  for (const v of x) if (Math.abs(v) > Math.abs(max)) max = v;
  if (Math.abs(max) < TINY) return 0;
  const sums = (inverse: number) => {
    let qx = 0;
    let q2 = 0;
    x.forEach((v, i) => {
      const q = values[nearestLevel(f(inverse * v))]!;
      const wq = f(weights[i]! * q);
      qx = f(qx + f(wq * v));
      q2 = f(q2 + f(wq * q));
    });
    return { qx, q2 };
  };
  const first = sums(f(1 / f(-max / values[0])));
  let scale = first.q2 > 0 ? f(first.qx / first.q2) : 0;
  let best = f(scale * first.qx);
  for (let step = -7; step <= 7; step++) {
    const { qx, q2 } = sums(f(f(step + values[0]) / max));
    if (q2 > 0 && f(qx * qx) > f(best * q2)) {
      scale = f(qx / q2);
      best = f(scale * qx);
    }
  }
  return scale;
}

/** Sixteen bytes of two levels, the first half of 32 in the low nibbles. */
export function putLevels(block: Uint8Array, at: number, levels: Uint8Array): void {
  for (let i = 0; i < 16; i++) block[at + i] = levels[i]! | (levels[16 + i]! << 4);
}

export function getLevels(block: Uint8Array, at: number): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, i) => (i < 16 ? block[at + i]! & 15 : block[at + i - 16]! >> 4));
}
