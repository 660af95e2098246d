import { nearestInt } from "./weight.js";

const f = Math.fround;
const TOP = 4;

/**
 * A scale for positive magnitudes as if their levels were 0 … 4: searched around 4 / max in nine steps, then levels move
 * one at a time while that lowers the error. Levels are kept in bytes: those of negative magnitudes wrap.
 */
export function firstScale(x: Float32Array, weights: Float32Array): number {
  const max = Math.max(...x);
  const levels = new Uint8Array(x.length);
  const levelOf = (v: number, inverse: number) => nearestInt(f(inverse * v));
  const errorOf = (scale: number, level: (i: number) => number) => {
    let sum = 0;
    for (let i = 0; i < x.length; i++) {
      const error = f(x[i]! - f(scale * level(i)));
      sum = f(sum + f(f(weights[i]! * error) * error));
    }
    return sum;
  };

  let inverse = f(TOP / max);
  let least = errorOf(f(1 / inverse), (i) => levelOf(x[i]!, inverse) & 255);
  for (const step of [-4, -3, -2, -1, 1, 2, 3, 4]) {
    const trial = f(f(f(f(0.1) * step) + TOP) / max);
    const error = errorOf(f(1 / trial), (i) => Math.min(TOP, levelOf(x[i]!, trial)));
    if (error >= least) continue;
    least = error;
    inverse = trial;
  }

  let lx = 0;
  let ll = 0;
  x.forEach((v, i) => {
    const level = Math.min(TOP, levelOf(v, inverse));
    levels[i] = level;
    lx = f(lx + f(f(weights[i]! * v) * level));
    ll = f(ll + f(f(weights[i]! * level) * level));
  });
  for (let round = 0, moved = true; moved && round < 5; round++) {
    moved = false;
    for (let i = 0; i < x.length; i++) {
      const wx = f(weights[i]! * x[i]!);
      const level = levels[i]!;
      const restX = f(lx - f(wx * level));
      const restL = f(ll - f(f(weights[i]! * level) * level));
      if (!(restX > 0 && restL > 0)) continue;
      const other = Math.min(TOP, nearestInt(f(f(x[i]! * restL) / restX)));
      if (other === level) continue;
      const newX = f(restX + f(wx * other));
      const newL = f(restL + f(f(weights[i]! * other) * other));
      if (f(f(newX * newX) * ll) <= f(f(lx * lx) * newL)) continue;
      levels[i] = other;
      lx = newX;
      ll = newL;
      moved = true;
    }
  }
  return ll > 0 ? f(lx / ll) : 0;
}
