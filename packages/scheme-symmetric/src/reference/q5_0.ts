import { blockReference } from "./block.js";
import { getHalf, putHalf } from "./half.js";
import { rounded, searched } from "./signed-scale.js";

/**
 * 32 weights: scale (half), the fifth bits of all levels (32 bits), then as Q4_0.
 * The weight of largest magnitude becomes level 0, that is -16 scales.
 */
export const q5_0 = blockReference({
  elements: 32,
  bytes: 2 + 4 + 16,
  encode(x, block, weighting) {
    const { scale, levels } = weighting ? searched(x, 16, weighting) : rounded(x, 16);
    putHalf(block, 0, scale);
    levels.forEach((level, i) => {
      block[2 + (i >> 3)]! |= (level >> 4) << (i & 7);
      block[6 + (i & 15)]! |= (level & 15) << (i < 16 ? 0 : 4);
    });
  },
  decode(block, x) {
    const scale = getHalf(block, 0);
    x.forEach((_, i) => {
      const low = (block[6 + (i & 15)]! >> (i < 16 ? 0 : 4)) & 15;
      const high = (block[2 + (i >> 3)]! >> (i & 7)) & 1;
      x[i] = (low + 16 * high - 16) * scale;
    });
  },
});
