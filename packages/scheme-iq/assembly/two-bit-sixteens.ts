// The sixteen sub-blocks of 16 weights of IQ2_XS and IQ2_S: 19 trial scales each, from the largest magnitude.
import { fitScale, sumTrials } from "./two-bit-fit";
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
  X,
} from "./two-bit-scratch";
import { FAR, NONE, findBreaks, fixGroup, refuseBlock, searchFitted, searchGroup, searchTrial } from "./two-bit-search";

const TRIALS: u32 = 19;
const BOTH: u32 = (ON_GRID_BIT << 16) | ON_GRID_BIT;

/** 5 + 0.1 t, t = -9 … 9, and one more to fill the vector. */
const STEPS: usize = memory.data(20 * 4, 16);

export function prepareTrials(): void {
  for (let t: i32 = 0; t < 20; t++) store<f32>(STEPS + (<usize>t << 2), <f32>5 + <f32>min(t - 9, 9) * <f32>0.1);
}

/** Searches all sub-blocks; negative scales become positive with the signs turned. Returns the largest scale. */
export function searchSixteens(lattice: usize, epsilon: f32): f32 {
  let largest: f32 = 0;
  for (let j: usize = 0; j < 16; j++) {
    const scale = searchSixteen(lattice, j, epsilon);
    store<f32>(j << 2, scale, SUB_SCALES);
    if (scale > largest) largest = scale;
  }
  return largest;
}

function searchSixteen(lattice: usize, j: usize, epsilon: f32): f32 {
  const x = j << 6;
  const a = v128.load(x, X);
  const b = v128.load(x, X + 16);
  const c = v128.load(x, X + 32);
  const d = v128.load(x, X + 48);
  const max = largestOf(f32x4.pmax(f32x4.pmax(a, b), f32x4.pmax(c, d)));
  if (max < epsilon) {
    store<u32>(j << 2, 0, ENTRIES);
    store<u16>(j << 1, 0, SIGNS);
    return 0;
  }
  const far = largestOf(f32x4.pmax(f32x4.pmax(f32x4.abs(a), f32x4.abs(b)), f32x4.pmax(f32x4.abs(c), f32x4.abs(d))));
  const splat = f32x4.splat(max);
  const one = f32x4.splat(1);
  for (let t: usize = 0; t < 80; t += 16) {
    const inverse = f32x4.div(v128.load(STEPS + t), splat);
    v128.store(t, inverse, INVERSES);
    v128.store(t, f32x4.div(one, inverse), SCALES);
  }
  const highest = load<f32>(4 * (TRIALS - 1), INVERSES);
  const sane = far * highest < FAR;
  if (sane) findBreaks(0, x, TRIALS, max);
  const first = searchEight(lattice, 0, x, sane, highest);
  const second = searchEight(lattice, 1, x + 32, sane, highest);

  const count = sumTrials(lattice, x, 2, TRIALS);
  let winners: u32 = BOTH; // entry 0
  let scale = max / <f32>5;
  let best: f32 = 0;
  for (let i: usize = 0; i < <usize>count << 2; i += 4) {
    const qx = load<f32>(i, SUMS_QX);
    const qq = load<f32>(i, SUMS_QQ);
    if (qq > 0 && qx * qx > best * qq) {
      scale = qx / qq;
      best = scale * qx;
      winners = load<u32>(i << 1, DISTINCT);
    }
  }
  const out = ENTRIES + (j << 2);
  store<u32>(out, winners & ~BOTH);
  if ((winners & BOTH) != BOTH && scale > 0) {
    const inverse: f32 = <f32>1 / scale;
    if (!(winners & ON_GRID_BIT)) fitEight(lattice, 0, x, inverse, scale, first, max, out);
    if (!(winners >> 16 & ON_GRID_BIT)) fitEight(lattice, 1, x + 32, inverse, scale, second, max, out + 2);
    scale = fitScale(lattice, x, 2, out, scale);
  }
  if (scale < 0) {
    scale = -scale;
    store<u16>(j << 1, ~load<u16>(j << 1, SIGNS), SIGNS);
  }
  if (!(scale >= 0)) refuseBlock();
  return scale;
}

// @ts-ignore: decorator
@inline
function largestOf(v: v128): f32 {
  v = f32x4.pmax(v, v128.shuffle<i32>(v, v, 2, 3, 0, 1));
  v = f32x4.pmax(v, v128.shuffle<i32>(v, v, 1, 0, 3, 2));
  return f32x4.extract_lane(v, 0);
}

/** All trials of one group. Returns their number, or 0 if they were searched without `fixGroup`. */
function searchEight(lattice: usize, group: usize, x: usize, sane: bool, highest: f32): u32 {
  if (sane && fixGroup(group, x, highest)) {
    searchGroup(lattice, group, x, TRIALS);
    return TRIALS;
  }
  for (let t: u32 = 0; t < TRIALS; t++) searchTrial(lattice, group, x, t);
  return 0;
}

function fitEight(
  lattice: usize,
  group: usize,
  x: usize,
  inverse: f32,
  scale: f32,
  trials: u32,
  span: f32,
  out: usize,
): void {
  const found = searchFitted(lattice, group, x, inverse, scale, trials, span);
  if (found == NONE) refuseBlock();
  else store<u16>(out, <u16>(found & ~ON_GRID_BIT));
}
