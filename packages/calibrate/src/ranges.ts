import type { Activation } from "@fewbit/core";
import { Histogram, type HistogramData } from "./observers/histogram.js";
import { MinMaxObserver } from "./observers/min-max.js";
import { MovingAverageObserver } from "./observers/moving-average.js";
import type { Range } from "./observers/observer.js";

/** The inputs of one weight: what its quantization needs to know of them. */
export interface TensorRange {
  readonly minMax: Range;
  /** Of the minima and maxima of micro-batches. */
  readonly movingAverage: Range;
  readonly histogram: HistogramData;
}

interface Observers {
  readonly minMax: MinMaxObserver;
  readonly movingAverage: MovingAverageObserver;
  readonly histogram: Histogram;
}

/** Ranges and histograms of inputs, for each weight; those of all its experts together. */
export class RangeCollector {
  readonly #observers = new Map<string, Observers>();

  see({ weight, values }: Activation): void {
    let observers = this.#observers.get(weight);
    if (observers === undefined) {
      observers = {
        minMax: new MinMaxObserver(),
        movingAverage: new MovingAverageObserver(),
        histogram: new Histogram(),
      };
      this.#observers.set(weight, observers);
    }
    for (const observer of Object.values(observers)) observer.observe(values);
  }

  get ranges(): ReadonlyMap<string, TensorRange> {
    return new Map(
      [...this.#observers].map(([name, { minMax, movingAverage, histogram }]) => [
        name,
        { minMax: minMax.range(), movingAverage: movingAverage.range(), histogram: histogram.data() },
      ]),
    );
  }
}
