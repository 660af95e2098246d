import { definePlugin, type Plugin } from "@fewbit/core";
import pkg from "../package.json" with { type: "json" };
import { reader } from "./reader.js";
import { recipes } from "./recipes.js";
import { writer } from "./writer.js";

const plugin: Plugin = definePlugin({
  api: 1,
  name: pkg.name,
  version: pkg.version,
  module: import.meta.url,
  readers: [reader],
  writers: [writer],
  recipes,
});

export default plugin;
export {
  type Collected,
  type Collection,
  readCollection,
  readImportance,
  type StoredCollection,
  writeImportance,
  writeLegacyImportance,
} from "./imatrix.js";
export { checkImportance, filterImportance, type ImportanceFit } from "./importance.js";
export { applyOverrides, outputMetadata, parseOverride } from "./metadata.js";
export { type Pruned, pruneLayers } from "./prune.js";
export { openGguf, reader } from "./reader.js";
export { aliases, recipes } from "./recipes.js";
export { type Scan, type ScannedTensor, scan } from "./scan.js";
export { schemeRecipe } from "./scheme-recipe.js";
export { type SplitLimit, splitBy, splitting, verbatim } from "./split.js";
export { fileTypeName, type TensorType, tensorTypes } from "./types.js";
export { writer } from "./writer.js";
