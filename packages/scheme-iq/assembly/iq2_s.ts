// IQ2_S: 256 weights, 82 bytes. Eights of weights are entries of a codebook of 1024 with signs; every 16 have a scale.
//
//   byte 0 … 1      scale d (half)
//   byte 2 … 33     low 8 bits of the entries
//   byte 34 … 65    signs, a byte per eight
//   byte 66 … 73    high 2 bits of the entries, four to a byte
//   byte 74 … 81    levels l of the scales of two sub-blocks of 16, the first in the low nibble
//
//   weight = d (l + ½) / 4 · (8, 25 or 43) · sign
import { decodeHalf, encodeHalf } from "@fewbit/assembly";
import { LISTS, LIST_BLOCK, buildLattice } from "./two-bit-lattice";
import { expandMagnitudes, putEight, scaleOf } from "./two-bit-decoding";
import { multiply, splitSigns, sumOfSquares, weighAlone, weighWith } from "./two-bit-magnitudes";
import { ENTRIES, SIGNS } from "./two-bit-scratch";
import { acceptBlock, refused } from "./two-bit-search";
import { prepareTrials, searchSixteens } from "./two-bit-sixteens";
import { packSubScales } from "./two-bit-sub-scales";
import { IQ2_S_CODEBOOK, IQ2_S_ENTRIES } from "./two-bit-codebooks";

const LOW: usize = 2;
const SIGN_BYTES: usize = LOW + 32;
const HIGH: usize = SIGN_BYTES + 32;
const SUB_SCALES: usize = HIGH + 32 / 4;
const BYTES: usize = SUB_SCALES + 16 / 2;

const EMPTY: f32 = 1e-8;
const LIST_BLOCKS: usize = 6384; // that all candidates take
const LATTICE: usize = memory.data(<i32>(LISTS + LIST_BLOCK * LIST_BLOCKS), 64);
const MAGNITUDES: usize = memory.data(1024 * 8, 8);

export function iq2_s_encode(source: usize, target: usize, rows: u32, columns: u32): void {
  encode(source, target, rows, columns, 0);
}

export function iq2_s_encode_weighted(source: usize, target: usize, rows: u32, columns: u32, importance: usize): void {
  encode(source, target, rows, columns, importance);
}

function encode(source: usize, target: usize, rows: u32, columns: u32, importance: usize): void {
  buildLattice(LATTICE, IQ2_S_CODEBOOK, IQ2_S_ENTRIES, 1);
  prepareTrials();
  const blocks = columns >> 8;
  for (let row: u32 = 0; row < rows; row++)
    for (let block: u32 = 0; block < blocks; block++, source += 1024, target += BYTES) {
      const sigma2 = (<f32>2 * sumOfSquares(source, block, blocks)) / 256;
      if (importance) weighWith(source, importance + (<usize>block << 10), sigma2);
      else weighAlone(source, <f32>0.25 * sigma2);
      encodeBlock(source, target);
    }
}

function encodeBlock(source: usize, target: usize): void {
  splitSigns(source);
  multiply();
  acceptBlock();
  const largest = searchSixteens(LATTICE, EMPTY);
  memory.fill(target, 0, BYTES);
  if (refused) {
    store<u16>(target, 0x7e00);
    return;
  }
  for (let b: usize = 0; b < 8; b++) {
    const entries = load<u64>(b << 3, ENTRIES);
    let high: u32 = 0;
    for (let k: u32 = 0; k < 4; k++) {
      const entry = <u32>(entries >> (16 * k)) & 0xffff;
      store<u8>(target + (b << 2) + k, <u8>entry, LOW);
      high |= (entry >> 8) << (2 * k);
    }
    store<u8>(target + b, <u8>high, HIGH);
  }
  memory.copy(target + SIGN_BYTES, SIGNS, 32);
  if (largest > 0) {
    const d: f32 = largest / <f32>31;
    store<u16>(target, encodeHalf(d * <f32>0.9875));
    packSubScales(d, target + SUB_SCALES);
  }
}

export function iq2_s_decode(source: usize, target: usize, blocks: u32): void {
  expandMagnitudes(MAGNITUDES, IQ2_S_CODEBOOK, IQ2_S_ENTRIES);
  for (const end = target + <usize>blocks * 1024; target < end; source += BYTES, target += 1024) unpack(source, target);
}

function unpack(source: usize, target: usize): void {
  const d = decodeHalf(load<u16>(source));
  for (let b: usize = 0; b < 8; b++) {
    const levels = <u32>load<u8>(source + b, SUB_SCALES);
    const first = scaleOf(d, levels & 15);
    const second = scaleOf(d, levels >> 4);
    const high = <u32>load<u8>(source + b, HIGH);
    const low = source + (b << 2);
    const out = target + (b << 7);
    unpackEight(out, low, high << 8, first);
    unpackEight(out + 32, low + 1, high << 6, first);
    unpackEight(out + 64, low + 2, high << 4, second);
    unpackEight(out + 96, low + 3, high << 2, second);
  }
}

// @ts-ignore: decorator
@inline
function unpackEight(target: usize, low: usize, high: usize, scale: v128): void {
  const entry = <usize>load<u8>(low, LOW) | (high & 0x300);
  putEight(target, MAGNITUDES + (entry << 3), load<u8>(low, SIGN_BYTES), scale);
}
