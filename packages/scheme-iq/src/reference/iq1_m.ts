import { blockReference } from "./block.js";
import { decodeHalf, encodeHalf } from "./half.js";
import {
  ascending,
  bestSplit,
  empty,
  Fit,
  type Fitted,
  fitEntries,
  SHIFT,
  type SubBlock,
  scaleLevel,
  valuesOf,
} from "./iq1.js";
import { errorWeights, nearestInt, twiceMeanSquare } from "./weight.js";

const f = Math.fround;

/** Below this a sub-block counts as all zero. */
const TINY = f(1e-7);

/**
 * Each half of a sub-block has its own shift. Levels differ by 1 and their squares by constants, so that the sums of a
 * split follow from totals and sums over the first i1 and i2 sorted elements.
 */
function fit({ x, w }: SubBlock): Fitted {
  if (!x.some((v) => Math.abs(v) >= TINY)) return empty(16);
  const halves = [0, 1].map(() => ({ x: [0], w: [0] }));
  for (const i of ascending(x))
    halves.forEach((sums, h) => {
      const mine = i >> 3 === h;
      sums.x.push(mine ? f(sums.x.at(-1)! + f(w[i]! * x[i]!)) : sums.x.at(-1)!);
      sums.w.push(mine ? f(sums.w.at(-1)! + w[i]!) : sums.w.at(-1)!);
    });
  const part = (h: number, i1: number, i2: number, shift: number) => {
    const sums = halves[h]!;
    const [q0, q1, q2] = [-1 + shift, shift, 1 + shift];
    const fixed = f(f(sums.w[16]! * q2) * q2);
    const first = f(sums.w[i1]! * (q0 * q0 - q1 * q1));
    const second = f(sums.w[i2]! * (q1 * q1 - q2 * q2));
    return {
      qx: f(f(sums.x[16]! * q2) - f(sums.x[i1]! + sums.x[i2]!)),
      q2: f(f(fixed + first) + second),
    };
  };
  const split = bestSplit(16, (i1, i2) =>
    [SHIFT, -SHIFT].flatMap((shift0) =>
      [SHIFT, -SHIFT].map((shift1) => {
        const a = part(0, i1, i2, shift0);
        const b = part(1, i1, i2, shift1);
        return { qx: f(a.qx + b.qx), q2: f(a.q2 + b.q2), shifts: [shift0, shift1] };
      }),
    ),
  );
  return split ? fitEntries({ x, w }, split) : empty(16);
}

/**
 * 256 weights in sixteen sub-blocks of 16: low 8 bits of the entries of every eight weights, a nibble for each of high
 * 3 bits and sign of the shift, four 16-bit words of four 3-bit scale levels and a nibble of the scale of the scales.
 */
export const iq1_m = blockReference({
  id: "IQ1_M",
  elements: 256,
  bytes: 32 + 16 + 8,
  encode(x, block, importance) {
    const w = importance ? errorWeights(x, importance, twiceMeanSquare(x)) : x.map((v) => v * v);
    const subBlocks = Array.from({ length: 16 }, (_, j) => ({
      x: x.subarray(16 * j, 16 * j + 16),
      w: w.subarray(16 * j, 16 * j + 16),
    }));
    const fitted = subBlocks.map(fit);
    fitted.forEach(({ entries: [a, b] }, j) => {
      block[2 * j] = a! & 255;
      block[2 * j + 1] = b! & 255;
      block[32 + j] = (a! >> 8) | ((b! >> 8) << 4);
    });
    const factor = f(Math.max(...fitted.map(({ scale }) => scale)) / 15);
    if (factor === 0) return;
    const whole = new Fit();
    const words = [0, 0, 0, 0];
    fitted.forEach(({ scale, shifts, entries }, j) => {
      const level = scaleLevel(scale, f(1 / factor), nearestInt);
      words[j >> 2]! |= level << (3 * (j & 3));
      entries.forEach((entry, k) => {
        if (shifts[k]! < 0) block[32 + j]! |= 8 << (4 * k);
        const values = valuesOf(entry, shifts[k]!).map((q) => q * (2 * level + 1));
        whole.add(subBlocks[j]!, 8 * k, values);
      });
    });
    const fitting = whole.q2 > 0 ? f(whole.qx / whole.q2) : factor;
    const half = encodeHalf(f(fitting * f(1.1125)));
    words.forEach((word, i) => {
      block[48 + 2 * i] = word & 255;
      block[49 + 2 * i] = (word >> 8) | (((half >> (4 * i)) & 15) << 4);
    });
  },
  decode(block, x) {
    const words = [0, 1, 2, 3].map((i) => block[48 + 2 * i]! | (block[49 + 2 * i]! << 8));
    const factor = decodeHalf(words.reduce((half, word, i) => half | ((word >> 12) << (4 * i)), 0));
    for (let k = 0; k < 32; k++) {
      const j = k >> 1;
      const step = f(factor * (2 * ((words[j >> 2]! >> (3 * (j & 3))) & 7) + 1));
      const high = block[32 + j]! >> (4 * (k & 1));
      const values = valuesOf(block[k]! | ((high & 7) << 8), high & 8 ? -SHIFT : SHIFT);
      x.set(
        values.map((q) => step * q),
        8 * k,
      );
    }
  },
});
