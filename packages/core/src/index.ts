export * from "./architecture.js";
export * from "./dtype.js";
export * from "./engine.js";
export * from "./error.js";
export { execute, type Io, type LoadCodec } from "./execute.js";
export { inlineRunner } from "./inline-runner.js";
export * from "./metrics.js";
export { type Patience, patience, patientFetch, pause } from "./patience.js";
export { type Progress, type RunRequest, runPlan } from "./pipeline.js";
export * from "./plan.js";
export * from "./registry.js";
export { bareName, blobSource, memorySource, nameOf, truncated, urlSource } from "./source.js";
export * from "./types.js";
export {
  concat,
  constant,
  float32,
  packBlocks,
  type ReadStored,
  reshape,
  rows,
  scaled,
  stack,
  stored,
  storedUnder,
  swapAxes,
  transpose,
  type View,
} from "./view.js";
export { readView } from "./view-read.js";
