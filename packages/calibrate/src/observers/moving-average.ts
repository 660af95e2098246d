import { MinMaxObserver } from "./min-max.js";
import type { Range, RangeObserver } from "./observer.js";

/**
 * Exponential moving averages of the minimum and of the maximum of each batch: outliers of single batches fade. As in
 * Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
 * section 3.1 (arXiv 1712.05877). The average begins at zero and is divided by the weight it has gathered, as in Adam
 * (Kingma and Ba 2015, arXiv 1412.6980), so that two of them can be joined exactly.
 */
export class MovingAverageObserver implements RangeObserver {
  readonly #keep: number;
  #weight = 0;
  #min = 0;
  #max = 0;

  /** @param share weight of the newest batch, above 0 and up to 1 */
  constructor(share = 0.01) {
    if (!(share > 0 && share <= 1)) throw new RangeError(`A share is above 0 and at most 1, not ${share}.`);
    this.#keep = 1 - share;
  }

  observe(values: Float32Array): void {
    if (values.length === 0) return;
    const batch = new MinMaxObserver();
    batch.observe(values);
    const { min, max } = batch.range();
    this.#add(this.#keep, 1 - this.#keep, min, max);
  }

  merge(other: this): void {
    // What is left of this one's weight after the batches of the other.
    const keep = 1 - other.#weight;
    this.#add(keep, other.#weight, other.#min, other.#max);
  }

  range(): Range {
    return { min: this.#min, max: this.#max };
  }

  /** The averages are kept divided by the weight. */
  #add(keep: number, share: number, min: number, max: number): void {
    const weight = keep * this.#weight + share;
    if (weight === 0) return;
    this.#min = (keep * this.#weight * this.#min + share * min) / weight;
    this.#max = (keep * this.#weight * this.#max + share * max) / weight;
    this.#weight = weight;
  }
}
