import { createKernel, type Kernel, reserve } from "./kernel.js";

/** Bytes of vectors that are added in one call: they stay in the processor's cache. */
const TILE = 128 * 1024;

/** Adds squares of vectors, column by column, in single precision and in the vectors' order. */
export class Squares {
  readonly #kernel: Kernel = createKernel();
  #columns = 0;
  #room = 0;
  #sums = new Float32Array(0);
  #tile = new Float32Array(0);

  /**
   * sums[j] += x[v][j]².
   *
   * @param sums one per column
   * @param values vectors of `sums.length` numbers, one after another
   * @param order which vectors, one after another; all of them when absent
   * @returns whether all sums are finite
   */
  add(sums: Float32Array, values: Float32Array, order?: ArrayLike<number>): boolean {
    const columns = sums.length;
    const count = order?.length ?? values.length / columns;
    this.#make(columns);
    this.#sums.set(sums);
    let finite = 1;
    for (let from = 0; from < count; from += this.#room) {
      const to = Math.min(from + this.#room, count);
      if (order === undefined) this.#tile.set(values.subarray(from * columns, to * columns));
      else
        for (let i = from; i < to; i++) {
          const at = order[i]! * columns;
          this.#tile.set(values.subarray(at, at + columns), (i - from) * columns);
        }
      const { byteOffset } = this.#sums;
      // A sum that is not finite stays so.
      finite = this.#kernel.addSquares(byteOffset, this.#tile.byteOffset, columns, to - from);
    }
    sums.set(this.#sums);
    return finite !== 0;
  }

  #make(columns: number): void {
    if (columns === this.#columns) return;
    this.#columns = columns;
    this.#room = Math.max(1, Math.floor(TILE / (4 * columns)));
    const [sums, tile] = reserve(this.#kernel, 4 * columns, 4 * columns * this.#room) as [number, number];
    const { buffer } = this.#kernel.memory;
    this.#sums = new Float32Array(buffer, sums, columns);
    this.#tile = new Float32Array(buffer, tile, columns * this.#room);
  }
}
