import { type Activation, FewbitError } from "@fewbit/core";
import type { Collected } from "@fewbit/format-gguf";
import { vectorsOf } from "./activation.js";
import { Squares } from "./squares.js";

interface Entry {
  readonly sums: Float32Array;
  /** Float32 would stop counting at 2²⁴. */
  readonly counts: Float64Array;
}

/** The importance matrix as llama-imatrix collects it: squares of inputs summed by column, and how many were summed. */
export class ImportanceCollector {
  readonly #squares = new Squares();
  readonly #entries = new Map<string, Entry>();

  /** @param entries what was collected before, to go on from */
  constructor(entries: ReadonlyMap<string, Collected> = new Map()) {
    for (const [name, { sums, counts }] of entries)
      this.#entries.set(name, { sums: sums.slice(), counts: Float64Array.from(counts) });
  }

  get entries(): ReadonlyMap<string, Collected> {
    return new Map(
      [...this.#entries].map(([name, { sums, counts }]) => [
        name,
        { sums, counts: Float32Array.from(counts) },
      ]),
    );
  }

  /**
   * @returns whether all sums are finite
   * @throws `E_IMATRIX_SHAPE` where what was collected before has another size
   */
  see(activation: Activation): boolean {
    const { weight, columns, values, experts, chosen, matrices = 1 } = activation;
    // Weights of several matrices without experts have one count.
    const entry = this.#entry(weight, columns, experts * matrices, chosen === undefined ? 1 : experts);
    const { sums, counts } = entry;
    let finite = true;
    const add = (matrix: number, order?: ArrayLike<number>): void => {
      const own = sums.subarray(matrix * columns, (matrix + 1) * columns);
      if (!this.#squares.add(own, values, order)) finite = false;
    };
    if (experts === 1 && matrices === 1 && chosen === undefined) add(0);
    else
      for (const [matrix, order] of vectorsOf(activation).entries()) if (order.length > 0) add(matrix, order);
    if (chosen === undefined) counts[0]! += values.length / columns / matrices;
    else for (const expert of chosen) counts[expert]!++;
    return finite;
  }

  #entry(name: string, columns: number, matrices: number, counts: number): Entry {
    const found = this.#entries.get(name);
    if (found === undefined) {
      const entry = { sums: new Float32Array(columns * matrices), counts: new Float64Array(counts) };
      this.#entries.set(name, entry);
      return entry;
    }
    if (found.sums.length !== columns * matrices || found.counts.length !== counts)
      throw new FewbitError(
        "E_IMATRIX_SHAPE",
        `What was collected for ${name} before has ${found.sums.length} sums and ${found.counts.length} counts; the model needs ${columns * matrices} and ${counts}.`,
        { tensor: name },
        "It was collected from another model: start anew.",
      );
    return found;
  }
}
