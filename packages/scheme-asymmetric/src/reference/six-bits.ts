// The first 16 bytes of Q4_K and Q5_K: two units, then eight scales s and eight minimums m of six bits.
//
//   4 + j   [ s(j+4) 5…4 | s(j) 5…0 ]
//   8 + j   [ m(j+4) 5…4 | m(j) 5…0 ]     j = 0 … 3
//  12 + j   [ m(j+4) 3…0 | s(j+4) 3…0 ]
import { getHalf, putHalf } from "./float.js";
import type { Found, Head } from "./super-block.js";

const f = Math.fround;

/** The size of a sub-block's weights on average, plus that of the weight itself. */
export function sizeWeights(x: Float32Array): Float32Array {
  let sum = 0;
  for (const v of x) sum = f(sum + f(v * v));
  const rms = f(Math.sqrt(f(sum / x.length)));
  return x.map((v) => rms + Math.abs(v));
}

export function putHead(block: Uint8Array, { scales, mins }: Found): void {
  putHalf(block, 0, scales.unit);
  putHalf(block, 2, mins.unit);
  for (let j = 0; j < 4; j++) {
    const s = scales.levels[j + 4]!;
    const m = mins.levels[j + 4]!;
    block[4 + j] = scales.levels[j]! | ((s >> 4) << 6);
    block[8 + j] = mins.levels[j]! | ((m >> 4) << 6);
    block[12 + j] = (s & 15) | (m << 4);
  }
}

export function getHead(block: Uint8Array): Head {
  const six = (j: number, at: number, shift: number) =>
    j < 4 ? block[at + j]! & 63 : ((block[8 + j]! >> shift) & 15) | ((block[at + j - 4]! >> 6) << 4);
  const d = getHalf(block, 0);
  const dmin = getHalf(block, 2);
  const eight = [0, 1, 2, 3, 4, 5, 6, 7];
  return { scales: eight.map((j) => f(d * six(j, 4, 0))), mins: eight.map((j) => f(dmin * six(j, 8, 4))) };
}
