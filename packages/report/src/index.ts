export type * from "./data.js";
export { HistogramCounter } from "./histogram.js";
export { renderReport } from "./page.js";
