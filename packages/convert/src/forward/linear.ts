import { type Batch, emptyBatch } from "./batch.js";
import type { Matrix, Weights } from "./weights.js";

/** `x · wᵀ + bias`: each row of `w` makes one number of the output. */
export function linear(x: Batch, w: Matrix, bias?: Float32Array): Batch {
  const out = emptyBatch(x.tokens, w.rows);
  const { rows, columns, values: weights } = w;
  const inputs = x.values;
  const last = x.tokens - 1;
  for (let row = 0; row < rows; row++) {
    const start = row * columns;
    const constant = bias?.[row] ?? 0;
    // Four sums that do not wait for each other; of fewer tokens the last one is computed again.
    for (let token = 0; token <= last; token += 4) {
      const [b, c, d] = [Math.min(token + 1, last), Math.min(token + 2, last), Math.min(token + 3, last)];
      let [p, q, r, s] = [token * columns, b * columns, c * columns, d * columns];
      let [sumA, sumB, sumC, sumD] = [constant, constant, constant, constant];
      for (let i = start; i < start + columns; i++) {
        const weight = weights[i]!;
        sumA += weight * inputs[p++]!;
        sumB += weight * inputs[q++]!;
        sumC += weight * inputs[r++]!;
        sumD += weight * inputs[s++]!;
      }
      out.values[token * rows + row] = sumA;
      out.values[b * rows + row] = sumB;
      out.values[c * rows + row] = sumC;
      out.values[d * rows + row] = sumD;
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
