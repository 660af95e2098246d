// How llama-perplexity reads a text: which tokens are computed together, and which of them are scored. Its figures come
// out only where this is the same.
import {
  type ContextOptions,
  type EngineContext,
  type EngineModel,
  FewbitError,
  type TokenBatch,
} from "@fewbit/core";

/** What to read, and how. */
export interface ProtocolOptions {
  /** Tokens of a chunk; 512 when absent. */
  readonly context?: number;
  /** Stop after this many chunks; the whole text when absent. */
  readonly chunks?: number;
  /**
   * Tokens that are computed together: several chunks where they fit. When absent 2048, as in llama-perplexity; fewer
   * where models are compared whose vocabulary is large, because the logits of all of them are kept.
   */
  readonly batch?: number;
  /** Half of the machine's threads when absent. */
  readonly threads?: number;
  /** Layers on the GPU; none when absent. */
  readonly gpuLayers?: number;
}

/** As it travels to the engine's process. */
export interface Settings extends ProtocolOptions {
  readonly context: number;
  /** Windows that overlap, each this many tokens after the one before; chunks side by side when absent. */
  readonly stride?: number;
}

/** Tokens that llama.cpp computes at once, whatever the batch. */
const MICRO_BATCH = 512;
/** llama.cpp makes every context a multiple of this; llama-perplexity takes windows of that size. */
const CONTEXT_STEP = 256;
const LEAST_CONTEXT = 4;
const BATCH = 2048;
/** Logits of each model that is compared, in bytes, unless one chunk has more. */
const MOST_LOGITS = 2 ** 27;

/** @throws `E_USAGE` */
export function settingsOf(options: ProtocolOptions & { readonly stride?: number }): Settings {
  const { context = 512, batch, chunks, stride, threads, gpuLayers } = options;
  const refuse = (what: string, remedy: string): FewbitError => new FewbitError("E_USAGE", what, {}, remedy);
  for (const [name, value, least] of [
    ["context", context, LEAST_CONTEXT],
    ["batch", batch, 1],
    ["number of chunks", chunks, 1],
    ["stride", stride, 1],
    ["number of threads", threads, 1],
    ["number of layers", gpuLayers, 0],
  ] as const)
    if (value !== undefined && (!Number.isSafeInteger(value) || value < least))
      throw refuse(`${value} is no ${name}.`, `Give a whole number from ${least}.`);
  if (stride !== undefined && stride >= context)
    throw refuse(
      `A stride of ${stride} leaves out tokens between windows of ${context}.`,
      "Give a stride smaller than the context.",
    );
  return {
    context,
    ...(batch === undefined ? {} : { batch }),
    ...(chunks === undefined ? {} : { chunks }),
    ...(stride === undefined ? {} : { stride }),
    ...(threads === undefined ? {} : { threads }),
    ...(gpuLayers === undefined ? {} : { gpuLayers }),
  };
}

/** A part of the text, as a sequence of its own. */
export interface Chunk {
  /** From 0. */
  readonly index: number;
  /** Its place among the chunks of its batch. */
  readonly sequence: number;
  /** The token after each scored one: what the model should have said. */
  readonly targets: Int32Array;
}

/** Chunks that are computed together. */
export interface ChunkBatch {
  readonly batch: TokenBatch;
  readonly chunks: readonly Chunk[];
}

/** The tokens of a text, divided into chunks. */
export class Reading {
  readonly tokens: Int32Array;
  /** Tokens of each chunk. */
  readonly size: number;
  /** First token of a chunk whose successor is scored. */
  readonly from: number;
  /** Tokens of each chunk whose successor is scored. */
  readonly scored: number;
  readonly count: number;
  /** From one chunk to the next. */
  readonly #step: number;
  readonly #sequences: number;
  readonly #bos: number | undefined;

