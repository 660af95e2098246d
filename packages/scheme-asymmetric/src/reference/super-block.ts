// What Q2_K, Q4_K and Q5_K share: 256 weights in sub-blocks with a scale and a minimum each, which are small integers
// times one unit for all scales and one for all minimums.
import type { Weighting } from "./block.js";
import { nearestInteger, sumOfSquares } from "./float.js";
import { type Fit, searchScaleAndMin, type Trials, weigh, weightedTrials } from "./search.js";
import { fitUnits, spreadUnits, type Units } from "./units.js";

const f = Math.fround;

/** What distinguishes one type from another before packing. */
export interface SuperBlockType {
  /** Weights per sub-block. */
  readonly size: number;
  /** Highest level of a weight. */
  readonly top: number;
  /** Highest level of a scale or minimum. */
  readonly unitTop: number;
  /** The search without importance. */
  readonly trials: Trials;
  /** How much the error of each weight of a sub-block counts without importance. */
  weights(x: Float32Array): Float32Array;
  /** With importance: what is added to the square of each weight, as multiple of the mean square. */
  readonly variance: number;
  /** Limit of the bytes that hold levels of scales and minimums, plain and with importance. */
  readonly limits: readonly [plain: number, weighted: number];
}

export interface Found {
  readonly fits: readonly Fit[];
  readonly scales: Units;
  readonly mins: Units;
}

const subBlocks = (x: Float32Array, size: number): Float32Array[] =>
  Array.from({ length: x.length / size }, (_, j) => x.subarray(j * size, (j + 1) * size));

/** Searches every sub-block, then the units of the scales and of the minimums. */
export function findScales(x: Float32Array, type: SuperBlockType, weighting?: Weighting): Found {
  const { size, top, unitTop } = type;
  const parts = subBlocks(x, size);
  if (!weighting) {
    const fits = parts.map((part) => searchScaleAndMin(part, type.weights(part), top, type.trials));
    const units = (field: "scale" | "min") =>
      spreadUnits(
        Float32Array.from(fits, (fit) => fit[field]),
        unitTop,
        type.limits[0],
      );
    return { fits, scales: units("scale"), mins: units("min") };
  }
  const variance = f(f(type.variance * sumOfSquares(x)) / x.length);
  const importances = subBlocks(weighting.importance, size);
  const weights = parts.map((part, j) => weigh(part, importances[j]!, variance));
  const fits = parts.map((part, j) => searchScaleAndMin(part, weights[j]!, top, weightedTrials));
  const totals = Float32Array.from(weights, (w) => w.reduce((sum, v) => f(sum + v), 0));
  const units = (field: "scale" | "min") => {
    const found = fitUnits(
      Float32Array.from(fits, (fit) => fit[field]),
      totals,
      unitTop,
    );
    return { unit: found.unit, levels: found.levels.map((level) => Math.min(type.limits[1], level)) };
  };
  return { fits, scales: units("scale"), mins: units("min") };
}

/** Scale and minimum of every sub-block as a decoder sees them. */
export interface Head {
  readonly scales: readonly number[];
  readonly mins: readonly number[];
}

/** The levels nearest to the weights for the stored scales; where a scale became zero, those of the search. */
export function findLevels(
  x: Float32Array,
  { size, top }: SuperBlockType,
  head: Head,
  { fits }: Found,
): Uint8Array {
  return Uint8Array.from(x, (v, i) => {
    const j = Math.floor(i / size);
    const scale = head.scales[j]!;
    if (scale === 0) return fits[j]!.levels[i % size]!;
    return Math.max(0, Math.min(top, nearestInteger(f(f(v + head.mins[j]!) / scale))));
  });
}

/** weight = scale · level − min */
export function weightsOf(x: Float32Array, size: number, head: Head, level: (i: number) => number): void {
  x.forEach((_, i) => {
    const j = Math.floor(i / size);
    x[i] = f(head.scales[j]! * level(i)) - head.mins[j]!;
  });
}
