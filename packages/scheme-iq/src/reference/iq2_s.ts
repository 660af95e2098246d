import { blockReference } from "./block.js";
import { getHalf, putHalf } from "./half.js";
import {
  Codebook,
  factorOf,
  putEight,
  searchScale,
  splitSigns,
  subBlockOf,
  subScaleLevel,
} from "./two-bit.js";
import { twoBitCodebooks } from "./two-bit-codebooks.js";
import { errorWeights, twiceMeanSquare } from "./weight.js";

const f = Math.fround;
const codebook = new Codebook(twoBitCodebooks.IQ2_S, 1);
const LOW = 2;
const SIGNS = LOW + 32;
const HIGH = SIGNS + 32;
const SUB_SCALES = HIGH + 8;

/**
 * 256 weights: scale (half), the low bytes of 32 entries, 32 bytes of signs, the high two bits of four entries per byte,
 * the levels of sixteen sub-scales in nibbles.
 */
export const iq2_s = blockReference({
  id: "IQ2_S",
  elements: 256,
  bytes: SUB_SCALES + 8,
  encode(x, block, importance) {
    const sigma2 = twiceMeanSquare(x);
    const weights = importance
      ? errorWeights(x, importance, sigma2)
      : x.map((v) => f(f(0.25 * sigma2) + f(v * v)));
    const { magnitudes, signs } = splitSigns(x);
    const scales = Array.from({ length: 16 }, (_, j) => {
      const sub = subBlockOf(magnitudes.subarray(16 * j, 16 * j + 16), weights.subarray(16 * j, 16 * j + 16));
      const max = Math.max(...sub.x);
      if (max < f(1e-8)) return 0;
      const first = f(max / 5);
      const { scale, entries } = searchScale(codebook, sub, { span: max, steps: 9, first, keep: true });
      const turned = scale < 0 ? 255 : 0;
      entries.forEach((entry, k) => {
        const i = 2 * j + k;
        block[LOW + i] = entry & 255;
        block[HIGH + (i >> 2)] = block[HIGH + (i >> 2)]! | ((entry >> 8) << (2 * (i & 3)));
        block[SIGNS + i] = signs[i]! ^ turned;
      });
      return Math.abs(scale);
    });
    const d = factorOf(scales);
    if (d === 0) return;
    putHalf(block, 0, f(d * f(0.9875)));
    for (let i = 0; i < 8; i++)
      block[SUB_SCALES + i] = subScaleLevel(scales[2 * i]!, d) | (subScaleLevel(scales[2 * i + 1]!, d) << 4);
  },
  decode(block, x) {
    const d = getHalf(block, 0);
    for (let i = 0; i < 32; i++) {
      const high = (block[HIGH + (i >> 2)]! >> (2 * (i & 3))) & 3;
      const level = (block[SUB_SCALES + (i >> 2)]! >> (i & 2 ? 4 : 0)) & 15;
      putEight(x.subarray(8 * i), codebook, block[LOW + i]! | (high << 8), block[SIGNS + i]!, d, level);
    }
  },
});
