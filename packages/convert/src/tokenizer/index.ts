export type { ChatTemplate } from "./chat-template.js";
export { preTokenizerNames } from "./pre-tokenizer/patterns.js";
export { tokenizerMetadata } from "./read.js";
export type { ReadTokenizer, TokenizerMetadata, TokenizerOptions } from "./types.js";
