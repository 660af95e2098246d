import { blockReference } from "./block.js";
import { getHalf, putHalf } from "./half.js";
import { getLevels, levelsOf, putLevels, searchScale, values } from "./iq4.js";
import { errorWeights, nearestInt, twiceMeanSquare } from "./weight.js";

const f = Math.fround;

/**
 * 256 weights in eight sub-blocks of 32: scale of the scales (half), the upper two bits of eight 6-bit scales, their
 * lower four bits in four bytes, and for each sub-block 16 bytes of two levels.
 */
export const iq4_xs = blockReference({
  id: "IQ4_XS",
  elements: 256,
  bytes: 2 + 2 + 4 + 128,
  encode(x, block, importance) {
    const weights = importance ? errorWeights(x, importance, twiceMeanSquare(x)) : x.map((v) => v * v);
    const sub = (of: Float32Array, j: number) => of.subarray(32 * j, 32 * j + 32);
    const scales = Array.from({ length: 8 }, (_, j) => searchScale(sub(x, j), sub(weights, j)));
    const max = scales.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a), 0);
    const factor = f(-max / 32);
    const inverse = factor === 0 ? 0 : f(1 / factor);
    putHalf(block, 0, factor);
    scales.forEach((scale, j) => {
      const level = Math.max(-32, Math.min(31, nearestInt(f(inverse * scale))));
      const step = f(factor * level);
      putLevels(block, 8 + 16 * j, levelsOf(sub(x, j), step === 0 ? 0 : f(1 / step)));
      block[2 + (j >> 2)]! |= ((level + 32) >> 4) << (2 * (j & 3));
      block[4 + (j >> 1)]! |= ((level + 32) & 15) << (4 * (j & 1));
    });
  },
  decode(block, x) {
    const factor = getHalf(block, 0);
    for (let j = 0; j < 8; j++) {
      const high = (block[2 + (j >> 2)]! >> (2 * (j & 3))) & 3;
      const low = (block[4 + (j >> 1)]! >> (4 * (j & 1))) & 15;
      const step = f(factor * ((high << 4) + low - 32));
      getLevels(block, 8 + 16 * j).forEach((level, i) => {
        x[32 * j + i] = step * values[level]!;
      });
    }
  },
});
