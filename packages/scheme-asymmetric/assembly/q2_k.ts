// Q2_K, 84 bytes: 16 sub-blocks of 16 weights with scales and minimums of four bits.
//
//   0   scales and minimums    byte j: [ minimum | scale ] of sub-block j
//  16   levels                 byte 32 h + i: weights 128 h + i + 0, 32, 64, 96, two bits each from bit 0 on
//  80   d                      half: unit of the scales
//  82   dmin                   half: unit of the minimums                h = 0 … 1, i = 0 … 31
import { expand } from "./levels";
import { fitMins, fitScales, MIN_LEVELS, SCALE_LEVELS, spreadMins, spreadScales } from "./scales";
import { B, FIRST, loadPair, prepareSearch, search, searchAbsolutely, SECOND, SLOT, SLOTS, W, X } from "./search";
import { HEAD, keepUnits, level, LEVELS, loadUnits, squares, storeUnits, SUB_MINS, sumSquares, weighByImportance } from "./superblock";

const BYTES: usize = 16 + 64 + 2 + 2;

/** Without importance a weight counts by its size. */
function weighByMagnitude(pair: usize): void {
  for (let p = pair; p < pair + 256; p += 16) {
    v128.store(p, f32x4.abs(v128.load(p, X)), W);
    v128.store(p, f32x4.abs(v128.load(p, B + X)), B + W);
  }
}

function loadPlain(source: usize, pair: usize): void {
  loadPair(source, 16, pair + X);
  weighByMagnitude(pair);
}

function loadWeighted(source: usize, importance: usize, variance: f32, pair: usize): void {
  loadPair(source, 16, pair + X);
  loadPair(importance, 16, pair + W);
  weighByImportance(16, variance, pair);
}

function fitPlain(source: usize, count: usize): void {
  for (let slot: usize = 0; slot < count; slot++) {
    const x = source + (slot << 10);
    loadPlain(x, FIRST);
    loadPlain(x + 512, SECOND);
    searchAbsolutely(16, SLOTS + slot * SLOT, SLOTS + slot * SLOT + 32);
  }
  keepUnits(spreadScales(16, 15, 255), spreadMins(16, 15, 255));
}

function fitWeighted(source: usize, count: usize, importance: usize, first: u32, perRow: u32): void {
  sumSquares(source, count);
  for (let slot: usize = 0; slot < count; slot++) {
    const x = source + (slot << 10);
    const w = importance + (((first + <u32>slot) % perRow) << 10);
    const variance = squares(slot) / <f32>256;
    loadWeighted(x, w, variance, FIRST);
    loadWeighted(x + 512, w + 512, variance, SECOND);
    search(16, SLOTS + slot * SLOT, SLOTS + slot * SLOT + 32);
  }
  keepUnits(fitScales(16, 15), fitMins(16, 15));
}

/** Scale and minimum of every sub-block. */
function loadHead(block: usize): void {
  const units = loadUnits(block + 80);
  const d = v128.shuffle<f32>(units, units, 0, 0, 0, 0);
  const dmin = v128.shuffle<f32>(units, units, 1, 1, 1, 1);
  const bytes = v128.load(block);
  const zero = f32x4.splat(0);
  expand(v128.and(bytes, i8x16.splat(15)), d, zero, HEAD);
  expand(i8x16.shr_u(bytes, 4), dmin, zero, HEAD + SUB_MINS);
}

function store4(source: usize, count: usize, target: usize): void {
  for (let slot: usize = 0; slot < count; slot++) {
    storeUnits(slot, target + 80);
    for (let j: usize = 0; j < 16; j++) {
      const at = (j << 4) + (slot << 2);
      store<u8>(target + j, load<u8>(SCALE_LEVELS + at) | (load<u8>(MIN_LEVELS + at) << 4));
    }
    loadHead(target);
    level(source, slot, 0, 3);
    for (let h: usize = 0; h < 2; h++)
      for (let i: usize = 0; i < 32; i += 16) {
        const l = LEVELS + (h << 7) + i;
        const low = v128.or(v128.load(l), i16x8.shl(v128.load(l, 32), 2));
        const high = v128.or(i16x8.shl(v128.load(l, 64), 4), i16x8.shl(v128.load(l, 96), 6));
        v128.store(target + (h << 5) + i, v128.or(low, high), 16);
      }
    source += 1024;
    target += BYTES;
  }
}

export function q2_k_encode(source: usize, target: usize, rows: u32, columns: u32): void {
  prepareSearch(3, -0.5, 0.1, 15);
  const blocks = rows * (columns >>> 8);
  for (let b: u32 = 0; b < blocks; b += 4) {
    const count = <usize>min<u32>(4, blocks - b);
    fitPlain(source, count);
    store4(source, count, target);
    source += count << 10;
    target += count * BYTES;
  }
}

export function q2_k_encode_weighted(source: usize, target: usize, rows: u32, columns: u32, importance: usize): void {
  prepareSearch(3, -0.9, 0.05, 36);
  const perRow = columns >>> 8;
  const blocks = rows * perRow;
  for (let b: u32 = 0; b < blocks; b += 4) {
    const count = <usize>min<u32>(4, blocks - b);
    fitWeighted(source, count, importance, b, perRow);
    store4(source, count, target);
    source += count << 10;
    target += count * BYTES;
  }
}

export function q2_k_decode(source: usize, target: usize, blocks: u32): void {
  for (; blocks > 0; blocks--) {
    loadHead(source);
    for (let h: usize = 0; h < 2; h++)
      for (let i: usize = 0; i < 2; i++) {
        let q = v128.load(source + (h << 5) + (i << 4), 16);
        for (let r: usize = 0; r < 4; r++) {
          const j = (h << 5) + (r << 3) + (i << 2);
          const y = target + (h << 9) + (r << 7) + (i << 6);
          expand(v128.and(q, i8x16.splat(3)), v128.load32_splat(j, HEAD), v128.load32_splat(j, HEAD + SUB_MINS), y);
          q = i16x8.shr_u(q, 2);
        }
      }
    source += BYTES;
    target += 1024;
  }
}
