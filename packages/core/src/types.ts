// Every public shape, in the order in which data meets them:
// source → model → recipe → plan → job → runner → codec → receipt → output.
import type { Architecture } from "./architecture.js";
import type { Engine } from "./engine.js";
import type { View } from "./view.js";

// ---- Reading -----------------------------------------------------------------------------------

/** Names a file so that any thread can open it by itself. Structured-cloneable. */
export type StoredLocator =
  | {
      readonly kind: "file";
      readonly path: string;
      /** Identity, size and time of change of the file that was opened: a run refuses another one. */
      readonly version?: string;
    }
  | {
      readonly kind: "url";
      readonly url: string;
      readonly headers?: Readonly<Record<string, string>>;
      /** The ETag or Last-Modified of the file that was opened: another one is refused. */
      readonly version?: string;
    }
  | { readonly kind: "blob"; readonly blob: Blob; readonly name: string };

/** What bytes are read from: a file, or a tensor that is computed from the bytes of files. Structured-cloneable. */
export type Locator = StoredLocator | { readonly kind: "view"; readonly view: View };

/** Random access to the bytes behind a locator. */
export interface Source {
  readonly at: StoredLocator;
  /** Bytes. */
  readonly size: number;
  /** Fills `into` completely from byte `offset`. Throws `E_TRUNCATED` where the bytes end earlier. */
  read(offset: number, into: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** One entry of a model's metadata. */
export interface MetadataEntry {
  readonly key: string;
  /** The container's own name of the type, such as `u32`, `string` or `array<f32>`. */
  readonly type: string;
  /**
   * The value for people and programs to read: number, bigint, boolean, string or an array of these.
   * Text that is not valid UTF-8 is shown with U+FFFD here; `raw` is what counts when rewriting.
   */
  readonly value: unknown;
  /** The value exactly as stored, so that a rewrite by the same format loses nothing. */
  readonly raw?: Uint8Array;
}

/** One tensor as stored. `shape` is row-major: the last dimension is the contiguous one (columns). */
export interface TensorInfo {
  readonly name: string;
  readonly shape: readonly number[];
  /** The field's spelling: `F32`, `BF16`, `Q4_K`. */
  readonly dtype: string;
  /** Index into `Model.files`. */
  readonly file: number;
  /** Byte offset in that file. */
  readonly offset: number;
  readonly bytes: number;
}

/** What a reader found. Plain data: no handles, no weights. */
export interface Model {
  readonly format: string;
  readonly metadata: readonly MetadataEntry[];
  readonly tensors: readonly TensorInfo[];
  readonly files: readonly Locator[];
  /** Things worth telling the user that did not prevent reading. */
  readonly warnings: readonly string[];
}

/** Opens files of one format: structure and metadata, never weights. Called on the main thread. */
export interface FormatReader {
  readonly id: string;
  /** With the dot: `.gguf`. */
  readonly extensions: readonly string[];
  /** Names of files that stand for the whole folder they lie in, best first. Absent: no folder is opened. */
  readonly folderFiles?: readonly string[];
  /** True when the first bytes (at most 64 KiB) or the name are of this format. Never throws. */
  sniff(head: Uint8Array, fileName: string): boolean;
  /**
   * Reads structure, never weights. `sibling` opens other files of the same model by bare file name:
   * shards, an index, a tokenizer; it throws `E_IO` when there is none, `E_LINK` when it is a link to elsewhere.
   */
  open(source: Source, sibling: (fileName: string) => Promise<Source>): Promise<Model>;
}

/** What a resolver should look for where an address names no file. */
export interface Wanted {
  /** Names of files that stand for the whole folder they lie in, best first. */
  readonly folderFiles: readonly string[];
  /** With the dot: `.gguf`. */
  readonly extensions: readonly string[];
}

/** A file that stands for a model, and what lies beside it. The caller closes what was opened. */
export interface Resolved {
  readonly source: Source;
  /** Opens another file of the same folder by its bare name; throws `E_IO` when there is none. */
  sibling(fileName: string): Promise<Source>;
  /** Bare names of the files of that folder. */
  list(): Promise<readonly string[]>;
}

/** Opens models by addresses of a kind of its own, such as `hf://organisation/model`. Called on the main thread. */
export interface Resolver {
  readonly id: string;
  /** Whether the address is of this kind, well-formed or not. Never throws. */
  matches(address: string): boolean;
  /** Sources whose locators any thread can open by itself. */
  open(address: string, wanted: Wanted): Promise<Resolved>;
}

/**
 * How much each input column of each tensor matters: mean squared activations, as llama-imatrix collects them.
 * The values of one tensor are `experts × columns` numbers (`experts` = 1 except for 3-D tensors).
 */
export interface ImportanceMatrix {
  readonly tensors: ReadonlyMap<string, Float32Array>;
  /** Names of the texts it was collected from. */
  readonly datasets: readonly string[];
  /** Number of text chunks seen; 0 when unknown. */
  readonly chunks: number;
  /** Where it was read from, for messages and for the output's metadata. */
  readonly file?: string;
  /** Things worth telling the user, such as experts that were never used. */
  readonly warnings?: readonly string[];
}

// ---- Choosing ----------------------------------------------------------------------------------

/** What one tensor becomes. The order of assignments is the order of tensors in the output. */
export interface Assignment {
  readonly tensor: string;
  /** A scheme id, or `keep`: the tensor's bytes are copied as they are. */
  readonly scheme: string;
  /** Schemes tried in this order where `scheme` does not fit the shape. */
  readonly instead?: readonly string[];
  /**
   * `required`: `scheme` makes no sense here without an importance matrix. Absent: as the scheme itself declares. Says
   * nothing about the schemes in `instead`.
   */
  readonly importance?: "required";
  /** A sentence for people; the plan keeps it. */
  readonly reason: string;
}

/** Choices of the user that override a recipe; every recipe honours them. */
export interface RecipeOptions {
  /** One scheme for every quantizable tensor, no mix. */
  readonly pure?: boolean;
  /** Leave the output tensor as it is. */
  readonly leaveOutputTensor?: boolean;
  readonly outputTensorType?: string;
  readonly tokenEmbeddingType?: string;
  /** In order, first match wins: a regular expression searched in the tensor name, and a scheme id. */
  readonly tensorTypes?: readonly { readonly pattern: string; readonly scheme: string }[];
  /** Keep the order of tensors and the split into files of the source. */
  readonly keepSplit?: boolean;
}

/** What a recipe knows besides the model. */
export interface RecipeContext {
  /** Undefined when there is no importance matrix. */
  readonly importance?: ImportanceMatrix;
  readonly options: RecipeOptions;
}

/** Chooses a scheme for every tensor of a model. Pure. */
export interface Recipe {
  /** `Q4_K_M` */
  readonly id: string;
  readonly summary: string;
  /** The scheme most tensors get; `keep` for a plain copy. */
  readonly base: string;
  /** Sees the whole model at once, because published mixes count tensors in visiting order. */
  assign(model: Model, context: RecipeContext): Assignment[];
  /** The output's metadata; the model's own when absent. */
  metadata?(model: Model, context: RecipeContext): readonly MetadataEntry[];
}

// ---- Schemes -----------------------------------------------------------------------------------

/**
 * One stored array of a quantized tensor. Block formats have a single part; integer schemes keep
 * scales and zero-points in parts of their own.
 */
export interface Part {
  /** `""` is the data itself; others are suffixes such as `scale` and `zero_point`. */
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: number;
  /** `row`: bytes ÷ rows belong to each row and are written with it. `tensor`: written once. */
  readonly per: "row" | "tensor";
}

/** An expected "no": the plan falls back and keeps the sentence as its reason. */
export interface Unfit {
  readonly unfit: string;
}

/** One way to store weights: facts that can be read without loading anything, and the codec behind them. */
export interface Scheme {
  /** The field's own name: `Q4_K`, `IQ2_XXS`, `INT8_CHANNEL`. */
  readonly id: string;
  readonly summary: string;
  readonly symmetry: "symmetric" | "asymmetric" | "none";
  readonly granularity: "tensor" | "channel" | "group" | "block";
  /** What it does with an importance matrix. */
  readonly importance: "ignored" | "used" | "required";
  /** 2: the codec has an observer that must see the whole tensor before encoding starts. */
  readonly passes: 1 | 2;
  /** Decibels on standard normal weights; the contract tests hold the scheme to this promise. */
  readonly minSqnr: number;
  /** Everything about size. Pure: bits per weight, offsets and file size all follow from it. */
  layout(shape: readonly number[]): readonly Part[] | Unfit;
  /** Compiles whatever the codec needs; called once per thread. */
  load(): Promise<Codec>;
}

/** What a codec is told about the rows it is given. */
export interface About {
  readonly columns: number;
  /** One weight per column. */
  readonly importance?: Float32Array;
  /** What this scheme's observer concluded. */
  readonly parameters?: unknown;
}

/**
 * Turns whole rows of float32 into bytes and back. Synchronous, stateless, deterministic; called on
 * worker threads, many times. The caller owns every buffer and guarantees finite weights.
 */
export interface Codec {
  /** `out[i]` belongs to the i-th part with `per: "row"`, and is exactly as long as the rows need. */
  encode(rows: Float32Array, out: readonly Uint8Array[], about: About): void;
  decode(parts: readonly Uint8Array[], out: Float32Array, about: About): void;
  /**
   * Views of the codec's own memory, so that bytes go disk → kernel → disk without a copy. They are valid until the
   * next call of a codec of the same plugin; where that is another `borrow`, which may move the memory, the content is
   * kept and the same borrow finds it again. Absent: the caller allocates.
   */
  borrow?(
    rows: number,
    columns: number,
  ): { readonly rows: Float32Array; readonly out: readonly Uint8Array[] };
  /**
   * The element index where the first block with a NaN or infinite scale starts, or -1. Absent: the
   * scheme's bytes are always valid.
   */
  invalid?(parts: readonly Uint8Array[], about: About): number;
  /** Present exactly when the scheme declares `passes: 2`. */
  readonly observer?: Observer;
}

/** Sees all rows before the first is encoded. State and parameters are plain data: they cross threads. */
export interface Observer {
  observe(rows: Float32Array, about: About): unknown;
  /** Called in row order, so that sums are the same for any number of threads. */
  merge(a: unknown, b: unknown): unknown;
  /** `parts` holds the bytes of every part with `per: "tensor"`, in layout order. */
  finish(state: unknown): { readonly parameters: unknown; readonly parts: readonly Uint8Array[] };
}

// ---- Planning and writing ----------------------------------------------------------------------

/** What a writer is asked to lay out. */
export interface Draft {
  readonly metadata: readonly MetadataEntry[];
  readonly tensors: readonly {
    readonly name: string;
    /** The stored type: a scheme id, or the source's dtype where the tensor is kept. */
    readonly dtype: string;
    readonly shape: readonly number[];
    readonly parts: readonly Part[];
    /** Index of the output file; 0 unless the output is split. */
    readonly file: number;
  }[];
  /** Number of output files. */
  readonly files: number;
}

/** A writer is a function, not a stream: the whole header is known before a weight is read. */
export interface FormatWriter {
  readonly id: string;
  readonly extensions: readonly string[];
  /** True, or why this container cannot hold this stored type. */
  accepts(dtype: string): true | string;
  layout(draft: Draft): Output;
  /** File names of a split output, from the name the user gave. Absent: this format cannot be split. */
  fileNames?(output: string, files: number): readonly string[];
}

/** Where everything lies, before a weight is read: a header for each file, and a place for every part. */
export interface Output {
  readonly files: readonly { readonly header: Uint8Array; readonly size: number }[];
  readonly places: readonly {
    readonly tensor: string;
    readonly part: string;
    readonly file: number;
    readonly offset: number;
  }[];
}

/** Pure JSON, without a path of this machine: printed, diffed, hashed, embedded, replayed. */
export interface Plan {
  readonly version: 1;
  readonly recipe: string;
  readonly writer: string;
  /** Bytes of every output file. */
  readonly files: readonly number[];
  readonly tensors: readonly PlannedTensor[];
}

/** What one tensor becomes, from which bytes, and where it will lie. */
export interface PlannedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly from: {
    readonly dtype: string;
    readonly file: number;
    readonly offset: number;
    readonly bytes: number;
    /** The plugin whose scheme decodes it; where absent, core reads plain float types itself. */
    readonly plugin?: string;
  };
  readonly to: {
    /** The plugin that brings the scheme; absent where the bytes are copied. */
    readonly plugin?: string;
    /** The stored type. */
    readonly dtype: string;
    readonly parts: readonly (Part & { readonly file: number; readonly offset: number })[];
  };
  /** Whether an importance matrix is used. */
  readonly importance: boolean;
  readonly reason: string;
  /** Rows (or bytes, where copied) per chunk. In the plan, not in the runner: thread count cannot change a byte. */
  readonly chunk: number;
}

// ---- Running -----------------------------------------------------------------------------------

/** Stored weights: which bytes of which file, and what they mean. */
export interface Extent {
  readonly from: Locator;
  readonly dtype: string;
  readonly offset: number;
  readonly bytes: number;
  /** Who decodes; where absent, core reads plain float types itself. */
  readonly scheme?: { readonly plugin: string; readonly id: string };
}

/**
 * What to do with NaN and infinite weights: stop, replace them by zero and count them, or `keep` them where bytes are
 * copied. Nothing is encoded from such weights.
 */
export type Nonfinite = "refuse" | "zero" | "keep";

/** Whole rows of one tensor. Structured-cloneable; carries names, offsets and no weights. */
export interface Job {
  readonly id: number;
  readonly pass: "observe" | "encode" | "copy" | "measure";
  readonly tensor: string;
  /** Who encodes; absent where nothing is encoded: in copies and measurements. */
  readonly scheme?: { readonly plugin: string; readonly id: string };
  readonly columns: number;
  readonly firstRow: number;
  /** Whole rows; 0 for a piece of a very long one, which only copies have. */
  readonly rows: number;
  /** Where in its row such a piece begins; 0 when absent. */
  readonly firstColumn?: number;
  readonly read: Extent;
  /** The same rows in another file, with other bytes: a measure pass holds them against those of `read`. */
  readonly against?: Extent;
  readonly write: readonly { readonly to: Locator; readonly offset: number; readonly bytes: number }[];
  /** One weight per column: the row of this chunk's matrix. */
  readonly importance?: Float32Array;
  readonly parameters?: unknown;
  /** `refuse` when absent. */
  readonly nonfinite?: Nonfinite;
}

/** What became of one job. Structured-cloneable: all that comes back from a thread. */
export interface Receipt {
  readonly job: number;
  readonly tensor: string;
  readonly rows: number;
  /** Bytes read and written. */
  readonly read: number;
  readonly written: number;
  readonly milliseconds: number;
  /** What the observer saw, in an observe pass; `MetricSums` in a measure pass. */
  readonly state?: unknown;
  /** Weights replaced by zero under `nonfinite: "zero"`. */
  readonly zeroed?: number;
}

/** Where a plugin lives on this machine, today. Kept out of the plan. */
export interface ModuleRef {
  readonly url: string;
  readonly options?: unknown;
}

/** What a runner is told besides its jobs. */
export interface RunContext {
  /** npm name → module, for threads to import. */
  readonly modules: Readonly<Record<string, ModuleRef>>;
  readonly threads?: number;
  readonly signal?: AbortSignal;
}

/** Receipts in the order of completion. Leaving the loop cancels what has not started. */
export interface Runner {
  readonly id: string;
  /**
   * True where jobs run apart from the caller, in threads or processes of their own: a codec that ends its thread is
   * an `E_WORKER_DIED`. Absent: jobs run on the calling thread, and share its fate.
   */
  readonly isolated?: true;
  run(jobs: Iterable<Job>, context: RunContext): AsyncIterable<Receipt>;
}

// ---- Plugin ------------------------------------------------------------------------------------

/** What a package adds to the toolkit: the default export of its module, or of a function of options. */
export interface Plugin {
  readonly api: 1;
  /** The npm package name: what a plan stores. */
  readonly name: string;
  readonly version: string;
  /** `import.meta.url` of the module whose default export is this plugin: what a worker imports. */
  readonly module: string;
  /** What its factory was called with, where the default export is a function of options. */
  readonly options?: unknown;
  readonly schemes?: readonly Scheme[];
  readonly readers?: readonly FormatReader[];
  readonly writers?: readonly FormatWriter[];
  readonly resolvers?: readonly Resolver[];
  readonly recipes?: readonly Recipe[];
  readonly runners?: readonly Runner[];
  readonly engines?: readonly Engine[];
  readonly architectures?: readonly Architecture[];
}
