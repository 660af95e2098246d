import type { Config, MetadataEntry } from "@fewbit/core";
import type { CheckpointFiles } from "../checkpoint.js";

/** How a checkpoint's tokenizer is read. */
export interface TokenizerOptions {
  /** GGUF's name of the architecture, which decides where llama.cpp's converter looks for the vocabulary: `llama`. */
  readonly architecture: string;
  /** A pre-tokenizer of llama.cpp by its name, such as `llama-bpe`, instead of the one that is found. */
  readonly preTokenizer?: string;
}

/** A tokenizer as GGUF holds it. */
export interface TokenizerMetadata {
  /** `tokenizer.*`, in the order and with the types that llama.cpp's converter writes. */
  readonly entries: readonly MetadataEntry[];
  /** Tokens, those included that only fill the vocabulary up to `vocab_size`. */
  readonly vocabulary: number;
  /** What was guessed, or could not be kept, as sentences for people. */
  readonly warnings: readonly string[];
}

/**
 * Reads the tokenizer beside a model's weights.
 * @throws `E_TOKENIZER` where files are missing, malformed, or of a kind that GGUF cannot hold; `E_PRETOKENIZER` where no
 * pre-tokenizer of llama.cpp splits texts as this one does
 */
export type ReadTokenizer = (
  files: CheckpointFiles,
  config: Config,
  options: TokenizerOptions,
) => Promise<TokenizerMetadata>;
