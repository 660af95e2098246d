import type { Range, RangeObserver } from "./observer.js";

/** Nothing is clipped: from the smallest to the largest value ever seen. One outlier decides. */
export class MinMaxObserver implements RangeObserver {
  #min = Number.POSITIVE_INFINITY;
  #max = Number.NEGATIVE_INFINITY;

  observe(values: Float32Array): void {
    let [min, max] = [this.#min, this.#max];
    for (let i = 0; i < values.length; i++) {
      const value = values[i]!;
      if (value < min) min = value;
      if (value > max) max = value;
    }
    this.#min = min;
    this.#max = max;
  }

  merge(other: this): void {
    this.#min = Math.min(this.#min, other.#min);
    this.#max = Math.max(this.#max, other.#max);
  }

  range(): Range {
    return this.#min > this.#max ? { min: 0, max: 0 } : { min: this.#min, max: this.#max };
  }
}
