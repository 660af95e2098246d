import { blockReference } from "./block.js";
import { getHalf, putHalf } from "./half.js";
import {
  Codebook,
  eightSigns,
  evenSigns,
  factorOf,
  putEight,
  searchScale,
  splitSigns,
  subBlockOf,
  subScaleLevel,
} from "./two-bit.js";
import { twoBitCodebooks } from "./two-bit-codebooks.js";
import { errorWeights, twiceMeanSquare } from "./weight.js";

const codebook = new Codebook(twoBitCodebooks.IQ2_XS, 2);
const QUANTS = 2;
const SUB_SCALES = QUANTS + 64;

/**
 * 256 weights: scale (half), 32 × (entry in 9 bits, signs in 7), the levels of sixteen sub-scales in nibbles.
 */
export const iq2_xs = blockReference({
  id: "IQ2_XS",
  elements: 256,
  bytes: SUB_SCALES + 8,
  required: true,
  encode(x, block, importance) {
    const weights = errorWeights(x, importance!, twiceMeanSquare(x) / 2);
    const { magnitudes, signs } = splitSigns(x);
    evenSigns(magnitudes, signs, weights);
    const quants = new Uint16Array(32);
    const scales = Array.from({ length: 16 }, (_, j) => {
      const sub = subBlockOf(magnitudes.subarray(16 * j, 16 * j + 16), weights.subarray(16 * j, 16 * j + 16));
      const max = Math.max(...sub.x);
      if (max < 1e-15) return 0;
      const first = Math.fround(max / 5);
      const { scale, entries } = searchScale(codebook, sub, { span: max, steps: 9, first, keep: true });
      const turned = scale < 0 ? 127 : 0;
      entries.forEach((entry, k) => {
        quants[2 * j + k] = entry | (((signs[2 * j + k]! & 127) ^ turned) << 9);
      });
      return Math.abs(scale);
    });
    const d = factorOf(scales);
    if (d === 0) return;
    putHalf(block, 0, d);
    quants.forEach((q, i) => {
      block[QUANTS + 2 * i] = q & 255;
      block[QUANTS + 2 * i + 1] = q >> 8;
    });
    for (let i = 0; i < 8; i++)
      block[SUB_SCALES + i] = subScaleLevel(scales[2 * i]!, d) | (subScaleLevel(scales[2 * i + 1]!, d) << 4);
  },
  decode(block, x) {
    const d = getHalf(block, 0);
    for (let i = 0; i < 32; i++) {
      const quant = block[QUANTS + 2 * i]! | (block[QUANTS + 2 * i + 1]! << 8);
      const level = (block[SUB_SCALES + (i >> 2)]! >> (i & 2 ? 4 : 0)) & 15;
      putEight(x.subarray(8 * i), codebook, quant & 511, eightSigns(quant >> 9), d, level);
    }
  },
});
