export { type EngineTestOptions, testEngine } from "./engine.js";
export type { TestFunction } from "./law.js";
export { type PluginTestOptions, testPlugin } from "./plugin.js";
export { type ReaderTestOptions, type Sample, testReader } from "./reader.js";
export { type RunnerTestOptions, testRunner } from "./runner.js";
export { type ContractOptions, default as runnerPlugin } from "./runner-plugin.js";
export { type SchemeTestOptions, testScheme, type Vector } from "./scheme.js";
export { testWriter, type WriterTestOptions } from "./writer.js";
