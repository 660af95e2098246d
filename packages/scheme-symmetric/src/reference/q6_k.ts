import { blockReference } from "./block.js";
import { getHalf, putHalf } from "./half.js";
import { extreme, searchScale } from "./scale-search.js";
import { nearestInt, requantize, subBlock } from "./sub-blocks.js";

const f = Math.fround;

const HIGH = 256 / 2;
const SCALES = HIGH + 256 / 4;
const FACTOR = SCALES + 16;

/** Where weight `i` of 256 lies: a nibble of one byte, two bits of another. */
function place(i: number) {
  const half = i >> 7;
  const within = i & 127;
  return {
    low: 64 * half + (within & 63),
    lowShift: 4 * (within >> 6),
    high: HIGH + 32 * half + (within & 31),
    highShift: 2 * (within >> 5),
  };
}

/** 256 weights: 6-bit levels (low nibbles, then high bits), 16 signed scales, a half that multiplies them. */
export const q6_k = blockReference({
  elements: 256,
  bytes: 256 / 2 + 256 / 4 + 16 + 2,
  encode(x, block, weighting) {
    const scales = new Float32Array(16);
    const levels = new Uint8Array(256);
    for (let j = 0; j < 16; j++) {
      const found = searchScale(subBlock(x, j), 32, weighting && subBlock(weighting.importance, j));
      scales[j] = found.scale;
      levels.set(found.levels, 16 * j);
    }
    const max = extreme(scales);
    if (Math.abs(max) < f(1e-15)) return;

    const inverse = f(-128 / max);
    putHalf(block, FACTOR, f(1 / inverse));
    const factor = getHalf(block, FACTOR);
    for (let j = 0; j < 16; j++) {
      const scale = Math.min(127, nearestInt(f(inverse * scales[j]!)));
      block[SCALES + j] = scale;
      requantize(subBlock(x, j), f(factor * scale), 32, subBlock(levels, j));
    }
    levels.forEach((level, i) => {
      const { low, lowShift, high, highShift } = place(i);
      block[low]! |= (level & 15) << lowShift;
      block[high]! |= (level >> 4) << highShift;
    });
  },
  decode(block, x) {
    const factor = getHalf(block, FACTOR);
    const scales = new Int8Array(block.buffer, block.byteOffset + SCALES, 16);
    x.forEach((_, i) => {
      const { low, lowShift, high, highShift } = place(i);
      const level = ((block[low]! >> lowShift) & 15) | (((block[high]! >> highShift) & 3) << 4);
      x[i] = f(factor * scales[i >> 4]!) * (level - 32);
    });
  },
});
