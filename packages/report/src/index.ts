export { CodeCounter } from "./codes.js";
export type {
  Candidate,
  Codes,
  Distribution,
  Divergence,
  Estimate,
  Histogram,
  ModelFacts,
  Percentiles,
  ProbabilityChange,
  Reference,
  ReportData,
  Speed,
  StoredTensor,
  TensorError,
  Text,
  WeightError,
} from "./data.js";
export { HistogramCounter } from "./histogram.js";
export { GENERATOR, renderReport } from "./page.js";
export { addSpeeds, DocumentError, mergeReports, readReport, readSpeeds, type Speeds } from "./read.js";
