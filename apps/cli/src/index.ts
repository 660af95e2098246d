export { type Config, defineConfig } from "./config.js";
export { createProgram, run } from "./program.js";
export type { Surroundings } from "./session.js";
export { version } from "./version.js";
