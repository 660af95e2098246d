import { definePlugin, type Plugin } from "@fewbit/core";
import pkg from "../package.json" with { type: "json" };
import { reader } from "./reader.js";
import { writer } from "./writer.js";

const plugin: Plugin = definePlugin({
  api: 1,
  name: pkg.name,
  version: pkg.version,
  module: import.meta.url,
  readers: [reader],
  writers: [writer],
});

export default plugin;
export { writeIndex } from "./checkpoint.js";
export { openSafetensors, reader } from "./reader.js";
export { type Scan, type ScannedTensor, scan } from "./scan.js";
export { shardNames } from "./shard.js";
export { type Dtype, dtypes } from "./types.js";
export { writer } from "./writer.js";
