// IQ3_S: 256 weights as 64 entries of a codebook of 512, eight sub-blocks of 32 with a 4-bit scale each, one half for
// all.
//
//   byte 0 … 1         scale of the scales (half)
//   byte 2 … 65        low 8 bits of the entry of group i of four weights
//   byte 66 … 73       high bits: byte j holds those of the eight groups of sub-block j
//   byte 74 … 105      signs, a bit per weight
//   byte 106 … 109     levels of the scales, two in a byte; level l stands for 2 l + 1
//
// llama.cpp does not leave room for the entries and signs of a sub-block that is all zero: those of the sub-blocks
// behind it move up. So do we.
import { decodeHalf, encodeHalf } from "@fewbit/assembly";
import {
  entryBits, entryBytes, fitSubBlocks, largestScale, makeThreeBitConstants, measureFour, measureOne, scaleLevel,
  signMask, splitSigns, weighImportance, weighSquares,
} from "./three-bit";
import { IQ3_S_CODEBOOK, IQ3_S_ENTRIES } from "./three-bit-codebooks";
import { LISTS, LIST_BLOCK, buildThreeBitLattice } from "./three-bit-lattice";
import { EMPTY, REFUSED, SIGNS, VARIANCES } from "./three-bit-scratch";

const GROUPS: usize = 2;
const HIGH: usize = GROUPS + 256 / 4;
const SIGN_BYTES: usize = HIGH + 256 / 4 / 8;
const LEVELS: usize = SIGN_BYTES + 256 / 8;
const BYTES: usize = LEVELS + 8 / 2;

const TRIAL_STEPS: i32 = 9;
const SHELLS: u32 = 3;
/** A sub-block is empty if all its elements are zero: the smallest number above. */
const SMALLEST: f32 = 1.401298464324817e-45;

const LATTICE: usize = memory.data(<i32>(LISTS + LIST_BLOCK * 13700), 16);

function prepare(): void {
  buildThreeBitLattice(LATTICE, IQ3_S_CODEBOOK, IQ3_S_ENTRIES, SHELLS);
  makeThreeBitConstants(TRIAL_STEPS);
}

export function iq3_s_encode(source: usize, target: usize, rows: u32, columns: u32): void {
  prepare();
  for (const end = source + <usize>rows * columns * 4; source < end; source += 1024, target += BYTES) {
    weighSquares(source);
    encodeBlock(source, target);
  }
}

export function iq3_s_encode_weighted(source: usize, target: usize, rows: u32, columns: u32, importance: usize): void {
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
  splitSigns(source);
  fitSubBlocks(LATTICE, 2 * TRIAL_STEPS + 1, SMALLEST, true);
  pack(target);
}

function pack(target: usize): void {
  memory.fill(target, 0, BYTES);
  for (let j: usize = 0, at: usize = 0; j < 8; j++) {
    if (load<u8>(j, EMPTY)) continue;
    store<u64>(target + (at << 3), entryBytes(j), GROUPS);
    store<u32>(target + (at << 2), load<u32>(j << 2, SIGNS), SIGN_BYTES);
    store<u8>(target + j, <u8>entryBits(j), HIGH);
    at++;
  }
  const largest = largestScale();
  if (largest == 0) return;
  const step = largest / <f32>31;
  store<u16>(target, load<u32>(0, REFUSED) ? 0x7e00 : encodeHalf(step * <f32>1.033));
  for (let j: usize = 0; j < 8; j += 2)
    store<u8>(target + (j >> 1), <u8>(scaleLevel(j, <f32>1 / step) | (scaleLevel(j + 1, <f32>1 / step) << 4)), LEVELS);
}

export function iq3_s_decode(source: usize, target: usize, blocks: u32): void {
  makeDecoded();
  for (const end = target + <usize>blocks * 1024; target < end; source += BYTES, target += 1024) unpack(source, target);
}

/** Four floats per entry: the odd numbers that its levels stand for. */
const DECODED: usize = memory.data(512 * 16, 16);

function makeDecoded(): void {
  if (load<f32>(DECODED) != 0) return;
  for (let i: usize = 0; i < 2048; i++) {
    const point = <u32>load<u16>(IQ3_S_CODEBOOK + (i >> 2 << 1));
    const level = (point >>> (3 * (<u32>i & 3))) & 7;
    store<f32>(DECODED + (i << 2), <f32>(level + level + 1));
  }
}

function unpack(source: usize, target: usize): void {
  const factor = decodeHalf(load<u16>(source));
  for (let j: usize = 0; j < 8; j++) {
    const level = (<u32>load<u8>(source + (j >> 1), LEVELS) >>> (4 * (<u32>j & 1))) & 15;
    const step = f32x4.splat(factor * <f32>(level + level + 1));
    let high = <usize>load<u8>(source + j, HIGH) << 8;
    for (let k: usize = 0; k < 4; k++, target += 32, high >>= 2) {
      const signs = <u32>load<u8>(source + (j << 2) + k, SIGN_BYTES);
      const groups = source + (j << 3) + (k << 1);
      const first = DECODED + ((<usize>load<u8>(groups, GROUPS) | (high & 256)) << 4);
      const second = DECODED + ((<usize>load<u8>(groups, GROUPS + 1) | ((high >> 1) & 256)) << 4);
      v128.store(target, v128.xor(f32x4.mul(step, v128.load(first)), signMask(signs)));
      v128.store(target, v128.xor(f32x4.mul(step, v128.load(second)), signMask(signs >>> 4)), 16);
    }
  }
}
