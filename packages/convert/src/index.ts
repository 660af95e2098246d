import { definePlugin, type Plugin } from "@fewbit/core";
import pkg from "../package.json" with { type: "json" };
import { architectures } from "./architectures/index.js";

const plugin: Plugin = definePlugin({
  api: 1,
  name: pkg.name,
  version: pkg.version,
  module: import.meta.url,
  architectures,
});

export default plugin;
export {
  checkTokenizer,
  type TemplateCheck,
  type TokenDifference,
  type TokenizerCheck,
  type TokenizerCheckOptions,
} from "./check/index.js";
export type { Checkpoint, CheckpointFiles } from "./checkpoint.js";
export { readConfig } from "./config.js";
export { type ConvertOptions, convert } from "./convert.js";
export { checkLogits, type LogitsCheck, type LogitsRequest } from "./forward/check-logits.js";
export { autoOuttype, outtypeRecipe, outtypes } from "./outtype.js";
export {
  preTokenizerNames,
  type TokenizerMetadata,
  type TokenizerOptions,
  tokenizerMetadata,
} from "./tokenizer/index.js";
