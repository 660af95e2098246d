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
  if (length === 0) return { min: 0, max: 0 };
  const total = counts.reduce((sum, count) => sum + count, 0);
  const levels = 2 ** (bits - 1);
  // Ties go to what clips less, and nothing is clipped with all of them.
  let best = { bins: length, divergence: divergenceAt(counts, length, total, total, levels) };
  let inside = 0;
  for (let bins = 1; bins < length; bins++) {
    inside += counts[bins - 1]!;
    if (bins < levels || inside === 0) continue;
    const divergence = divergenceAt(counts, bins, inside, total, levels);
    if (divergence < best.divergence) best = { bins, divergence };
  }
  const max = best.bins * histogram.width;
  return { min: -max, max };
}

/** @param inside values in the first `bins` bins, of `total` */
function divergenceAt(
  counts: Float64Array,
  bins: number,
  inside: number,
  total: number,
  levels: number,
): number {
  const beyond = total - inside;
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
