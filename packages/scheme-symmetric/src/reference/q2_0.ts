import { blockReference } from "./block.js";
import { getHalf, putHalf } from "./half.js";
import { ternary } from "./ternary.js";

/** 64 weights: scale (half), two bits each. The format has levels -1 … 2; the encoder uses -1 … 1. */
export const q2_0 = blockReference({
  elements: 64,
  bytes: 2 + 16,
  encode(x, block) {
    const { scale, levels } = ternary(x, -1);
    putHalf(block, 0, scale);
    levels.forEach((level, i) => {
      block[2 + (i >> 2)]! |= (level + 1) << (2 * (i & 3));
    });
  },
  decode(block, x) {
    const scale = getHalf(block, 0);
    x.forEach((_, i) => {
      x[i] = (((block[2 + (i >> 2)]! >> (2 * (i & 3))) & 3) - 1) * scale;
    });
  },
});
