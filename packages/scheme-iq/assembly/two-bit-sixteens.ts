// The sixteen sub-blocks of 16 weights of IQ2_XS and IQ2_S: 19 trial scales each, from the largest magnitude.
import { bestTrial, fitScale, trialOf } from "./two-bit-fit";
import { largestLane } from "./two-bit-magnitudes";
import { addGroups, clearRuns, prepareTaus, searchFitted, searchRuns } from "./two-bit-runs";
import {
  ENTRIES,
  INVERSES,
  ON_GRID_BIT,
  SCALES,
  SIGNS,
  SUB_SCALES,
  SUMS_QQ,
  SUMS_QX,
  TRIALS_BYTES,
  UNIQUE_BIT,
  WINNERS,
  WINNERS_BYTES,
  X,
} from "./two-bit-scratch";
import { FAR, NONE, refuseBlock } from "./two-bit-search";

const TRIALS: u32 = 19;
const BOTH: u32 = (ON_GRID_BIT << 16) | ON_GRID_BIT;
const UNIQUE: u32 = (UNIQUE_BIT << 16) | UNIQUE_BIT;

/** 5 + 0.1 t, t = -9 … 9, and one more to fill the vector. */
const FACTORS: usize = memory.data(20 * 4, 16);
/** The largest magnitude of each sub-block. */
const SPANS: usize = memory.data(16 * 4, 16);

export function prepareTrials(): void {
  prepareTaus(TRIALS);
  for (let t: i32 = 0; t < 20; t++) store<f32>(FACTORS + (<usize>t << 2), <f32>5 + <f32>min(t - 9, 9) * <f32>0.1);
}

/** Searches all sub-blocks; negative scales become positive with the signs turned. Returns the largest scale. */
export function searchSixteens(lattice: usize, epsilon: f32): f32 {
  clearRuns();
  for (let j: usize = 0; j < 16; j++) addSixteen(lattice, j, epsilon);
  searchRuns(lattice, 1);
  let largest: f32 = 0;
  for (let j: usize = 0; j < 16; j++) {
    const scale = fitSixteen(lattice, j, epsilon);
    store<f32>(j << 2, scale, SUB_SCALES);
    if (scale > largest) largest = scale;
  }
  return largest;
}

function addSixteen(lattice: usize, j: usize, epsilon: f32): void {
  const x = j << 6;
  const a = v128.load(x, X);
  const b = v128.load(x, X + 16);
  const c = v128.load(x, X + 32);
  const d = v128.load(x, X + 48);
  const max = largestLane(f32x4.pmax(f32x4.pmax(a, b), f32x4.pmax(c, d)));
  store<f32>(SPANS + (j << 2), max);
  if (max < epsilon) return;
  const far = largestLane(
    f32x4.pmax(f32x4.pmax(f32x4.abs(a), f32x4.abs(b)), f32x4.pmax(f32x4.abs(c), f32x4.abs(d))),
  );
  const splat = f32x4.splat(max);
  const one = f32x4.splat(1);
  const at = j * TRIALS_BYTES;
  for (let t: usize = 0; t < 80; t += 16) {
    const inverse = f32x4.div(v128.load(FACTORS + t), splat);
    v128.store(at + t, inverse, INVERSES);
    v128.store(at + t, f32x4.div(one, inverse), SCALES);
  }
  const sane = far * load<f32>(at, INVERSES + 4 * 18) < FAR;
  addGroups(lattice, 2 * j, j, TRIALS, max, sane);
}

function fitSixteen(lattice: usize, j: usize, epsilon: f32): f32 {
  const span = load<f32>(SPANS + (j << 2));
  if (span < epsilon) {
    store<u32>(j << 2, 0, ENTRIES);
    store<u16>(j << 1, 0, SIGNS);
    return 0;
  }
  const best = bestTrial(lattice, 2 * j, true, TRIALS);
  let winners: u32 = BOTH; // entry 0
  let scale = span / <f32>5;
  if (best >= 0) {
    scale = load<f32>(best << 2, SUMS_QX) / load<f32>(best << 2, SUMS_QQ);
    const row = WINNERS + 2 * j * WINNERS_BYTES + (trialOf(best) << 1);
    winners = (<u32>load<u16>(row) | (<u32>load<u16>(row, WINNERS_BYTES) << 16)) & ~UNIQUE;
  }
  const out = ENTRIES + (j << 2);
  store<u32>(out, winners & ~BOTH);
  if ((winners & BOTH) != BOTH && scale > 0) {
    const inverse: f32 = <f32>1 / scale;
    if (!(winners & ON_GRID_BIT)) fitEight(lattice, 2 * j, inverse, scale, span, out);
    if (!((winners >> 16) & ON_GRID_BIT)) fitEight(lattice, 2 * j + 1, inverse, scale, span, out + 2);
    // With the entries that the scale was fitted to, it stays.
    if (best < 0 || load<u32>(out) != (winners & ~BOTH)) scale = fitScale(lattice, j << 6, 2, out, scale);
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
function fitEight(lattice: usize, group: usize, inverse: f32, scale: f32, span: f32, out: usize): void {
  const found = searchFitted(lattice, group, group >> 1, inverse, scale, TRIALS, span);
  if (found == NONE) refuseBlock();
  else store<u16>(out, <u16>(found & ~ON_GRID_BIT));
}
