import { definePlugin, type Engine, type Plugin } from "@fewbit/core";
import manifest from "../package.json" with { type: "json" };
import { createEngine } from "./engine.js";

export type { Build, FindBuild } from "./builds.js";
export { createEngine } from "./engine.js";

/** llama.cpp in a process of its own. Nothing of it is loaded before the first run. */
export const llama: Engine = createEngine();

const plugin: Plugin = definePlugin({
  api: 1,
  name: manifest.name,
  version: manifest.version,
  module: import.meta.url,
  engines: [llama],
});

export default plugin;
