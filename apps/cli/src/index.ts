export { type Config, defineConfig } from "./config.js";
export { createProgram, run, version } from "./program.js";
export type { Surroundings } from "./session.js";
