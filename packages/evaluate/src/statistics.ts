/** A figure and its standard error, in the same unit. */
export interface Estimate {
  readonly value: number;
  readonly error: number;
}

/** Sums of a quantity, of its squares, and how many were added. */
export interface Sums {
  readonly count: number;
  readonly sum: number;
  readonly squares: number;
}

export const addSums = (a: Sums, b: Sums): Sums => ({
  count: a.count + b.count,
  sum: a.sum + b.sum,
  squares: a.squares + b.squares,
});

export const NO_SUMS: Sums = { count: 0, sum: 0, squares: 0 };

/** The mean; its error takes the values for independent of each other, as llama-perplexity does. */
export function meanOf({ count, sum, squares }: Sums): Estimate {
  const value = sum / count;
  const variance = squares / count - value * value;
  return { value, error: count > 1 && variance > 0 ? Math.sqrt(variance / (count - 1)) : 0 };
}

/** e^x, and what the error of x becomes. */
export function exponentialOf({ value, error }: Estimate): Estimate {
  const exponential = Math.exp(value);
  return { value: exponential, error: exponential * error };
}

/** √x, and what the error of x becomes. */
export function rootOf({ value, error }: Estimate): Estimate {
  const root = Math.sqrt(value);
  return { value: root, error: root === 0 ? 0 : (0.5 / root) * error };
}

/** A share of `count`. */
export function shareOf(hits: number, count: number): Estimate {
  const value = hits / count;
  return { value, error: count > 1 ? Math.sqrt((value * (1 - value)) / (count - 1)) : 0 };
}

/** The value below which `fraction` of all lie, between neighbours in proportion. `sorted` must be. */
export function percentile(sorted: Float32Array, fraction: number): number {
  const at = fraction * (sorted.length - 1);
  const below = Math.floor(at);
  const weight = at - below;
  return (1 - weight) * sorted[below]! + weight * sorted[Math.min(below + 1, sorted.length - 1)]!;
}
