export { CodeCounter } from "./codes.js";
export type * from "./data.js";
export { HistogramCounter } from "./histogram.js";
export { GENERATOR, renderReport } from "./page.js";
export { DocumentError, mergeReports, readReport } from "./read.js";
