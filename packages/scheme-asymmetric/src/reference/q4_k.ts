import { blockReference } from "./block.js";
import { getHead, putHead, sizeWeights } from "./six-bits.js";
import { findLevels, findScales, type SuperBlockType, weightsOf } from "./super-block.js";

const type: SuperBlockType = {
  size: 32,
  top: 15,
  unitTop: 63,
  trials: { first: -1, delta: 0.1, last: 20 },
  weights: sizeWeights,
  variance: 2,
  limits: [63, 255], // with importance llama.cpp does not limit these bytes
};

/** 256 weights: units and eight scales and minimums in 16 bytes, then runs of 32 bytes for 64 weights each. */
export const q4_k = blockReference({
  elements: 256,
  bytes: 2 + 2 + 12 + 128,
  encode(x, block, weighting) {
    const found = findScales(x, type, weighting);
    putHead(block, found);
    findLevels(x, type, getHead(block), found).forEach((level, i) => {
      block[byteOf(i)]! |= level << shiftOf(i);
    });
  },
  decode(block, x) {
    weightsOf(x, type.size, getHead(block), (i) => (block[byteOf(i)]! >> shiftOf(i)) & 15);
  },
});

/** The first half of a run is in the low nibbles, the second in the high ones. */
const byteOf = (i: number): number => 16 + (i >> 6) * 32 + (i & 31);
const shiftOf = (i: number): number => (i & 32 ? 4 : 0);
