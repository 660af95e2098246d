export * from "./dtype.js";
export * from "./error.js";
export * from "./metrics.js";
export * from "./registry.js";
export * from "./types.js";
