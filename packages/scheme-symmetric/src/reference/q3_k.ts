import { blockReference } from "./block.js";
import { getHalf, putHalf } from "./half.js";
import { extreme, searchScale } from "./scale-search.js";
import { nearestInt, requantize, subBlock } from "./sub-blocks.js";

const f = Math.fround;

const LOW = 256 / 8;
const SCALES = LOW + 256 / 4;
const FACTOR = SCALES + 12;

const clamp = (x: number, lowest: number, highest: number): number => Math.max(lowest, Math.min(highest, x));

/**
 * Scale and levels (0 … 7, where 4 stands for zero) of 16 weights that count their own square each. The weight of
 * largest magnitude starts at −4; then up to five passes move one level at a time where that makes (Σwxl)² ⁄ Σwl²
 * larger.
 */
function refineScale(x: Float32Array): { scale: number; levels: Uint8Array } {
  const max = extreme(x);
  if (Math.abs(max) < f(1e-15)) return { scale: 0, levels: new Uint8Array(16) };
  const inverse = f(-4 / max);
  const levels = Array.from(x, (v) => clamp(nearestInt(f(inverse * v)), -4, 3));
  const wxl = (v: number, level: number) => f(f(f(v * v) * v) * level);
  const wll = (v: number, level: number) => f(f(f(v * v) * level) * level);
  let sumlx = 0;
  let suml2 = 0;
  x.forEach((v, i) => {
    sumlx = f(sumlx + wxl(v, levels[i]!));
    suml2 = f(suml2 + wll(v, levels[i]!));
  });
  for (let pass = 0; pass < 5; pass++) {
    let moved = false;
    x.forEach((v, i) => {
      const without = f(sumlx - wxl(v, levels[i]!));
      if (!(without > 0)) return;
      const without2 = f(suml2 - wll(v, levels[i]!));
      const level = clamp(nearestInt(f(f(v * without2) / without)), -4, 3);
      if (level === levels[i]) return;
      const lx = f(without + wxl(v, level));
      const l2 = f(without2 + wll(v, level));
      if (l2 > 0 && f(f(lx * lx) * suml2) > f(f(sumlx * sumlx) * l2)) {
        levels[i] = level;
        sumlx = lx;
        suml2 = l2;
        moved = true;
      }
    });
    if (!moved) break;
  }
  return {
    scale: suml2 > 0 ? f(sumlx / suml2) : 0,
    levels: Uint8Array.from(levels, (level) => level + 4),
  };
}

/** Importance counts more where a weight is large beside its super-block: w · √(2·mean x² + x²). */
function elementWeights(x: Float32Array, importance: Float32Array): Float32Array {
  const sum = x.reduce((total, v) => f(total + f(v * v)), 0);
  const variance = f(f(2 * sum) / 256);
  return x.map((v, i) => f(importance[i]! * f(Math.sqrt(f(variance + f(v * v))))));
}

/** Scale codes 0 … 63, where 32 stands for zero, and what multiplies them. */
interface Scales {
  readonly factor: number;
  readonly codes: Uint8Array;
}

function roundScales(scales: Float32Array): Scales {
  const max = extreme(scales);
  if (max === 0) return { factor: 0, codes: new Uint8Array(16) };
  const inverse = f(-32 / max);
  const code = (scale: number) => clamp(nearestInt(f(inverse * scale)), -32, 31) + 32;
  return { factor: f(1 / inverse), codes: Uint8Array.from(scales, code) };
}

/** Where weight `i` of 256 lies: two bits of one byte, one bit of another. */
const place = (i: number) => ({
  low: LOW + 32 * (i >> 7) + (i & 31),
  lowShift: 2 * ((i >> 5) & 3),
  high: i & 31,
  highShift: i >> 5,
});

/** Where scale `j` of 16 lies: a nibble of one byte, two bits of another. */
const scalePlace = (j: number) => ({
  low: SCALES + (j & 7),
  lowShift: 4 * (j >> 3),
  high: SCALES + 8 + (j & 3),
  highShift: 2 * (j >> 2),
});

/** 256 weights: 3-bit levels (high bits, then low bits), 16 scales of 6 bits, a half that multiplies them. */
export const q3_k = blockReference({
  elements: 256,
  bytes: 256 / 8 + 256 / 4 + 12 + 2,
  encode(x, block, weighting) {
    const weights = weighting && elementWeights(x, weighting.importance);
    const scales = new Float32Array(16);
    const levels = new Uint8Array(256);
    for (let j = 0; j < 16; j++) {
      const part = subBlock(x, j);
      const found = weights ? searchScale(part, 4, subBlock(weights, j)) : refineScale(part);
      scales[j] = found.scale;
      levels.set(found.levels, 16 * j);
    }

    let chosen: Scales;
    if (weights) {
      const totals = scales.map((_, j) => subBlock(weights, j).reduce((sum, w) => f(sum + w), 0));
      const found = searchScale(scales, 32, totals);
      chosen = { factor: found.scale, codes: found.levels };
    } else chosen = roundScales(scales);

    putHalf(block, FACTOR, chosen.factor);
    const factor = getHalf(block, FACTOR);
    chosen.codes.forEach((code, j) => {
      const { low, lowShift, high, highShift } = scalePlace(j);
      block[low]! |= (code & 15) << lowShift;
      block[high]! |= (code >> 4) << highShift;
      requantize(subBlock(x, j), f(factor * (code - 32)), 4, subBlock(levels, j));
    });
    levels.forEach((level, i) => {
      const { low, lowShift, high, highShift } = place(i);
      block[low]! |= (level & 3) << lowShift;
      block[high]! |= (level >> 2) << highShift;
    });
  },
  decode(block, x) {
    const factor = getHalf(block, FACTOR);
    const scales = Float32Array.from({ length: 16 }, (_, j) => {
      const { low, lowShift, high, highShift } = scalePlace(j);
      const code = ((block[low]! >> lowShift) & 15) | (((block[high]! >> highShift) & 3) << 4);
      return factor * (code - 32);
    });
    x.forEach((_, i) => {
      const { low, lowShift, high, highShift } = place(i);
      const level = ((block[low]! >> lowShift) & 3) | (((block[high]! >> highShift) & 1) << 2);
      x[i] = scales[i >> 4]! * (level - 4);
    });
  },
});
