import { Histogram, type HistogramData } from "./histogram.js";
import { lengthOf, magnitudesOf } from "./magnitudes.js";
import type { Range, RangeObserver } from "./observer.js";

/**
 * The symmetric range whose quantized distribution says the most about the real one: of all thresholds, that with the
 * smallest KL divergence. As TensorRT calibrates: Migacz 2017, "8-bit Inference with TensorRT", GPU Technology
 * Conference, slides 36 to 41. Of the magnitudes up to a threshold, what lies beyond is added to the last bin; bins are
 * drawn together to as many levels as the quantizer has for magnitudes; the count of a level is spread evenly over those
 * of its bins that were not empty.
 *
 * @param bits of the quantizer, from 2 to 8
 */
export function entropyRange(histogram: HistogramData, bits = 8): Range {
  if (!Number.isInteger(bits) || bits < 2 || bits > 8)
    throw new RangeError(`A quantizer has 2 to 8 bits here, not ${bits}.`);
  const counts = magnitudesOf(histogram);
  const length = lengthOf(counts);
  const levels = 2 ** (bits - 1);
  let best = { bins: length, divergence: Number.POSITIVE_INFINITY };
  for (let bins = levels; bins < length; bins++) {
    const divergence = divergenceAt(counts, bins, length, levels);
    if (divergence < best.divergence) best = { bins, divergence };
  }
  // With all of them nothing is clipped, and ties go to what clips less.
  if (divergenceAt(counts, length, length, levels) <= best.divergence) best = { bins: length, divergence: 0 };
  const max = best.bins * histogram.width;
  return { min: -max, max };
}

function divergenceAt(counts: Float64Array, bins: number, length: number, levels: number): number {
  let [total, beyond] = [0, 0];
  for (let i = 0; i < length; i++) {
    total += counts[i]!;
    if (i >= bins) beyond += counts[i]!;
  }
  const inside = total - beyond;
  if (inside === 0) return Number.POSITIVE_INFINITY;
  let divergence = 0;
  const per = Math.max(1, bins / levels);
  for (let level = 0, from = 0; from < bins; level++) {
    const to = level === levels - 1 ? bins : Math.min(bins, Math.floor((level + 1) * per));
    let [sum, used] = [0, 0];
    for (let i = from; i < to; i++) {
      sum += counts[i]!;
      if (counts[i] !== 0) used++;
    }
    for (let i = from; i < to; i++) {
      const count = counts[i]! + (i === bins - 1 ? beyond : 0);
      if (count === 0) continue;
      // An empty last bin may get what lies beyond: a reference that the quantized distribution cannot show.
      if (counts[i] === 0) return Number.POSITIVE_INFINITY;
      divergence += (count / total) * Math.log(count / total / (sum / used / inside));
    }
    from = to;
  }
  return divergence;
}

/** The threshold of least KL divergence: see `entropyRange`. */
export class EntropyObserver implements RangeObserver {
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
    return entropyRange(this.#histogram.data(), this.#bits);
  }
}
