// IQ3_XXS: 256 weights as 64 entries of a codebook of 256, eight sub-blocks of 32 with a 4-bit scale each, one half for
// all.
//
//   byte 0 … 1         scale of the scales (half)
//   byte 2 … 65        entry of group i of four weights
//   byte 66 … 97       a word per sub-block: 7 signs of each eight weights, the eighth being even parity, and in bits
//                      28 … 31 the level of the scale, which stands for level + ½
import { decodeHalf, encodeHalf } from "@fewbit/assembly";
import {
  entryBytes, fitSubBlocks, largestScale, makeThreeBitConstants, measureFour, measureOne, scaleLevel, signMask,
  splitEvenSigns, weighImportance, weighSquares,
} from "./three-bit";
import { IQ3_XXS_CODEBOOK, IQ3_XXS_ENTRIES } from "./three-bit-codebooks";
import { LISTS, LIST_BLOCK, buildThreeBitLattice } from "./three-bit-lattice";
import { EMPTY, REFUSED, SIGNS, VARIANCES } from "./three-bit-scratch";

const GROUPS: usize = 2;
const WORDS: usize = GROUPS + 256 / 4;
const BYTES: usize = WORDS + 8 * 4;

const TRIAL_STEPS: i32 = 15;
const SHELLS: u32 = 2;
/** Below this a sub-block counts as all zero. */
const TINY: f32 = 1e-8;

const LATTICE: usize = memory.data(<i32>(LISTS + LIST_BLOCK * 11600), 16);

function prepare(): void {
  buildThreeBitLattice(LATTICE, IQ3_XXS_CODEBOOK, IQ3_XXS_ENTRIES, SHELLS);
  makeThreeBitConstants(TRIAL_STEPS);
}

export function iq3_xxs_encode(source: usize, target: usize, rows: u32, columns: u32): void {
  prepare();
  for (const end = source + <usize>rows * columns * 4; source < end; source += 1024, target += BYTES) {
    weighSquares(source);
    encodeBlock(source, target);
  }
}

export function iq3_xxs_encode_weighted(
  source: usize, target: usize, rows: u32, columns: u32, importance: usize,
): void {
  prepare();
  const blocks = (columns >>> 8) * rows;
  let column: u32 = 0;
  for (let block: u32 = 0; block < blocks; block++, source += 1024, target += BYTES) {
    if (block + 4 > blocks) measureOne(source);
    else if ((block & 3) == 0) measureFour(source);
    const variance = load<f32>(block + 4 > blocks ? 0 : <usize>(block & 3) << 2, VARIANCES);
    weighImportance(source, importance + (<usize>column << 2), variance);
    encodeBlock(source, target);
    column = column + 256 < columns ? column + 256 : 0;
  }
}

function encodeBlock(source: usize, target: usize): void {
  store<u32>(0, 0, REFUSED);
  splitEvenSigns(source);
  fitSubBlocks(LATTICE, 2 * TRIAL_STEPS + 1, TINY, false);
  pack(target);
}

function pack(target: usize): void {
  const largest = largestScale();
  if (largest == 0) {
    memory.fill(target, 0, BYTES);
    return;
  }
  const step = largest / <f32>31;
  store<u16>(target, load<u32>(0, REFUSED) ? 0x7e00 : encodeHalf(step * <f32>1.0125));
  for (let j: usize = 0; j < 8; j++) {
    store<u64>(target + (j << 3), entryBytes(j), GROUPS);
    store<u32>(target + (j << 2), sevenSigns(j) | (scaleLevel(j, <f32>1 / step) << 28), WORDS);
  }
}

/** The signs of a sub-block without every eighth; empty ones have none. */
// @ts-ignore: decorator
@inline
function sevenSigns(j: usize): u32 {
  if (load<u8>(j, EMPTY)) return 0;
  const signs = load<u32>(j << 2, SIGNS);
  return (signs & 127) | ((signs >>> 1) & 0x3f80) | ((signs >>> 2) & 0x1fc000) | ((signs >>> 3) & 0xfe00000);
}

export function iq3_xxs_decode(source: usize, target: usize, blocks: u32): void {
  makeDecoded();
  for (const end = target + <usize>blocks * 1024; target < end; source += BYTES, target += 1024) unpack(source, target);
}

/** Decoded values of the levels 0 … 7: four times the odd numbers that the search uses, except the last. */
const VALUES: usize = memory.data<u8>([4, 12, 20, 28, 36, 44, 52, 62]);
/** Four floats per entry. */
const DECODED: usize = memory.data(256 * 16, 16);

function makeDecoded(): void {
  if (load<f32>(DECODED) != 0) return;
  for (let i: usize = 0; i < 1024; i++) {
    const point = <u32>load<u16>(IQ3_XXS_CODEBOOK + (i >> 2 << 1));
    store<f32>(DECODED + (i << 2), <f32>load<u8>(VALUES + ((point >>> (3 * (<u32>i & 3))) & 7)));
  }
}

function unpack(source: usize, target: usize): void {
  const factor = decodeHalf(load<u16>(source));
  for (let j: usize = 0; j < 8; j++) {
    const word = load<u32>(source + (j << 2), WORDS);
    const step = f32x4.splat(factor * (<f32>0.5 + <f32>(word >>> 28)) * <f32>0.5);
    for (let k: usize = 0; k < 4; k++, target += 32) {
      const seven = (word >>> (7 * <u32>k)) & 127;
      const signs = seven | ((popcnt(seven) & 1) << 7);
      const groups = source + (j << 3) + (k << 1);
      const first = DECODED + (<usize>load<u8>(groups, GROUPS) << 4);
      const second = DECODED + (<usize>load<u8>(groups, GROUPS + 1) << 4);
      v128.store(target, v128.xor(f32x4.mul(step, v128.load(first)), signMask(signs)));
      v128.store(target, v128.xor(f32x4.mul(step, v128.load(second)), signMask(signs >>> 4)), 16);
    }
  }
}
