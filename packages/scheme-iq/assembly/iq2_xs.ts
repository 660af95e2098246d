// IQ2_XS: 256 weights, 74 bytes. Eights of weights are entries of a codebook of 512 with signs; every 16 have a scale.
//
//   byte 0 … 1      scale d (half)
//   byte 2 … 65     u16 per eight: entry in the low 9 bits, signs of the first seven weights in the high 7; the
//                   number of minus signs is even
//   byte 66 … 73    levels l of the scales of two sub-blocks of 16, the first in the low nibble
//
//   weight = d (l + ½) / 4 · (8, 25 or 43) · sign
import { decodeHalf, encodeHalf } from "@fewbit/assembly";
import { LISTS, LIST_BLOCK, buildLattice } from "./two-bit-lattice";
import { evenSigns, multiply, splitSigns, sumOfSquares, weighWith } from "./two-bit-magnitudes";
import { eightSigns, expandMagnitudes, putEight, scaleOf } from "./two-bit-decoding";
import { ENTRIES, SIGNS } from "./two-bit-scratch";
import { acceptBlock, refused } from "./two-bit-search";
import { prepareTrials, searchSixteens } from "./two-bit-sixteens";
import { packSubScales } from "./two-bit-sub-scales";
import { IQ2_XS_CODEBOOK, IQ2_XS_ENTRIES } from "./two-bit-codebooks";

const QUANTS: usize = 2;
const SUB_SCALES: usize = QUANTS + 2 * 32;
const BYTES: usize = SUB_SCALES + 16 / 2;

const EMPTY: f32 = 1e-15;
const LIST_BLOCKS: usize = 9231; // that all candidates take
const LATTICE: usize = memory.data(<i32>(LISTS + LIST_BLOCK * LIST_BLOCKS), 64);
const MAGNITUDES: usize = memory.data(512 * 8, 8);

export function iq2_xs_encode_weighted(source: usize, target: usize, rows: u32, columns: u32, importance: usize): void {
  buildLattice(LATTICE, IQ2_XS_CODEBOOK, IQ2_XS_ENTRIES, 2);
  prepareTrials();
  const blocks = columns >> 8;
  for (let row: u32 = 0; row < rows; row++)
    for (let block: u32 = 0; block < blocks; block++, source += 1024, target += BYTES) {
      const sigma2 = sumOfSquares(source, block, blocks) / 256;
      weighWith(source, importance + (<usize>block << 10), sigma2);
      encodeBlock(source, target);
    }
}

function encodeBlock(source: usize, target: usize): void {
  splitSigns(source);
  evenSigns();
  multiply();
  acceptBlock();
  const largest = searchSixteens(LATTICE, EMPTY);
  memory.fill(target, 0, BYTES);
  if (refused) store<u16>(target, 0x7e00);
  else if (largest > 0) {
    const d: f32 = largest / <f32>31;
    store<u16>(target, encodeHalf(d));
    for (let g: usize = 0; g < 32; g++)
      store<u16>(target + (g << 1), load<u16>(g << 1, ENTRIES) | ((<u16>load<u8>(g, SIGNS) & 127) << 9), QUANTS);
    packSubScales(d, target + SUB_SCALES);
  }
}

export function iq2_xs_decode(source: usize, target: usize, blocks: u32): void {
  expandMagnitudes(MAGNITUDES, IQ2_XS_CODEBOOK, IQ2_XS_ENTRIES);
  for (const end = target + <usize>blocks * 1024; target < end; source += BYTES, target += 1024) unpack(source, target);
}

function unpack(source: usize, target: usize): void {
  const d = decodeHalf(load<u16>(source));
  for (let b: usize = 0; b < 8; b++) {
    const levels = <u32>load<u8>(source + b, SUB_SCALES);
    const first = scaleOf(d, levels & 15);
    const second = scaleOf(d, levels >> 4);
    const quants = source + (b << 3);
    const out = target + (b << 7);
    unpackEight(out, load<u16>(quants, QUANTS), first);
    unpackEight(out + 32, load<u16>(quants, QUANTS + 2), first);
    unpackEight(out + 64, load<u16>(quants, QUANTS + 4), second);
    unpackEight(out + 96, load<u16>(quants, QUANTS + 6), second);
  }
}

// @ts-ignore: decorator
@inline
function unpackEight(target: usize, quant: usize, scale: v128): void {
  putEight(target, MAGNITUDES + ((quant & 511) << 3), eightSigns(quant >> 9), scale);
}