  /**
   * Chunks side by side score their second half, so that every scored token follows at least half a context; each begins
   * with BOS, in place of its own first token, where the model's texts do. Windows that overlap score their last
   * `stride` tokens, and have no BOS but the text's own: that is how llama-perplexity computes both.
   *
   * @param window the size of the engine's context, which is that of windows that overlap
   * @throws `E_TEXT`
   */
  constructor(model: EngineModel, text: string, settings: Settings, window = settings.context) {
    const { stride } = settings;
    this.tokens = model.tokenize(text, true, false);
    this.size = stride === undefined ? settings.context : window;
    if (this.tokens.length < 2 * this.size) throw tooShort(this.tokens.length, this.size, stride);
    this.#step = stride ?? this.size;
    this.#sequences = sequencesOf(settings);
    this.#bos = stride === undefined && model.addsBos ? model.bos : undefined;
    this.scored = stride ?? this.size - 1 - (this.size >> 1);
    this.from = this.size - 1 - this.scored;
    const count =
      stride === undefined
        ? Math.floor(this.tokens.length / this.size)
        : Math.ceil((this.tokens.length - this.size) / stride);
    this.count = Math.min(count, settings.chunks ?? count);
  }

  *batches(): Generator<ChunkBatch> {
    for (let first = 0; first < this.count; first += this.#sequences)
      yield this.#batch(first, Math.min(this.#sequences, this.count - first));
  }

  #batch(first: number, count: number): ChunkBatch {
    const { size, from, scored } = this;
    const batch = {
      tokens: new Int32Array(count * size),
      positions: Int32Array.from({ length: count * size }, (_, i) => i % size),
      sequences: Int32Array.from({ length: count * size }, (_, i) => Math.floor(i / size)),
      logits: Uint8Array.from({ length: count * size }, (_, i) => (i % size >= from ? 1 : 0)),
    };
    const chunks = Array.from({ length: count }, (_, sequence): Chunk => {
      const index = first + sequence;
      const start = index * this.#step;
      batch.tokens.set(this.tokens.subarray(start, start + size), sequence * size);
      if (this.#bos !== undefined) batch.tokens[sequence * size] = this.#bos;
      const target = start + from + 1;
      return { index, sequence, targets: this.tokens.subarray(target, target + scored) };
    });
    return { batch, chunks };
  }

  /** Logits after the `i`-th scored token of a chunk of the last batch. */
  row(context: EngineContext, chunk: Chunk, i: number): Float32Array {
    return context.logits(chunk.sequence * this.size + this.from + i);
  }
}

/** The batch that was asked for, or one whose logits are not too many. */
export function boundBatch(settings: Settings, vocabulary: number): Settings {
  const { context, batch } = settings;
  if (batch !== undefined) return settings;
  const logits = 4 * vocabulary * Math.ceil(context / 2);
  const chunks = Math.max(1, Math.floor(MOST_LOGITS / logits));
  return { ...settings, batch: Math.min(BATCH, chunks * context) };
}

/** llama.cpp's contexts hold no more (LLAMA_MAX_SEQ). */
const MOST_SEQUENCES = 256;

const sequencesOf = ({ stride, batch = BATCH, context }: Settings): number =>
  stride === undefined ? Math.min(MOST_SEQUENCES, Math.max(1, Math.floor(batch / context))) : 1;

/** A context that takes whole chunks; they are computed in the same micro-batches as by llama-perplexity. */
export function contextOptions(settings: Settings): ContextOptions {
  const { context, batch = BATCH, stride, threads } = settings;
  const sequences = sequencesOf(settings);
  const size =
    stride === undefined
      ? sequences * context
      : CONTEXT_STEP * Math.ceil((context + (stride >> 1)) / CONTEXT_STEP);
  return {
    size,
    sequences,
    batch: size,
    microBatch: Math.min(batch, stride === undefined ? size : context, MICRO_BATCH),
    ...(threads === undefined ? {} : { threads }),
  };
}

function tooShort(tokens: number, size: number, stride: number | undefined): FewbitError {
  const smaller = Math.floor(tokens / 2);
  const orSmaller =
    stride === undefined && smaller >= LEAST_CONTEXT ? `, or a context of at most ${smaller} tokens` : "";
  return new FewbitError(
    "E_TEXT",
    `The text has ${tokens} tokens; chunks of ${size} need at least ${2 * size}.`,
    {},
    `Give a longer text${orSmaller}.`,
  );
}

/** @param position of the token in its chunk, from 1 */
export const badLogits = (file: string, chunk: Chunk, position: number): FewbitError =>
  new FewbitError(
    "E_LOGITS",
    `The logits after token ${position} of chunk ${chunk.index + 1} are NaN or infinite.`,
    { file },
    "The model is damaged, or its quantization went wrong: look for NaN with `fewbit error`, or make it again.",
  );
