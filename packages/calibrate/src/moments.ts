import { type Activation, FewbitError } from "@fewbit/core";
import { createKernel, type Kernel, reserve } from "./kernel.js";

/** The second moments of a weight's inputs. */
export interface Moment {
  readonly columns: number;
  /** Input vectors that were added. */
  readonly count: number;
  /** XᵀX: columns × columns, symmetric; sums of products, not means. Float64 sums, rounded once. */
  readonly sums: Float32Array;
}

/** Vectors that are added in one call. */
const TILE = 64;
const PANEL = 8;
/** A matrix of sums beyond this does not fit the memory that WebAssembly can address. */
const MOST_COLUMNS = 24_576;

/** XᵀX, with a row of X for each input vector. */
export class MomentSums {
  readonly #columns: number;
  readonly #kernel: Kernel = createKernel();
  readonly #addresses: readonly [number, number, number];
  readonly #sums: Float64Array;
  readonly #tile: Float32Array;
  #count = 0;

  /** @param columns length of each input vector, at most 24576 */
  constructor(columns: number) {
    this.#columns = columns;
    const panels = Math.ceil(columns / PANEL);
    const sums = ((panels * (panels + 1)) / 2) * PANEL * PANEL;
    this.#addresses = reserve(this.#kernel, 8 * sums, 4 * columns * TILE, 8 * panels * PANEL * TILE) as [
      number,
      number,
      number,
    ];
    const { buffer } = this.#kernel.memory;
    this.#sums = new Float64Array(buffer, this.#addresses[0], sums);
    this.#tile = new Float32Array(buffer, this.#addresses[1], columns * TILE);
  }

  add(values: Float32Array): void {
    const columns = this.#columns;
    const [sums, tile, packed] = this.#addresses;
    const count = values.length / columns;
    for (let from = 0; from < count; from += TILE) {
      const vectors = Math.min(TILE, count - from);
      this.#tile.set(values.subarray(from * columns, (from + vectors) * columns));
      this.#kernel.pack(tile, packed, columns, vectors);
      this.#kernel.addProducts(sums, packed, columns, vectors);
    }
    this.#count += count;
  }

  /** @returns a copy */
  moment(): Moment {
    const columns = this.#columns;
    const square = new Float32Array(columns * columns);
    let at = 0;
    for (let p = 0; p < columns; p += PANEL)
      for (let q = 0; q <= p; q += PANEL)
        for (let i = p; i < p + PANEL; i++)
          for (let j = q; j < q + PANEL; j++, at++) {
            if (i >= columns || j >= columns) continue;
            square[i * columns + j] = this.#sums[at]!;
            square[j * columns + i] = this.#sums[at]!;
          }
    return { columns, count: this.#count, sums: square };
  }
}

/** Second moments of the inputs of some weights. */
export class MomentCollector {
  readonly #pattern: RegExp;
  readonly #sums = new Map<string, MomentSums>();

  /** @param pattern a regular expression searched in the names of weights */
  constructor(pattern: string) {
    this.#pattern = new RegExp(pattern);
  }

  wants(weight: string): boolean {
    return this.#pattern.test(weight);
  }

  /** @throws `E_USAGE` for a weight with experts, or one that is too wide */
  see({ weight, columns, values, experts, matrices = 1 }: Activation): void {
    if (!this.wants(weight)) return;
    const refuse = (what: string): never => {
      throw new FewbitError("E_USAGE", what, { tensor: weight }, "Choose other tensors for --moments.");
    };
    if (experts > 1 || matrices > 1)
      refuse(`${weight} has several matrices; second moments are collected for weights of one.`);
    if (columns > MOST_COLUMNS)
      refuse(`${weight} has ${columns} columns; second moments are collected for at most ${MOST_COLUMNS}.`);
    let sums = this.#sums.get(weight);
    if (sums === undefined) {
      sums = new MomentSums(columns);
      this.#sums.set(weight, sums);
    }
    sums.add(values);
  }

  get moments(): ReadonlyMap<string, Moment> {
    return new Map([...this.#sums].map(([name, sums]) => [name, sums.moment()]));
  }
}
