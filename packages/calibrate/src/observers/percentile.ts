import { Histogram, type HistogramData } from "./histogram.js";
import type { Range, RangeObserver } from "./observer.js";

/**
 * The range that holds a share of all values, with as many left out below as above. Compared with other ranges in Wu et
 * al. 2020, "Integer Quantization for Deep Learning Inference: Principles and Empirical Evaluation", section 5.2
 * (arXiv 2004.09602).
 *
 * @param share of the values, above 0 and up to 1
 */
export function percentileRange({ width, from, counts }: HistogramData, share = 0.9999): Range {
  if (!(share > 0 && share <= 1)) throw new RangeError(`A share is above 0 and at most 1, not ${share}.`);
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return { min: 0, max: 0 };
  const outside = (total * (1 - share)) / 2;
  /** Where `outside` values have gone by; those of a bin lie evenly in it. */
  const walk = (first: number, step: 1 | -1): number => {
    let passed = 0;
    let bin = first;
    while (counts[bin] === 0 || passed + counts[bin]! < outside) {
      passed += counts[bin]!;
      bin += step;
    }
    const within = (outside - passed) / counts[bin]!;
    return from + width * (step === 1 ? bin + within : bin + 1 - within);
  };
  return { min: walk(0, 1), max: walk(counts.length - 1, -1) };
}

/** Clips a share of the values that were seen: see `percentileRange`. Exact up to the width of a bin. */
export class PercentileObserver implements RangeObserver {
  readonly #share: number;
  readonly #histogram = new Histogram();

  constructor(share = 0.9999) {
    this.#share = share;
  }

  observe(values: Float32Array): void {
    this.#histogram.observe(values);
  }

  merge(other: this): void {
    this.#histogram.merge(other.#histogram);
  }

  range(): Range {
    return percentileRange(this.#histogram.data(), this.#share);
  }
}
