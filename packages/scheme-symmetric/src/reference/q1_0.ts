import { blockReference } from "./block.js";
import { getHalf, putHalf } from "./half.js";

const f = Math.fround;

/** 128 weights: scale (half), one bit each, set where the weight is not negative. The scale is the mean magnitude. */
export const q1_0 = blockReference({
  elements: 128,
  bytes: 2 + 16,
  encode(x, block) {
    let sum = 0;
    for (const v of x) sum = f(sum + Math.abs(v));
    putHalf(block, 0, f(sum / 128));
    x.forEach((v, i) => {
      if (v >= 0) block[2 + (i >> 3)]! |= 1 << (i & 7);
    });
  },
  decode(block, x) {
    const scale = getHalf(block, 0);
    x.forEach((_, i) => {
      x[i] = (block[2 + (i >> 3)]! >> (i & 7)) & 1 ? scale : -scale;
    });
  },
});
