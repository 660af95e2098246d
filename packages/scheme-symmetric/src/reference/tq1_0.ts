import { blockReference } from "./block.js";
import { getHalf, putHalf } from "./half.js";
import { ternary } from "./ternary.js";

/**
 * Runs of bytes that hold five trits each (the last run: four). A byte's trits are weights `width` apart, so that
 * consecutive bytes hold consecutive weights.
 */
const runs = [
  { byte: 0, width: 32, trits: 5, first: 0 },
  { byte: 32, width: 16, trits: 5, first: 160 },
  { byte: 48, width: 4, trits: 4, first: 240 },
];

/**
 * 256 ternary weights: 48 bytes of five trits, 4 bytes of four trits, scale (half).
 * A byte is the fraction 0.t₀t₁t₂t₃t₄ in base 3, in units of 1⁄256 and rounded up, so that multiplying by 3 pushes
 * out one trit after the other.
 */
export const tq1_0 = blockReference({
  elements: 256,
  bytes: 48 + 4 + 2,
  encode(x, block) {
    const { scale, levels } = ternary(x, 0);
    for (const { byte, width, trits, first } of runs)
      for (let i = 0; i < width; i++) {
        let number = 0;
        for (let t = 0; t < 5; t++)
          number = number * 3 + (t < trits ? levels[first + i + t * width]! + 1 : 0);
        block[byte + i] = Math.ceil((number * 256) / 243);
      }
    putHalf(block, 52, scale);
  },
  decode(block, x) {
    const scale = getHalf(block, 52);
    for (const { byte, width, trits, first } of runs)
      for (let i = 0; i < width; i++)
        for (let t = 0; t < trits; t++) {
          const fraction = (block[byte + i]! * 3 ** t) & 255;
          x[first + i + t * width] = (((fraction * 3) >> 8) - 1) * scale;
        }
  },
});
