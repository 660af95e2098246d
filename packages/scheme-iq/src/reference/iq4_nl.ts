import { blockReference } from "./block.js";
import { getHalf, putHalf } from "./half.js";
import { getLevels, levelsOf, putLevels, searchScale, values } from "./iq4.js";
import { errorWeights, twiceMeanSquare } from "./weight.js";

const f = Math.fround;

/** 32 weights: scale (half), 16 bytes of two levels, the first half of the block in the low nibbles. */
export const iq4_nl = blockReference({
  id: "IQ4_NL",
  elements: 32,
  bytes: 2 + 16,
  encode(x, block, importance) {
    const weights = importance ? errorWeights(x, importance, twiceMeanSquare(x)) : x.map((v) => v * v);
    const scale = searchScale(x, weights);
    putHalf(block, 0, scale);
    putLevels(block, 2, levelsOf(x, scale === 0 ? 0 : f(1 / scale)));
  },
  decode(block, x) {
    const scale = getHalf(block, 0);
    x.set(getLevels(block, 2));
    for (let i = 0; i < 32; i++) x[i] = scale * values[x[i]!]!;
  },
});
