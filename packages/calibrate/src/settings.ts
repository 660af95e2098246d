import { type ContextOptions, FewbitError } from "@fewbit/core";

/** What to read, and how. */
export interface CalibrationOptions {
  /** Tokens of a chunk; 512 when absent. */
  readonly contextSize?: number;
  /** Stop after this many chunks; the whole text when absent. */
  readonly chunks?: number;
  /** Leave out this many chunks at the beginning; none when absent. */
  readonly fromChunk?: number;
  /** Tokens that are computed together: several chunks where they fit. 2048 when absent. */
  readonly batch?: number;
  /** Collect the input of `output.weight` as well. */
  readonly processOutput?: boolean;
  /** Read the spellings of special tokens in the text as those tokens. */
  readonly parseSpecial?: boolean;
  /** Half of the machine's threads when absent. */
  readonly threads?: number;
  /** Layers on the GPU; none when absent. */
  readonly gpuLayers?: number;
  /** Compute the perplexity of the text on the way; true when absent. */
  readonly perplexity?: boolean;
}

/** As it travels to the engine's process. */
export interface Settings {
  readonly contextSize: number;
  readonly chunks?: number;
  readonly fromChunk: number;
  readonly batch: number;
  readonly processOutput: boolean;
  readonly parseSpecial: boolean;
  readonly threads?: number;
  readonly gpuLayers: number;
  readonly perplexity: boolean;
}

/** Tokens that llama.cpp computes at once, whatever the batch. */
const MICRO_BATCH = 512;

/** @throws `E_USAGE` */
export function settingsOf(options: CalibrationOptions): Settings {
  const { contextSize = 512, fromChunk = 0, batch = 2048, gpuLayers = 0, chunks, threads } = options;
  for (const [name, value, least] of [
    ["context size", contextSize, 16],
    ["number of chunks", chunks, 1],
    ["number of chunks to leave out", fromChunk, 0],
    ["batch", batch, 16],
    ["number of threads", threads, 1],
  ] as const)
    if (value !== undefined && (!Number.isSafeInteger(value) || value < least))
      throw new FewbitError("E_USAGE", `${value} is no ${name}.`, {}, `Give a whole number from ${least}.`);
  return {
    contextSize,
    fromChunk,
    batch,
    gpuLayers,
    processOutput: options.processOutput ?? false,
    parseSpecial: options.parseSpecial ?? false,
    perplexity: options.perplexity ?? true,
    ...(chunks === undefined ? {} : { chunks }),
    ...(threads === undefined ? {} : { threads }),
  };
}

/** llama.cpp's contexts hold no more (LLAMA_MAX_SEQ). */
const MOST_SEQUENCES = 256;

/** Chunks that are computed together, each a sequence of its own. */
export const sequencesOf = ({ batch, contextSize }: Settings): number =>
  Math.min(MOST_SEQUENCES, Math.max(1, Math.floor(batch / contextSize)));

/** The same context, batches and micro-batches as llama-imatrix's, so that numbers agree. */
export function contextOptions(settings: Settings): ContextOptions {
  const sequences = sequencesOf(settings);
  const size = sequences * settings.contextSize;
  const batch = Math.min(settings.batch, size);
  return {
    size,
    sequences,
    batch,
    microBatch: Math.min(batch, MICRO_BATCH),
    ...(settings.threads === undefined ? {} : { threads: settings.threads }),
  };
}
