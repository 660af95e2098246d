export { preTokenizerNames } from "./pre-tokenizer/patterns.js";
export { tokenizerMetadata } from "./read.js";
export type { TokenizerMetadata, TokenizerOptions } from "./types.js";
