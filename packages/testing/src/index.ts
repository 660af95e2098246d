export type { TestFunction } from "./law.js";
export { type SchemeTestOptions, testScheme, type Vector } from "./scheme.js";
