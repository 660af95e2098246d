export type { TestFunction } from "./law.js";
export { type RunnerTestOptions, testRunner } from "./runner.js";
export { type ContractOptions, runnerPlugin } from "./runner-plugin.js";
export { type SchemeTestOptions, testScheme, type Vector } from "./scheme.js";
