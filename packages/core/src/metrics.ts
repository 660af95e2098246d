/** How far a decoded tensor is from the original. */
export interface TensorMetrics {
  /** Number of weights compared. */
  readonly count: number;
  /** Mean squared error. */
  readonly mse: number;
  /** Root of `mse`, in the unit of the weights. */
  readonly rmse: number;
  /** Signal-to-quantization-noise ratio in dB: 10·log10(Σx² ⁄ Σ(x − y)²); Infinity when nothing was lost. */
  readonly sqnr: number;
  /** Largest |x − y|. */
  readonly maxError: number;
  /** Cosine similarity of the two tensors; 1 when both are zero. */
  readonly cosine: number;
  /** SQNR where each column counts by its importance, in dB; absent where there is none. */
  readonly weightedSqnr?: number;
}

/** Sums from which the metrics of a tensor follow; plain data, so that chunks can be measured anywhere. */
export interface MetricSums {
  readonly count: number;
  readonly signal: number;
  readonly decoded: number;
  readonly product: number;
  readonly noise: number;
  readonly maxError: number;
  /** The sums in which the importance of a weight's column counts; absent where there is none. */
  readonly weighted?: { readonly signal: number; readonly noise: number };
}

/**
 * @param importance one weight per column, where rows have as many
 * @throws RangeError when the lengths differ, or are no whole rows
 */
export function measure(
  original: Float32Array,
  decoded: Float32Array,
  importance?: Float32Array,
): MetricSums {
  if (original.length !== decoded.length)
    throw new RangeError(`measure: ${original.length} weights against ${decoded.length}`);
  let signal = 0;
  let energy = 0;
  let product = 0;
  let noise = 0;
  let maxError = 0;
  for (let i = 0; i < original.length; i++) {
    const x = original[i]!;
    const y = decoded[i]!;
    const e = x - y;
    signal += x * x;
    energy += y * y;
    product += x * y;
    noise += e * e;
    maxError = Math.max(maxError, Math.abs(e)); // unlike a comparison, this keeps a NaN
  }
  const sums = { count: original.length, signal, decoded: energy, product, noise, maxError };
  return importance === undefined ? sums : { ...sums, weighted: weigh(original, decoded, importance) };
}

function weigh(original: Float32Array, decoded: Float32Array, importance: Float32Array) {
  const columns = importance.length;
  if (original.length % columns !== 0)
    throw new RangeError(`measure: ${original.length} weights in rows of ${columns}`);
  let signal = 0;
  let noise = 0;
  for (let row = 0; row < original.length; row += columns)
    for (let column = 0; column < columns; column++) {
      const x = original[row + column]!;
      const e = x - decoded[row + column]!;
      const weight = importance[column]!;
      signal += weight * x * x;
      noise += weight * e * e;
    }
  return { signal, noise };
}

/** The sums of two chunks together; weighted ones are those of the chunks that have them. */
export const addSums = (a: MetricSums, b: MetricSums): MetricSums => ({
  count: a.count + b.count,
  signal: a.signal + b.signal,
  decoded: a.decoded + b.decoded,
  product: a.product + b.product,
  noise: a.noise + b.noise,
  maxError: Math.max(a.maxError, b.maxError),
  ...(a.weighted || b.weighted
    ? {
        weighted: {
          signal: (a.weighted?.signal ?? 0) + (b.weighted?.signal ?? 0),
          noise: (a.weighted?.noise ?? 0) + (b.weighted?.noise ?? 0),
        },
      }
    : {}),
});

/** Metrics of a tensor from the sums of its chunks. */
export function metricsOf(sums: MetricSums): TensorMetrics {
  const mse = sums.count === 0 ? 0 : sums.noise / sums.count;
  const norms = Math.sqrt(sums.signal) * Math.sqrt(sums.decoded);
  return {
    count: sums.count,
    mse,
    rmse: Math.sqrt(mse),
    sqnr: decibels(sums),
    maxError: sums.maxError,
    cosine: norms > 0 ? sums.product / norms : sums.signal === sums.decoded ? 1 : 0,
    ...(sums.weighted ? { weightedSqnr: decibels(sums.weighted) } : {}),
  };
}

const decibels = ({ signal, noise }: { readonly signal: number; readonly noise: number }): number =>
  noise === 0 ? Number.POSITIVE_INFINITY : 10 * Math.log10(signal / noise);

/** Metrics of a tensor that is at hand whole. @throws RangeError when the lengths differ */
export const compareTensors = (original: Float32Array, decoded: Float32Array): TensorMetrics =>
  metricsOf(measure(original, decoded));
