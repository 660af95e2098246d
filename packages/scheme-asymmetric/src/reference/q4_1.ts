import { blockReference } from "./block.js";
import { getHalf, putHalf } from "./float.js";
import { findSpan } from "./span.js";

/** 32 weights: scale and minimum (halves), 16 bytes of two levels, the first half of the block in the low nibbles. */
export const q4_1 = blockReference({
  elements: 32,
  bytes: 2 + 2 + 16,
  encode(x, block, weighting) {
    const { scale, min, levels } = findSpan(x, 15, weighting);
    putHalf(block, 0, scale);
    putHalf(block, 2, min);
    for (let i = 0; i < 16; i++) block[4 + i] = levels[i]! | (levels[16 + i]! << 4);
  },
  decode(block, x) {
    const scale = getHalf(block, 0);
    const min = getHalf(block, 2);
    x.forEach((_, i) => {
      const level = (block[4 + (i & 15)]! >> (i < 16 ? 0 : 4)) & 15;
      x[i] = Math.fround(level * scale) + min;
    });
  },
});
