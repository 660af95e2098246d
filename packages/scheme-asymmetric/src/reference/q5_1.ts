import { blockReference } from "./block.js";
import { getHalf, putHalf } from "./float.js";
import { findSpan } from "./span.js";

/** 32 weights: scale and minimum (halves), the fifth bits of all levels (32 bits), then as Q4_1. */
export const q5_1 = blockReference({
  elements: 32,
  bytes: 2 + 2 + 4 + 16,
  encode(x, block, weighting) {
    const { scale, min, levels } = findSpan(x, 31, weighting);
    putHalf(block, 0, scale);
    putHalf(block, 2, min);
    levels.forEach((level, i) => {
      block[4 + (i >> 3)]! |= (level >> 4) << (i & 7);
      block[8 + (i & 15)]! |= (level & 15) << (i < 16 ? 0 : 4);
    });
  },
  decode(block, x) {
    const scale = getHalf(block, 0);
    const min = getHalf(block, 2);
    x.forEach((_, i) => {
      const low = (block[8 + (i & 15)]! >> (i < 16 ? 0 : 4)) & 15;
      const high = (block[4 + (i >> 3)]! >> (i & 7)) & 1;
      x[i] = Math.fround((low | (high << 4)) * scale) + min;
    });
  },
});
