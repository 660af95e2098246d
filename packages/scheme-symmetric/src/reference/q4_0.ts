import { blockReference } from "./block.js";
import { getHalf, putHalf } from "./half.js";
import { rounded, searched } from "./signed-scale.js";

/**
 * 32 weights: scale (half), 16 bytes of two levels, the first half of the block in the low nibbles.
 * The weight of largest magnitude becomes level 0, that is -8 scales: the scale takes the sign that makes it so.
 */
export const q4_0 = blockReference({
  elements: 32,
  bytes: 2 + 16,
  encode(x, block, weighting) {
    const { scale, levels } = weighting ? searched(x, 8, weighting) : rounded(x, 8);
    putHalf(block, 0, scale);
    for (let i = 0; i < 16; i++) block[2 + i] = levels[i]! | (levels[16 + i]! << 4);
  },
  decode(block, x) {
    const scale = getHalf(block, 0);
    for (let i = 0; i < 16; i++) {
      x[i] = ((block[2 + i]! & 15) - 8) * scale;
      x[16 + i] = ((block[2 + i]! >> 4) - 8) * scale;
    }
  },
});
