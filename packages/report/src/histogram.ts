// Counts of weights and of codes: small numbers that stand for millions.
import type { Histogram } from "./data.js";

/** Collects values that arrive in pieces, in bins of one width. Values that are no number are left out. */
export class HistogramCounter {
  readonly #counts: Float64Array;
  #below = 0;
  #above = 0;

  /** @throws RangeError where `from` is not below `to` */
  constructor(
    readonly from: number,
    readonly to: number,
    bins: number,
  ) {
    if (!(from < to)) throw new RangeError(`HistogramCounter: no range from ${from} to ${to}`);
    this.#counts = new Float64Array(bins);
  }

  add(values: Float32Array): void {
    const bins = this.#counts.length;
    const scale = bins / (this.to - this.from);
    for (const value of values) {
      const bin = Math.floor((value - this.from) * scale);
      if (bin >= 0 && bin < bins) this.#counts[bin]!++;
      else if (value < this.from) this.#below++;
      else if (value === this.to) this.#counts[bins - 1]!++;
      else if (value > this.to) this.#above++;
    }
  }

  result(): Histogram {
    return {
      from: this.from,
      to: this.to,
      counts: [...this.#counts],
      ...(this.#below > 0 ? { below: this.#below } : {}),
      ...(this.#above > 0 ? { above: this.#above } : {}),
    };
  }
}
