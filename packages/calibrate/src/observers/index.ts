export { EntropyObserver, entropyRange } from "./entropy.js";
export { Histogram, type HistogramData } from "./histogram.js";
export { MinMaxObserver } from "./min-max.js";
export { MovingAverageObserver } from "./moving-average.js";
export { MseObserver, mseRange } from "./mse.js";
export type { Range, RangeObserver } from "./observer.js";
export { PercentileObserver, percentileRange } from "./percentile.js";
