import { blockReference } from "./block.js";
import { getHalf, putHalf } from "./half.js";
import { ternary } from "./ternary.js";

/** 256 ternary weights: 64 bytes of four levels of two bits, which are weights 32 apart, then the scale (half). */
export const tq2_0 = blockReference({
  elements: 256,
  bytes: 64 + 2,
  encode(x, block) {
    const { scale, levels } = ternary(x, 0);
    levels.forEach((level, i) => {
      block[(i >> 7) * 32 + (i & 31)]! |= (level + 1) << (2 * ((i >> 5) & 3));
    });
    putHalf(block, 64, scale);
  },
  decode(block, x) {
    const scale = getHalf(block, 64);
    x.forEach((_, i) => {
      x[i] = (((block[(i >> 7) * 32 + (i & 31)]! >> (2 * ((i >> 5) & 3))) & 3) - 1) * scale;
    });
  },
});
