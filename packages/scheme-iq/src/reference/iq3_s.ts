import { blockReference } from "./block.js";
import { getHalf, putHalf } from "./half.js";
import { Codebook, searchScale, squares } from "./three-bit.js";
import { threeBitCodebooks } from "./three-bit-codebooks.js";
import { factorOf, splitSigns, subBlockOf, subScaleLevel } from "./two-bit.js";
import { errorWeights, twiceMeanSquare } from "./weight.js";

const f = Math.fround;
const codebook = new Codebook(threeBitCodebooks.IQ3_S, 3, [1, 3, 5, 7, 9, 11, 13, 15]);
const LOW = 2;
const HIGH = LOW + 64;
const SIGNS = HIGH + 8;
const SUB_SCALES = SIGNS + 32;

/**
 * 256 weights: scale (half), the low byte of an entry for every four weights, high bits of these, signs, and two levels
 * of sub-scales per byte.
 */
export const iq3_s = blockReference({
  id: "IQ3_S",
  elements: 256,
  bytes: SUB_SCALES + 4,
  encode(x, block, importance) {
    const weights = importance ? errorWeights(x, importance, twiceMeanSquare(x)) : squares(x);
    const { magnitudes, signs } = splitSigns(x);
    // llama.cpp leaves no room for a sub-block of zeros: entries and signs of those behind move up.
    let at = 0;
    const scales = Array.from({ length: 8 }, (_, j) => {
      const sub = subBlockOf(magnitudes.subarray(32 * j, 32 * j + 32), weights.subarray(32 * j, 32 * j + 32));
      if (Math.max(...sub.x) === 0) return 0;
      const { scale, entries } = searchScale(codebook, sub, { steps: 9, keep: false });
      entries.forEach((entry, k) => {
        block[LOW + 8 * at + k] = entry;
        block[HIGH + j] = block[HIGH + j]! | ((entry >> 8) << k);
      });
      const turned = scale < 0 ? 255 : 0;
      for (let k = 0; k < 4; k++) block[SIGNS + 4 * at + k] = signs[4 * j + k]! ^ turned;
      at++;
      return Math.abs(scale);
    });
    const d = factorOf(scales);
    if (d === 0) return;
    putHalf(block, 0, f(d * f(1.033))); // a little more gives a smaller error
    for (let i = 0; i < 4; i++)
      block[SUB_SCALES + i] = subScaleLevel(scales[2 * i]!, d) | (subScaleLevel(scales[2 * i + 1]!, d) << 4);
  },
  decode(block, x) {
    const d = getHalf(block, 0);
    for (let i = 0; i < 64; i++) {
      const j = i >> 3;
      const level = (block[SUB_SCALES + (j >> 1)]! >> (j & 1 ? 4 : 0)) & 15;
      const entry = block[LOW + i]! | (((block[HIGH + j]! >> (i & 7)) & 1) << 8);
      const signs = block[SIGNS + (i >> 1)]! >> (4 * (i & 1));
      codebook.put(x.subarray(4 * i), entry, signs, f(d * (1 + 2 * level)));
    }
  },
});
