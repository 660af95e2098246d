import { blockReference } from "./block.js";
import { getHead, putHead, sizeWeights } from "./six-bits.js";
import { findLevels, findScales, type SuperBlockType, weightsOf } from "./super-block.js";

const type: SuperBlockType = {
  size: 32,
  top: 31,
  unitTop: 63,
  trials: { first: -0.5, delta: 0.1, last: 15 },
  weights: sizeWeights,
  variance: 2,
  limits: [63, 63],
};

/** 256 weights: units and eight scales and minimums in 16 bytes, 32 bytes of high bits, then as Q4_K. */
export const q5_k = blockReference({
  elements: 256,
  bytes: 2 + 2 + 12 + 32 + 128,
  encode(x, block, weighting) {
    const found = findScales(x, type, weighting);
    putHead(block, found);
    findLevels(x, type, getHead(block), found).forEach((level, i) => {
      block[16 + (i & 31)]! |= (level >> 4) << (i >> 5);
      block[byteOf(i)]! |= (level & 15) << shiftOf(i);
    });
  },
  decode(block, x) {
    weightsOf(x, type.size, getHead(block), (i) => {
      const high = (block[16 + (i & 31)]! >> (i >> 5)) & 1;
      return ((block[byteOf(i)]! >> shiftOf(i)) & 15) | (high << 4);
    });
  },
});

const byteOf = (i: number): number => 48 + (i >> 6) * 32 + (i & 31);
const shiftOf = (i: number): number => (i & 32 ? 4 : 0);
