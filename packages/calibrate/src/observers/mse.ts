import { Histogram, type HistogramData } from "./histogram.js";
import { lengthOf, magnitudesOf } from "./magnitudes.js";
import type { Range, RangeObserver } from "./observer.js";

/** Thresholds that are tried, evenly from none to the largest magnitude. */
const STEPS = 200;

/**
 * The symmetric range with the smallest mean squared error of rounding and clipping together, found by trying: Nagel et
 * al. 2021, "A White Paper on Neural Network Quantization", section 3.1 (arXiv 2106.08295); the trade between the two
 * errors is that of Banner et al. 2019, "Post training 4-bit quantization of convolutional networks for
 * rapid-deployment" (arXiv 1810.05723). Every value counts as the middle of its bin.
 *
 * @param bits of the quantizer, from 2 to 16; it has the levels -(2^(bits-1) - 1) to 2^(bits-1) - 1
 */
export function mseRange(histogram: HistogramData, bits = 8): Range {
  if (!Number.isInteger(bits) || bits < 2 || bits > 16)
    throw new RangeError(`A quantizer has 2 to 16 bits here, not ${bits}.`);
  const counts = magnitudesOf(histogram);
  const length = lengthOf(counts);
  if (length === 0) return { min: 0, max: 0 };
  const levels = 2 ** (bits - 1) - 1;
  const most = length * histogram.width;
  let best = { max: most, error: Number.POSITIVE_INFINITY };
  for (let step = STEPS; step > 0; step--) {
    const max = (most * step) / STEPS;
    const error = squaredError(counts, length, histogram.width, max, levels);
    if (error < best.error) best = { max, error };
  }
  return { min: -best.max, max: best.max };
}

function squaredError(
  counts: Float64Array,
  length: number,
  width: number,
  max: number,
  levels: number,
): number {
  const scale = max / levels;
  let error = 0;
  for (let i = 0; i < length; i++) {
    const value = (i + 0.5) * width;
    const quantized = Math.min(levels, Math.round(value / scale)) * scale;
    error += counts[i]! * (value - quantized) ** 2;
  }
  return error;
}

/** The threshold of least mean squared error: see `mseRange`. */
export class MseObserver implements RangeObserver {
  readonly #bits: number;
  readonly #histogram = new Histogram();

  constructor(bits = 8) {
    this.#bits = bits;
  }

  observe(values: Float32Array): void {
    this.#histogram.observe(values);
  }

  merge(other: this): void {
    this.#histogram.merge(other.#histogram);
  }

  range(): Range {
    return mseRange(this.#histogram.data(), this.#bits);
  }
}
