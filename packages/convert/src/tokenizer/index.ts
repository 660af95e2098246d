export type { ReadTokenizer, TokenizerMetadata, TokenizerOptions } from "./types.js";
