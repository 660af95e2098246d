import { blockReference } from "./block.js";
import { firstScale } from "./first-scale.js";
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

const codebook = new Codebook(twoBitCodebooks.IQ2_XXS, 2);
const QUANTS = 2;

/**
 * 256 weights: scale (half), then for every 32 weights four bytes of entries and 32 bits: four times seven signs, and
 * the level of the sub-scale on top.
 */
export const iq2_xxs = blockReference({
  id: "IQ2_XXS",
  elements: 256,
  bytes: QUANTS + 64,
  required: true,
  encode(x, block, importance) {
    const weights = errorWeights(x, importance!, twiceMeanSquare(x) / 2);
    const { magnitudes, signs } = splitSigns(x);
    evenSigns(magnitudes, signs, weights);
    const view = new DataView(block.buffer, block.byteOffset, block.length);
    const scales = Array.from({ length: 8 }, (_, j) => {
      const sub = subBlockOf(magnitudes.subarray(32 * j, 32 * j + 32), weights.subarray(32 * j, 32 * j + 32));
      if (Math.max(...sub.x) < 1e-15) return 0;
      const first = firstScale(sub.x, sub.weights);
      const span = Math.fround(first * 3);
      if (span <= 0) return 0;
      const { scale, entries } = searchScale(codebook, sub, { span, steps: 6, first, keep: false });
      const turned = scale < 0 ? 127 : 0;
      let bits = 0;
      entries.forEach((entry, k) => {
        block[QUANTS + 8 * j + k] = entry;
        bits |= ((signs[4 * j + k]! & 127) ^ turned) << (7 * k);
      });
      view.setUint32(QUANTS + 8 * j + 4, bits, true);
      return Math.abs(scale);
    });
    const d = factorOf(scales);
    if (d === 0) {
      block.fill(0);
      return;
    }
    putHalf(block, 0, d);
    scales.forEach((scale, j) => {
      const top = QUANTS + 8 * j + 7;
      block[top] = block[top]! | (subScaleLevel(scale, d) << 4);
    });
  },
  decode(block, x) {
    const d = getHalf(block, 0);
    const view = new DataView(block.buffer, block.byteOffset, block.length);
    for (let i = 0; i < 32; i++) {
      const at = QUANTS + 8 * (i >> 2);
      const bits = view.getUint32(at + 4, true);
      const signs = eightSigns((bits >>> (7 * (i & 3))) & 127);
      putEight(x.subarray(8 * i), codebook, block[at + (i & 3)]!, signs, d, bits >>> 28);
    }
  },
});
