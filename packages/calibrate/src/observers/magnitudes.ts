import type { HistogramData } from "./histogram.js";

/** Counts of |x|: bin `i` holds magnitudes from `i × width` up to the next bin. */
export function magnitudesOf({ counts }: HistogramData): Float64Array {
  const half = counts.length / 2;
  return Float64Array.from({ length: half }, (_, i) => counts[half + i]! + counts[half - 1 - i]!);
}

/** Bins up to the last that is not empty. */
export function lengthOf(counts: Float64Array): number {
  let length = counts.length;
  while (length > 0 && counts[length - 1] === 0) length--;
  return length;
}
