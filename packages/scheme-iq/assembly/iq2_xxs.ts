// IQ2_XXS: 256 weights, 66 bytes. Eights of weights are entries of a codebook of 256 with signs; every 32 have a scale.
//
//   byte 0 … 1      scale d (half)
//   byte 2 … 65     per sub-block of 32, two u32:
//                   four entries of 8 bits
//                   signs of the first seven weights of the four eights, 7 bits each; in the top 4 bits the level l
//                   of the sub-block's scale. The number of minus signs of an eight is even.
//
//   weight = d (l + ½) / 4 · (8, 25 or 43) · sign
import { decodeHalf, encodeHalf } from "@fewbit/assembly";
import { FIRST_SCALES, findFirstScales } from "./two-bit-first-scale";
import { bestTrial, fitScale } from "./two-bit-fit";
import { LISTS, LIST_BLOCK, buildLattice } from "./two-bit-lattice";
import { eightSigns, expandMagnitudes, putEight, scaleOf } from "./two-bit-decoding";
import { evenSigns, largestLane, multiply, splitSigns, sumOfSquares, weighWith } from "./two-bit-magnitudes";
import { addGroups, clearRuns, prepareTaus, searchFitted, searchRuns } from "./two-bit-runs";
import {
  DISTINCT,
  ENTRIES,
  INVERSES,
  ON_GRID_BIT,
  SCALES,
  SIGNS,
  SUB_SCALES,
  SUMS_QQ,
  SUMS_QX,
  TRIALS_BYTES,
  X,
} from "./two-bit-scratch";
import { FAR, NONE, acceptBlock, refuseBlock, refused } from "./two-bit-search";
import { subScale } from "./two-bit-sub-scales";
import { IQ2_XXS_CODEBOOK, IQ2_XXS_ENTRIES } from "./two-bit-codebooks";

const QUANTS: usize = 2;
const BYTES: usize = QUANTS + 8 * 8;

const EMPTY: f32 = 1e-15;
const TRIALS: u32 = 13;
const LIST_BLOCKS: usize = 8387; // that all candidates take
const LATTICE: usize = memory.data(<i32>(LISTS + LIST_BLOCK * LIST_BLOCKS), 64);
const MAGNITUDES: usize = memory.data(256 * 8, 8);
/** 5 + 0.1 t, t = -6 … 6, and three more to fill the vector. */
const FACTORS: usize = memory.data(16 * 4, 16);
/** The first scale of each sub-block; 0 if it is empty. */
const FIRSTS: usize = memory.data(8 * 4, 16);

export function iq2_xxs_encode_weighted(source: usize, target: usize, rows: u32, columns: u32, importance: usize): void {
  buildLattice(LATTICE, IQ2_XXS_CODEBOOK, IQ2_XXS_ENTRIES, 2);
  prepareTaus(TRIALS);
  for (let t: i32 = 0; t < 16; t++) store<f32>(FACTORS + (<usize>t << 2), <f32>5 + <f32>min(t - 6, 6) * <f32>0.1);
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
  clearRuns();
  findFirstScales();
  for (let j: usize = 0; j < 8; j++) addThirtyTwo(j, load<f32>(j << 2, FIRST_SCALES));
  searchRuns(LATTICE, 2);
  let largest: f32 = 0;
  for (let j: usize = 0; j < 8; j++) {
    const scale = fitThirtyTwo(j);
    store<f32>(j << 2, scale, SUB_SCALES);
    if (scale > largest) largest = scale;
  }
  memory.fill(target, 0, BYTES);
  if (refused) store<u16>(target, 0x7e00);
  else if (largest > 0) pack(largest / <f32>31, target);
}

function pack(d: f32, target: usize): void {
  store<u16>(target, encodeHalf(d));
  for (let j: usize = 0; j < 8; j++) {
    const at = target + (j << 3);
    const entries = load<u64>(j << 3, ENTRIES);
    const signs = load<u32>(j << 2, SIGNS);
    for (let k: u32 = 0; k < 4; k++) store<u8>(at + k, <u8>(entries >> (16 * k)), QUANTS);
    const packed =
      (signs & 127) | ((signs >> 1) & (127 << 7)) | ((signs >> 2) & (127 << 14)) | ((signs >> 3) & (127 << 21));
    store<u32>(at, packed | (subScale(j, d) << 28), QUANTS + 4);
  }
}

