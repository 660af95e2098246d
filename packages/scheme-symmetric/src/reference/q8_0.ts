import { blockReference } from "./block.js";
import { getHalf, putHalf } from "./half.js";
import { extreme } from "./scale-search.js";

const f = Math.fround;

/** 32 weights: scale (half), 32 signed bytes. The largest magnitude becomes ±127. */
export const q8_0 = blockReference({
  elements: 32,
  bytes: 2 + 32,
  encode(x, block) {
    const scale = f(Math.abs(extreme(x)) / 127);
    const inverse = scale ? f(1 / scale) : 0;
    putHalf(block, 0, scale);
    x.forEach((v, i) => {
      const scaled = f(v * inverse);
      // Half away from zero. A subnormal scale has an infinite inverse, and the level becomes 0.
      block[2 + i] = Number.isFinite(scaled) ? Math.trunc(scaled + Math.sign(scaled) * 0.5) : 0;
    });
  },
  decode(block, x) {
    const scale = getHalf(block, 0);
    const levels = new Int8Array(block.buffer, block.byteOffset + 2, 32);
    x.forEach((_, i) => {
      x[i] = levels[i]! * scale;
    });
  },
});
