import { blockReference } from "./block.js";
import { getHalf, putHalf } from "./half.js";
import { Codebook, searchScale, squares } from "./three-bit.js";
import { threeBitCodebooks } from "./three-bit-codebooks.js";
import { eightSigns, evenSigns, factorOf, splitSigns, subBlockOf, subScaleLevel } from "./two-bit.js";
import { errorWeights, twiceMeanSquare } from "./weight.js";

const f = Math.fround;
const codebook = new Codebook(threeBitCodebooks.IQ3_XXS, 2, [4, 12, 20, 28, 36, 44, 52, 62]);
const ENTRIES = 2;
const WORDS = ENTRIES + 64;

/**
 * 256 weights: scale (half), an entry (byte) for every four weights, then 32 bits for every 32: four times seven signs,
 * and the level of the sub-scale on top.
 */
export const iq3_xxs = blockReference({
  id: "IQ3_XXS",
  elements: 256,
  bytes: WORDS + 32,
  encode(x, block, importance) {
    const weights = importance ? errorWeights(x, importance, twiceMeanSquare(x)) : squares(x);
    const { magnitudes, signs } = splitSigns(x);
    evenSigns(magnitudes, signs, weights);
    const words = new DataView(block.buffer, block.byteOffset + WORDS, 32);
    const scales = Array.from({ length: 8 }, (_, j) => {
      const sub = subBlockOf(magnitudes.subarray(32 * j, 32 * j + 32), weights.subarray(32 * j, 32 * j + 32));
      if (Math.max(...sub.x) < f(1e-8)) return 0;
      const { scale, entries } = searchScale(codebook, sub, { steps: 15, keep: true });
      const turned = scale < 0 ? 127 : 0;
      let bits = 0;
      for (let k = 0; k < 4; k++) bits |= ((signs[4 * j + k]! & 127) ^ turned) << (7 * k);
      words.setUint32(4 * j, bits, true);
      block.set(entries, ENTRIES + 8 * j);
      return Math.abs(scale);
    });
    const d = factorOf(scales);
    if (d === 0) {
      block.fill(0);
      return;
    }
    putHalf(block, 0, f(d * f(1.0125))); // a little more gives a smaller error
    scales.forEach((scale, j) => {
      words.setUint8(4 * j + 3, words.getUint8(4 * j + 3) | (subScaleLevel(scale, d) << 4));
    });
  },
  decode(block, x) {
    const d = getHalf(block, 0);
    const words = new DataView(block.buffer, block.byteOffset + WORDS, 32);
    for (let i = 0; i < 64; i++) {
      const word = words.getUint32(4 * (i >> 3), true);
      const scale = f(f(d * f(0.5 + (word >>> 28))) * 0.5);
      const signs = eightSigns((word >>> (7 * ((i >> 1) & 3))) & 127);
      codebook.put(x.subarray(4 * i), block[ENTRIES + i]!, signs >> (4 * (i & 1)), scale);
    }
  },
});
