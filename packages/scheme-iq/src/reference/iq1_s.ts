import { blockReference } from "./block.js";
import { getHalf, putHalf } from "./half.js";
import {
  ascending,
  bestSplit,
  empty,
  type Fitted,
  fitEntries,
  SHIFT,
  type SubBlock,
  type Sums,
  scaleLevel,
  valuesOf,
} from "./iq1.js";
import { errorWeights, nearestInt, twiceMeanSquare } from "./weight.js";

const f = Math.fround;

/** Below this a sub-block counts as all zero. */
const TINY = f(1e-12);

/** Sums of a split with either shift, from sums over the sorted elements. */
function fit({ x, w }: SubBlock): Fitted {
  if (!x.some((v) => Math.abs(v) >= TINY)) return empty(32);
  const sumX = [0];
  const sumW = [0];
  for (const i of ascending(x)) {
    sumX.push(f(sumX.at(-1)! + f(w[i]! * x[i]!)));
    sumW.push(f(sumW.at(-1)! + w[i]!));
  }
  const sums = (i1: number, i2: number, shift: number): Sums => {
    let qx = 0;
    let q2 = 0;
    const bounds = [0, i1, i2, 32];
    for (let level = 0; level < 3; level++) {
      const q = level - 1 + shift;
      const [from, to] = [bounds[level]!, bounds[level + 1]!];
      qx = f(qx + f(f(sumX[to]! - sumX[from]!) * q));
      q2 = f(q2 + f(f(f(sumW[to]! - sumW[from]!) * q) * q));
    }
    return { qx, q2, shifts: [shift, shift, shift, shift] };
  };
  const split = bestSplit(32, (i1, i2) => [sums(i1, i2, SHIFT), sums(i1, i2, -SHIFT)]);
  return split ? fitEntries({ x, w }, split) : empty(32);
}

/**
 * 256 weights in eight sub-blocks of 32: scale of the scales (half), low 8 bits of the entries of every eight weights,
 * and for each sub-block 16 bits: high 3 bits of four entries, scale level, sign of the shift.
 */
export const iq1_s = blockReference({
  id: "IQ1_S",
  elements: 256,
  bytes: 2 + 32 + 16,
  required: true,
  encode(x, block, importance) {
    const w = errorWeights(x, importance!, twiceMeanSquare(x));
    const fitted = Array.from({ length: 8 }, (_, j) =>
      fit({ x: x.subarray(32 * j, 32 * j + 32), w: w.subarray(32 * j, 32 * j + 32) }),
    );
    const factor = f(Math.max(...fitted.map(({ scale }) => scale)) / 15);
    putHalf(block, 0, f(factor * 1.125));
    fitted.forEach(({ scale, shifts, entries }, j) => {
      let high = factor === 0 ? 0 : scaleLevel(scale, f(1 / factor), nearestInt) << 12;
      if (factor !== 0 && shifts[0]! < 0) high |= 0x8000;
      entries.forEach((entry, k) => {
        block[2 + 4 * j + k] = entry & 255;
        high |= (entry >> 8) << (3 * k);
      });
      block[34 + 2 * j] = high & 255;
      block[35 + 2 * j] = high >> 8;
    });
  },
  decode(block, x) {
    const factor = getHalf(block, 0);
    for (let k = 0; k < 32; k++) {
      const j = k >> 2;
      const high = block[34 + 2 * j]! | (block[35 + 2 * j]! << 8);
      const step = f(factor * (2 * ((high >> 12) & 7) + 1));
      const entry = block[2 + k]! | (((high >> (3 * (k & 3))) & 7) << 8);
      const values = valuesOf(entry, high & 0x8000 ? -SHIFT : SHIFT);
      x.set(
        values.map((q) => step * q),
        8 * k,
      );
    }
  },
});
