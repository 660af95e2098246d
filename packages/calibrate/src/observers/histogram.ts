/** Bins on either side of zero. */
const HALF = 2048;
/** Bins of values that are all smaller than any float32. */
const LEAST_EXPONENT = -160;

/** A histogram as plain data. */
export interface HistogramData {
  /** Of each bin; a power of two. */
  readonly width: number;
  /** Lower end of the first bin: -2048 × width. */
  readonly from: number;
  /** 4096 counts: bin `i` holds values from `from + i × width` up to the next bin. */
  readonly counts: Float64Array;
}

/**
 * Counts values in 4096 bins of equal width around zero. The width is the smallest power of two with which all values
 * fit: when a larger one comes, pairs of bins become one. So the result depends on neither the order of values nor how
 * they were divided among histograms that were merged later.
 */
export class Histogram {
  #exponent = LEAST_EXPONENT;
  readonly #counts = new Float64Array(2 * HALF);

  observe(values: Float32Array): void {
    let most = 0;
    for (let i = 0; i < values.length; i++) {
      const size = Math.abs(values[i]!);
      if (size > most) most = size;
    }
    this.#widen(exponentFor(most));
    const scale = 2 ** -this.#exponent;
    const counts = this.#counts;
    for (let i = 0; i < values.length; i++) counts[Math.floor(values[i]! * scale) + HALF]!++;
  }

  merge(other: Histogram): void {
    const copy = new Histogram();
    copy.#exponent = other.#exponent;
    copy.#counts.set(other.#counts);
    copy.#widen(this.#exponent);
    this.#widen(copy.#exponent);
    for (let i = 0; i < 2 * HALF; i++) this.#counts[i]! += copy.#counts[i]!;
  }

  data(): HistogramData {
    const width = 2 ** this.#exponent;
    return { width, from: -HALF * width, counts: this.#counts.slice() };
  }

  #widen(exponent: number): void {
    const steps = exponent - this.#exponent;
    if (steps <= 0) return;
    this.#exponent = exponent;
    const counts = this.#counts.slice();
    this.#counts.fill(0);
    // Zero stays where it is.
    for (let i = 0; i < 2 * HALF; i++)
      if (counts[i] !== 0) this.#counts[Math.floor((i - HALF) / 2 ** steps) + HALF]! += counts[i]!;
  }
}

/** The smallest exponent with which `size` and `-size` have a bin: size < 2048 × 2^exponent. */
function exponentFor(size: number): number {
  if (size === 0) return LEAST_EXPONENT;
  let exponent = Math.floor(Math.log2(size)) + 1 - Math.log2(HALF);
  // The logarithm may round up or down at a power of two.
  if (size >= HALF * 2 ** exponent) exponent++;
  else if (size < HALF * 2 ** (exponent - 1)) exponent--;
  return Math.max(LEAST_EXPONENT, exponent);
}
