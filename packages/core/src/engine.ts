// What runs models: the interface between the workflow (calibration, perplexity, comparison, speed) and an engine such
// as llama.cpp. Native code may abort its process, so an engine never runs in the caller's: a task travels to a process
// of the engine's as the name of a module, as a job does to a worker.

/** A module whose default export is an `EngineTask`. */
export interface TaskRef {
  /** `file:` URL, or a package specifier that the engine's process can import. */
  readonly url: string;
}

/** What an engine is told besides the task. */
export interface EngineOptions {
  /** Stops the task and ends its process. */
  readonly signal?: AbortSignal;
}

/** Brought by a plugin. */
export interface Engine {
  /** `llama.cpp` */
  readonly id: string;
  readonly summary: string;
  /**
   * Imports the task in a process of its own, calls it with `input`, and hands on what it yields; input and output are
   * structured-cloneable. Leaving the loop ends the process.
   *
   * @throws `E_ENGINE_MISSING`, `E_ENGINE_VERSION`, `E_ENGINE_DIED`, `E_ABORTED`, and what the task throws
   */
  run<Output>(task: TaskRef, input: unknown, options?: EngineOptions): AsyncIterable<Output>;
}

/** Runs inside the engine's process; yields progress and results. */
export type EngineTask<Input = unknown, Output = unknown> = (
  host: EngineHost,
  input: Input,
) => AsyncIterable<Output> | Iterable<Output>;

/** What a task is given. */
export interface EngineHost {
  /** Such as `llama.cpp v0.5.0 (haswell)`. */
  readonly version: string;
  /** Devices that layers can be put on; only the processor where no other build is installed. */
  readonly devices: readonly string[];
  /** @throws `E_IO`, and `E_ENGINE_LOAD` with what the engine said */
  load(path: string, options?: LoadOptions): EngineModel;
}

/** How a model is loaded. */
export interface LoadOptions {
  /** Layers on the GPU, all of them when negative; 0 when absent, which keeps everything on the processor. */
  readonly gpuLayers?: number;
  /** Only the vocabulary: for tokenizing. */
  readonly vocabularyOnly?: boolean;
}

/** A loaded model. Synchronous: the process has nothing else to do. */
export interface EngineModel {
  readonly path: string;
  /** The engine's own words, such as `llama 1B Q4_K - Medium`. */
  readonly description: string;
  readonly parameters: number;
  readonly bytes: number;
  readonly vocabulary: number;
  /** Tokens of the longest context it was trained with. */
  readonly trainedContext: number;
  readonly embedding: number;
  readonly layers: number;
  /** Whether texts begin with the token `bos`. */
  readonly addsBos: boolean;
  readonly addsEos: boolean;
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  /** The spelling of every token, for comparing vocabularies. */
  token(id: number): string;
  /**
   * @param special add the tokens that this model's texts begin and end with
   * @param parse read the spellings of special tokens in the text as those tokens
   */
  tokenize(text: string, special: boolean, parse: boolean): Int32Array;
  detokenize(tokens: ArrayLike<number>): string;
  /** The text of a conversation by the model's own chat template; undefined where it has none that is known. */
  applyTemplate(
    messages: readonly { readonly role: string; readonly content: string }[],
    prompt: boolean,
  ): string | undefined;
  context(options: ContextOptions): EngineContext;
  close(): void;
}

/** What a context has room for, and how it computes. */
export interface ContextOptions {
  /** Tokens that all sequences together may hold. */
  readonly size: number;
  /** Tokens given to one `decode`. `size` when absent. */
  readonly batch?: number;
  /** Tokens that are computed at once. `batch`, and at most 512, when absent. */
  readonly microBatch?: number;
  /** Independent sequences; 1 when absent. */
  readonly sequences?: number;
  /** How keys and values are kept: F16 when absent, as llama.cpp's own programs do, or exactly. */
  readonly cache?: "F16" | "F32";
  /** Half of the machine's threads, which are its cores, when absent. */
  readonly threads?: number;
  /** Shown the inputs of matrix products while they are computed. */
  readonly observe?: ActivationObserver;
}

/** Watches the inputs of matrix products. */
export interface ActivationObserver {
  /**
   * Whether the input of this weight is wanted. Asked once for each product of each micro-batch: keep it cheap. Products
   * of two activations are among them, under names that no tensor of the model has.
   */
  wants(product: {
    readonly weight: string;
    /** Of the weight. */
    readonly columns: number;
    readonly rows: number;
    readonly experts: number;
    /** Input vectors of this micro-batch; with experts, of each of its tokens. */
    readonly vectors: number;
  }): boolean;
  see(activation: Activation): void;
}

/** The input of one matrix product. The arrays are valid during the call only. */
export interface Activation {
  /** Name of the weight tensor. */
  readonly weight: string;
  /** Length of each input vector: the columns of the weight. */
  readonly columns: number;
  /** Input vectors, `columns` numbers each, one after another. */
  readonly values: Float32Array;
  /** 1 but for products with experts. */
  readonly experts: number;
  /**
   * For products with experts: of each token, the experts that were chosen, `used` numbers each; expert `i` of a token
   * has the input vector `token × vectors + i mod vectors`.
   */
  readonly chosen?: Int32Array;
  readonly used?: number;
  /** Input vectors of each token: 1, or `used`. */
  readonly vectors?: number;
  /**
   * For weights of several matrices without experts, such as one for each head: how many there are. Input vector `i`
   * meets matrix `floor(i / run) mod matrices`.
   */
  readonly matrices?: number;
  readonly run?: number;
}

/** Tokens that are computed together; arrays are as long as `tokens`. */
export interface TokenBatch {
  readonly tokens: Int32Array;
  /** Position of each token in its sequence. Counted on from what the sequence holds when absent. */
  readonly positions?: Int32Array;
  /** The sequence of each token; all 0 when absent. */
  readonly sequences?: Int32Array;
  /** 1 for tokens whose logits are wanted; only the last one when absent. */
  readonly logits?: Uint8Array;
}

/** Sequences of tokens that a model has read, and the logits after them. */
export interface EngineContext {
  readonly size: number;
  /**
   * Computes a batch to its end.
   * @throws `E_ENGINE_DECODE`, and what an observer throws
   */
  decode(batch: TokenBatch): void;
  /**
   * Logits after the `index`-th token of the last batch, which must have asked for them: one per token of the
   * vocabulary. A view of the engine's memory, valid until the next call of `decode`, `clear` or `close`.
   */
  logits(index: number): Float32Array;
  /** Forgets all sequences. */
  clear(): void;
  close(): void;
}
