import { decodeHalf, encodeHalves } from "@fewbit/assembly";
import { IQ4_END, SCALE, X, decodeLevels, gather, gatherWeighted, levelsUnder, makeIq4Constants, searchScales, weigh } from "./iq4";

//   block of 32 weights   | scale f16 | 16 × (level i | level i + 16 << 4) |   18 bytes
//
// Lanes hold four blocks of a row; the last one, two or three are copied beside zeros.
const WEIGHTS: u32 = 32 * 4;
const BLOCK: u32 = 2 + 16;

const INVERSES: usize = IQ4_END;
const HALVES: usize = INVERSES + 16;
const SPARE_WEIGHTS: usize = HALVES + 16;
const SPARE_IMPORTANCE: usize = SPARE_WEIGHTS + 4 * WEIGHTS;
const SPARE_BLOCKS: usize = SPARE_IMPORTANCE + 4 * WEIGHTS;

export function iq4_nl_encode(source: usize, target: usize, rows: u32, columns: u32): void {
  encode(source, target, 1, rows * columns, 0);
}

export function iq4_nl_encode_weighted(source: usize, target: usize, rows: u32, columns: u32, importance: usize): void {
  encode(source, target, rows, columns, importance);
}

/** `importance`: 0 for none. */
function encode(source: usize, target: usize, rows: u32, columns: u32, importance: usize): void {
  makeIq4Constants();
  for (; rows > 0; rows--) {
    let blocks = columns >> 5;
    let weights = importance;
    for (; blocks >= 4; blocks -= 4) {
      encodeFour(source, target, weights);
      source += 4 * WEIGHTS;
      target += 4 * BLOCK;
      if (importance) weights += 4 * WEIGHTS;
    }
    if (blocks == 0) continue;
    memory.copy(SPARE_WEIGHTS, source, blocks * WEIGHTS);
    memory.fill(SPARE_WEIGHTS + blocks * WEIGHTS, 0, (4 - blocks) * WEIGHTS);
    if (importance) memory.copy(SPARE_IMPORTANCE, weights, blocks * WEIGHTS);
    encodeFour(SPARE_WEIGHTS, SPARE_BLOCKS, importance ? SPARE_IMPORTANCE : 0);
    memory.copy(target, SPARE_BLOCKS, blocks * BLOCK);
    source += blocks * WEIGHTS;
    target += blocks * BLOCK;
  }
}

function encodeFour(source: usize, target: usize, importance: usize): void {
  if (importance) {
    gatherWeighted(source, WEIGHTS, importance, WEIGHTS);
    let sum = f32x4.splat(0);
    for (let p: usize = 0; p < 512; p += 16) {
      const x = v128.load(p, X);
      sum = f32x4.add(sum, f32x4.mul(x, x));
    }
    weigh(f32x4.mul(sum, f32x4.splat(2.0 / 32)));
  } else gather(source, WEIGHTS);
  searchScales();
  const scale = v128.load(0, SCALE);
  v128.store(0, v128.and(f32x4.div(f32x4.splat(1), scale), f32x4.ne(scale, f32x4.splat(0))), INVERSES);
  v128.store(0, encodeHalves(scale), HALVES);
  for (let lane: usize = 0; lane < 16; lane += 4, source += WEIGHTS, target += BLOCK) {
    const inverse = v128.load32_splat(lane, INVERSES);
    const low = levelsUnder(source, inverse);
    const high = levelsUnder(source + 64, inverse);
    store<u16>(target, load<u16>(lane, HALVES));
    v128.store(target, v128.or(low, i16x8.shl(high, 4)), 2); // levels have four bits: no bit leaves its byte
  }
}

export function iq4_nl_decode(source: usize, target: usize, blocks: u32): void {
  for (; blocks > 0; blocks--, source += BLOCK, target += WEIGHTS)
    decodeLevels(source + 2, target, decodeHalf(load<u16>(source)));
}