function addThirtyTwo(j: usize, first: f32): void {
  const x = j << 7;
  let max = v128.load(x, X);
  let far = f32x4.abs(max);
  for (let p = x + 16; p < x + 128; p += 16) {
    const v = v128.load(p, X);
    max = f32x4.pmax(max, v);
    far = f32x4.pmax(far, f32x4.abs(v));
  }
  const span: f32 = first * <f32>3;
  const empty = largestLane(max) < EMPTY || span <= 0;
  store<f32>(FIRSTS + (j << 2), empty ? 0 : first);
  if (empty) return;
  const splat = f32x4.splat(span);
  const one = f32x4.splat(1);
  const at = j * TRIALS_BYTES;
  for (let t: usize = 0; t < 64; t += 16) {
    const inverse = f32x4.div(v128.load(FACTORS + t), splat);
    v128.store(at + t, inverse, INVERSES);
    v128.store(at + t, f32x4.div(one, inverse), SCALES);
  }
  const sane = largestLane(far) * load<f32>(at, INVERSES + 4 * 12) < FAR;
  addGroups(LATTICE, 4 * j, j, TRIALS, span, sane);
  addGroups(LATTICE, 4 * j + 2, j, TRIALS, span, sane);
}

/** Leaves entries and signs of sub-block j in scratch, zeros if it is empty. Returns its scale. */
function fitThirtyTwo(j: usize): f32 {
  const out = ENTRIES + (j << 3);
  let scale = load<f32>(FIRSTS + (j << 2));
  if (scale == 0) {
    store<u64>(out, 0);
    store<u32>(j << 2, 0, SIGNS);
    return 0;
  }
  const span: f32 = scale * <f32>3;
  const best = bestTrial(LATTICE, 4 * j, false, TRIALS);
  store<u64>(out, 0);
  if (best >= 0) {
    scale = load<f32>(best << 2, SUMS_QX) / load<f32>(best << 2, SUMS_QQ);
    store<u64>(out, load<u64>(best << 3, DISTINCT));
  }
  if (scale > 0) {
    const inverse: f32 = <f32>1 / scale;
    for (let k: usize = 0; k < 4; k++) {
      const found = searchFitted(LATTICE, 4 * j + k, j, inverse, scale, TRIALS, span);
      if (found == NONE) refuseBlock();
      store<u16>(out + (k << 1), <u16>(found & ~ON_GRID_BIT));
    }
    // With the entries that the scale was fitted to, it stays.
    if (best < 0 || load<u64>(out) != load<u64>(best << 3, DISTINCT)) scale = fitScale(LATTICE, j << 7, 4, out, scale);
  }
  if (scale < 0) {
    scale = -scale;
    store<u32>(j << 2, ~load<u32>(j << 2, SIGNS), SIGNS);
  }
  if (!(scale >= 0)) refuseBlock();
  return scale;
}

export function iq2_xxs_decode(source: usize, target: usize, blocks: u32): void {
  expandMagnitudes(MAGNITUDES, IQ2_XXS_CODEBOOK, IQ2_XXS_ENTRIES);
  for (const end = target + <usize>blocks * 1024; target < end; source += BYTES, target += 1024) unpack(source, target);
}

function unpack(source: usize, target: usize): void {
  const d = decodeHalf(load<u16>(source));
  for (let j: usize = 0; j < 8; j++) {
    const at = source + (j << 3);
    const out = target + (j << 7);
    const signs = load<u32>(at, QUANTS + 4);
    const scale = scaleOf(d, signs >> 28);
    unpackEight(out, load<u8>(at, QUANTS), signs, scale);
    unpackEight(out + 32, load<u8>(at, QUANTS + 1), signs >> 7, scale);
    unpackEight(out + 64, load<u8>(at, QUANTS + 2), signs >> 14, scale);
    unpackEight(out + 96, load<u8>(at, QUANTS + 3), signs >> 21, scale);
  }
}

// @ts-ignore: decorator
@inline
function unpackEight(target: usize, entry: usize, signs: u32, scale: v128): void {
  putEight(target, MAGNITUDES + (entry << 3), eightSigns(signs & 127), scale);
}
