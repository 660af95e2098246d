import { nearestInteger } from "./float.js";

const f = Math.fround;

/** How a type searches: inverse scales (first + delta · i + top) ÷ (max − min) are tried for i = 0 … last. */
export interface Trials {
  readonly first: number;
  readonly delta: number;
  readonly last: number;
  /** Errors count by their size instead of their square. */
  readonly absolute?: boolean;
}

/** weight ≈ scale · level − min */
export interface Fit {
  readonly scale: number;
  /** As subtracted: never negative. */
  readonly min: number;
  readonly levels: Uint8Array;
}

/** The trials of every type of this package when there is importance. */
export const weightedTrials: Trials = { first: -0.9, delta: 0.05, last: 36 };

/** √(variance + x²) times importance: how much the error of each weight counts. */
export const weigh = (x: Float32Array, importance: Float32Array, variance: number): Float32Array =>
  x.map((v, i) => importance[i]! * f(Math.sqrt(f(variance + f(v * v)))));

/**
 * Searches the scale, the minimum and the levels 0 … top with the least weighted error.
 *
 * A trial inverse scale gives every weight a level. For these levels the best scale and minimum follow from least
 * squares; a minimum above zero cannot be stored, so the scale alone is fitted then. The better of this and the best
 * so far is kept, and its minimum is the origin of the trials that follow.
 */
export function searchScaleAndMin(x: Float32Array, weights: Float32Array, top: number, trials: Trials): Fit {
  const start = Math.min(0, ...x);
  const max = Math.max(...x);
  if (max <= start) return { scale: 0, min: -start, levels: new Uint8Array(x.length) };

  let sumW = 0;
  let sumX = 0;
  x.forEach((v, i) => {
    sumW = f(sumW + weights[i]!);
    sumX = f(sumX + f(weights[i]! * v));
  });

  const propose = (inverse: number, min: number) =>
    Uint8Array.from(x, (v) => Math.max(0, Math.min(top, nearestInteger(f(inverse * f(v - min))))));
  const errorOf = (levels: Uint8Array, scale: number, min: number) => {
    let sum = 0;
    x.forEach((v, i) => {
      const e = f(f(f(scale * levels[i]!) + min) - v);
      sum = f(sum + f(weights[i]! * (trials.absolute ? Math.abs(e) : f(e * e))));
    });
    return sum;
  };

  const inverse = f(top / f(max - start));
  let min = start;
  let scale = f(1 / inverse);
  let levels = propose(inverse, min);
  let error = errorOf(levels, scale, min);
  for (let i = 0; i <= trials.last; i++) {
    const numerator = f(f(f(trials.first) + f(f(trials.delta) * i)) + top);
    const trial = propose(f(numerator / f(max - min)), min);
    const fit = leastSquares(x, weights, trial, sumW, sumX);
    if (!fit) continue;
    const trialError = errorOf(trial, fit.scale, fit.min);
    if (trialError < error) {
      levels = trial;
      error = trialError;
      ({ scale, min } = fit);
    }
  }
  return { scale, min: -min, levels };
}

/** The scale and the minimum ≤ 0 with the least squared error for given levels; undefined where levels are all one. */
function leastSquares(
  x: Float32Array,
  weights: Float32Array,
  levels: Uint8Array,
  sumW: number,
  sumX: number,
): { scale: number; min: number } | undefined {
  let sumL = 0;
  let sumLL = 0;
  let sumXL = 0;
  x.forEach((v, i) => {
    const wl = f(weights[i]! * levels[i]!);
    sumL = f(sumL + wl);
    sumLL = f(sumLL + f(wl * levels[i]!));
    sumXL = f(sumXL + f(wl * v));
  });
  const determinant = f(f(sumW * sumLL) - f(sumL * sumL));
  if (!(determinant > 0)) return undefined;
  const min = f(f(f(sumLL * sumX) - f(sumL * sumXL)) / determinant);
  if (min > 0) return { scale: f(sumXL / sumLL), min: 0 };
  return { scale: f(f(f(sumW * sumXL) - f(sumX * sumL)) / determinant), min };
}
