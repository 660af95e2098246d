import { blockReference } from "./block.js";
import { getHalf, putHalf } from "./float.js";
import { findLevels, findScales, type Head, type SuperBlockType, weightsOf } from "./super-block.js";

const f = Math.fround;

const type: SuperBlockType = {
  size: 16,
  top: 3,
  unitTop: 15,
  trials: { first: -0.5, delta: 0.1, last: 15, absolute: true },
  weights: (x) => x.map(Math.abs),
  variance: 1,
  limits: [255, 255],
};

/** 256 weights: 16 bytes of a scale and a minimum, 64 bytes of four levels from weights 32 apart, two units. */
export const q2_k = blockReference({
  elements: 256,
  bytes: 16 + 64 + 2 + 2,
  encode(x, block, weighting) {
    const found = findScales(x, type, weighting);
    putHalf(block, 80, found.scales.unit);
    putHalf(block, 82, found.mins.unit);
    for (let j = 0; j < 16; j++) block[j] = found.scales.levels[j]! | (found.mins.levels[j]! << 4);
    findLevels(x, type, getHead(block), found).forEach((level, i) => {
      block[byteOf(i)]! |= level << shiftOf(i);
    });
  },
  decode(block, x) {
    weightsOf(x, type.size, getHead(block), (i) => (block[byteOf(i)]! >> shiftOf(i)) & 3);
  },
});

const byteOf = (i: number): number => 16 + (i >> 7) * 32 + (i & 31);
const shiftOf = (i: number): number => ((i >> 5) & 3) * 2;

function getHead(block: Uint8Array): Head {
  const d = getHalf(block, 80);
  const dmin = getHalf(block, 82);
  const bytes = Array.from(block.subarray(0, 16));
  return { scales: bytes.map((b) => f(d * (b & 15))), mins: bytes.map((b) => f(dmin * (b >> 4))) };
}
