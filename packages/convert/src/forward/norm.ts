import type { Batch } from "./batch.js";

/**
 * Root mean square norm over runs of as many numbers as there are weights: whole vectors, or the heads in them.
 *
 * @param offset added to the weights, which some models keep as differences from one
 */
export function rmsNorm(x: Batch, weight: Float32Array, epsilon: number, offset = 0): Batch {
  return inRuns(x, weight.length, (run) => {
    let squares = 0;
    for (const value of run) squares += value * value;
    const scale = 1 / Math.sqrt(squares / run.length + epsilon);
    for (let i = 0; i < run.length; i++) run[i]! *= scale * (weight[i]! + offset);
  });
}

/** Norm about the mean. */
export function layerNorm(
  x: Batch,
  weight: Float32Array,
  bias: Float32Array | undefined,
  epsilon: number,
): Batch {
  return inRuns(x, weight.length, (run) => {
    let sum = 0;
    for (const value of run) sum += value;
    const mean = sum / run.length;
    let squares = 0;
    for (const value of run) squares += (value - mean) ** 2;
    const scale = 1 / Math.sqrt(squares / run.length + epsilon);
    for (let i = 0; i < run.length; i++) run[i] = (run[i]! - mean) * scale * weight[i]! + (bias?.[i] ?? 0);
  });
}

function inRuns(x: Batch, length: number, change: (run: Float64Array) => void): Batch {
  const values = x.values.slice();
  for (let at = 0; at < values.length; at += length) change(values.subarray(at, at + length));
  return { ...x, values };
}
