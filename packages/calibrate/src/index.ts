export {
  type Calibration,
  type CalibrationProgress,
  type CalibrationRequest,
  calibrate,
} from "./calibrate.js";
export { type DefaultText, defaultText } from "./default-text/index.js";
export { mergeCollections, type NamedCollection } from "./merge.js";
export type { Moment } from "./moments.js";
export {
  EntropyObserver,
  entropyRange,
  Histogram,
  type HistogramData,
  MinMaxObserver,
  MovingAverageObserver,
  MseObserver,
  mseRange,
  PercentileObserver,
  percentileRange,
  type Range,
  type RangeObserver,
} from "./observers/index.js";
export type { TensorRange } from "./ranges.js";
export type { CalibrationOptions } from "./settings.js";
export { importanceStatistics, type LayerStatistics, type TensorStatistics } from "./statistics.js";
