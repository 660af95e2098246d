import { type Batch, emptyBatch } from "./batch.js";
import type { Matrix, Weights } from "./weights.js";

/** `x · wᵀ + bias`: each row of `w` makes one number of the output. */
export function linear(x: Batch, w: Matrix, bias?: Float32Array): Batch {
  const out = emptyBatch(x.tokens, w.rows);
  for (let row = 0; row < w.rows; row++) {
    const start = row * w.columns;
    const constant = bias?.[row] ?? 0;
    for (let token = 0; token < x.tokens; token++) {
      const at = token * x.width;
      let sum = constant;
      for (let i = 0; i < w.columns; i++) sum += w.values[start + i]! * x.values[at + i]!;
      out.values[token * w.rows + row] = sum;
    }
  }
  return out;
}

/** Rows as columns. */
export function transpose({ rows, columns, values }: Matrix): Matrix {
  const out = new Float32Array(values.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      out[column * rows + row] = values[row * columns + column]!;
  return { rows: columns, columns: rows, values: out };
}

/** The layer `name`, with its bias where the checkpoint has one. */
export async function dense(w: Weights, x: Batch, name: string): Promise<Batch> {
  return linear(x, await w.matrix(`${name}.weight`), await biasOf(w, name));
}

export const biasOf = async (w: Weights, name: string): Promise<Float32Array | undefined> =>
  w.has(`${name}.bias`) ? w.vector(`${name}.bias`) : undefined;

/** Several layers of one input, side by side in one matrix: their outputs apart. */
export function apart(x: Batch, widths: readonly number[]): Batch[] {
  const outs = widths.map((width) => emptyBatch(x.tokens, width));
  for (let token = 0; token < x.tokens; token++) {
    let at = token * x.width;
    for (const out of outs) {
      out.values.set(x.values.subarray(at, at + out.width), token * out.width);
      at += out.width;
    }
  }
  return outs;
}
