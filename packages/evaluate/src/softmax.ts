import { wasm } from "./kernel.gen.js";

interface Kernel {
  readonly memory: WebAssembly.Memory;
  base(): number;
  highest(row: number, count: number): number;
  find(row: number, value: number): number;
  sum(row: number, count: number, peak: number): number;
  product(x: number, y: number, count: number, peak: number): number;
}

const PAGE = 65536;

/** Takes the places between the end of a row and a multiple of four: its exponential is zero beside any logit. */
const FILL = -3.4028234663852886e38;

/** The distribution over the vocabulary that a row of logits stands for. */
export interface Distribution {
  /** The highest logit. */
  readonly peak: number;
  /** The first token that has it. */
  readonly top: number;
  /** Σ e^(logit - peak) */
  readonly sum: number;
  /** ln Σ e^logit: a token's log-probability is its logit less this. */
  readonly logSum: number;
}

/**
 * Sums over rows of logits. Logits and exponentials are float32, differences and products of them too; every sum, and
 * what is made of sums, is float64.
 */
export class Softmax {
  readonly #kernel: Kernel;
  readonly #count: number;
  /** Two rows, one for each model. */
  readonly #rows: readonly [Float32Array, Float32Array];

  private constructor(kernel: Kernel, vocabulary: number) {
    this.#kernel = kernel;
    this.#count = Math.ceil(vocabulary / 4) * 4;
    const first = Math.ceil(kernel.base() / 64) * 64;
    const bytes = 4 * this.#count;
    const missing = first + 2 * bytes - kernel.memory.buffer.byteLength;
    if (missing > 0) kernel.memory.grow(Math.ceil(missing / PAGE));
    const row = (at: number): Float32Array =>
      new Float32Array(kernel.memory.buffer, at, this.#count).fill(FILL);
    this.#rows = [row(first), row(first + bytes)];
  }

  /** @param vocabulary length of the rows */
  static async create(vocabulary: number): Promise<Softmax> {
    const text = atob(wasm);
    const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
    const { instance } = await WebAssembly.instantiate(bytes, {});
    return new Softmax(instance.exports as unknown as Kernel, vocabulary);
  }

  /** Undefined where a logit is NaN or infinite. */
  distribution(logits: Float32Array): Distribution | undefined {
    const [, row] = this.#rows;
    row.set(logits);
    const peak = this.#kernel.highest(row.byteOffset, this.#count);
    if (Number.isNaN(peak)) return undefined;
    const sum = this.#kernel.sum(row.byteOffset, this.#count, peak);
    const top = this.#kernel.find(row.byteOffset, peak);
    return { peak, top, sum, logSum: peak + Math.log(sum) };
  }

  /**
   * The Kullback-Leibler divergence Σ p·ln(p / q), in nats: p the distribution of `logits`, q the one that
   * `distribution` was called for last. What rounding leaves below zero is zero.
   */
  divergence(logits: Float32Array, p: Distribution, q: Distribution): number {
    const [x, y] = this.#rows;
    x.set(logits);
    const product = this.#kernel.product(x.byteOffset, y.byteOffset, this.#count, p.peak);
    return Math.max(0, product / p.sum - p.logSum + q.logSum);
  }
}
