/**
 * Every error code, the exit status a program should end with, and when it occurs.
 * Codes are stable; messages are not.
 *
 * Exit status: 1 a bug of ours or of a plugin, 2 usage, 3 bad input, 4 input/output or space, 5 busy, 130 stopped.
 */
export const errorCodes = {
  E_USAGE: { exit: 2, when: "An option or argument makes no sense." },
  E_CONFIG: { exit: 2, when: "A configuration file is missing or malformed." },
  E_PLUGIN_NOT_FOUND: { exit: 2, when: "A plugin that was named, or that a plan needs, is not installed." },
  E_PLUGIN_INVALID: { exit: 2, when: "A module is no plugin, or is written for another plugin interface." },
  E_PLUGIN_CONFLICT: { exit: 2, when: "Two plugins bring the same name." },
  E_PLUGIN_FAILED: { exit: 1, when: "A plugin broke its contract or threw an error of its own." },
  E_SCHEME_UNKNOWN: { exit: 2, when: "No registered plugin brings this scheme." },
  E_SCHEME_UNFIT: { exit: 2, when: "A tensor's shape fits none of the schemes it may take." },
  E_RECIPE_UNKNOWN: { exit: 2, when: "No registered plugin brings this recipe." },
  E_REQUANTIZE: { exit: 2, when: "The source is quantized already and requantizing was not allowed." },
  E_OUTPUT_EXISTS: { exit: 2, when: "The output exists and overwriting was not asked for." },
  E_OUTPUT_IS_INPUT: { exit: 2, when: "The output is one of the inputs." },
  E_MEMORY: { exit: 2, when: "A single row needs more memory than a worker may use." },
  E_FORMAT_UNKNOWN: { exit: 3, when: "No registered reader recognises the file." },
  E_FORMAT_UNSUPPORTED: { exit: 3, when: "A model's format is known, and not what the command works on." },
  E_NONFINITE: { exit: 3, when: "A weight, or the scale of a quantized block, is NaN or infinite." },
  E_SCALE_OVERFLOW: { exit: 3, when: "A weight is finite but too large for the scale of its scheme." },
  E_INPUT_CHANGED: { exit: 3, when: "An input changed while it was being read." },
  E_TRUNCATED: { exit: 3, when: "A file ends before the bytes that were promised." },
  E_IMPORTANCE_MISSING: {
    exit: 3,
    when: "A scheme needs an importance matrix and has none for this tensor.",
  },
  E_IMATRIX_FORMAT: { exit: 3, when: "An importance matrix file is malformed." },
  E_IMATRIX_VALUE: { exit: 3, when: "An importance matrix holds NaN, infinite or negative values." },
  E_IMATRIX_SHAPE: { exit: 3, when: "An importance matrix, or an entry of it, does not match the model." },
  E_MODEL_MISMATCH: { exit: 3, when: "Two models that are compared are not versions of one model." },
  E_GGUF_TRUNCATED: { exit: 3, when: "The GGUF header ends early." },
  E_GGUF_MAGIC: { exit: 3, when: "The file is not GGUF." },
  E_GGUF_VERSION: { exit: 3, when: "The GGUF version is unknown." },
  E_GGUF_COUNT: { exit: 3, when: "The header promises more entries than the file can hold." },
  E_GGUF_STRING: { exit: 3, when: "A string is longer than the rest of the file." },
  E_GGUF_KEY: { exit: 3, when: "A metadata key is empty or malformed." },
  E_GGUF_NAME: { exit: 3, when: "A tensor name is empty, too long or malformed." },
  E_GGUF_DUP_KEY: { exit: 3, when: "A metadata key occurs twice." },
  E_GGUF_DUP_TENSOR: { exit: 3, when: "A tensor name occurs twice." },
  E_GGUF_UTF8: { exit: 3, when: "A key or name is not UTF-8." },
  E_GGUF_TYPE: { exit: 3, when: "A metadata value has an undefined type." },
  E_GGUF_VALUE: { exit: 3, when: "A known metadata key has another type than it must have." },
  E_GGUF_ARRAY: { exit: 3, when: "A metadata array is longer than the rest of the file." },
  E_GGUF_NESTING: { exit: 3, when: "Metadata arrays are nested too deep." },
  E_GGUF_BOOL: { exit: 3, when: "A boolean is neither 0 nor 1." },
  E_GGUF_ALIGNMENT: { exit: 3, when: "general.alignment is not a sensible power of two." },
  E_GGUF_NDIMS: { exit: 3, when: "A tensor has more than four dimensions." },
  E_GGUF_SHAPE: { exit: 3, when: "A tensor's size does not fit a file." },
  E_GGUF_TENSOR_TYPE: { exit: 3, when: "A tensor's type is unknown or was removed from the format." },
  E_GGUF_BLOCK: { exit: 3, when: "A quantized row is not a whole number of blocks." },
  E_GGUF_OFFSET: { exit: 3, when: "A tensor's data lies at an offset it must not have." },
  E_GGUF_OVERLAP: { exit: 3, when: "Two tensors share bytes." },
  E_GGUF_HOLE: { exit: 3, when: "There are unexplained bytes between tensors." },
  E_GGUF_BOUNDS: { exit: 3, when: "A tensor's data lies beyond the end of the file." },
  E_SPLIT_MISSING: { exit: 3, when: "A shard of a split model is missing." },
  E_SPLIT_MISMATCH: { exit: 3, when: "The shards of a split model do not belong together." },
  E_ST_TRUNCATED: { exit: 3, when: "A safetensors file is too short to say how long its header is." },
  E_ST_HEADER_LENGTH: { exit: 3, when: "The length of a safetensors header cannot be right." },
  E_ST_UTF8: { exit: 3, when: "A safetensors header is not UTF-8." },
  E_ST_JSON: { exit: 3, when: "A safetensors header is not a JSON object." },
  E_ST_NAME: { exit: 3, when: "A tensor name cannot be stored in safetensors." },
  E_ST_DUP: { exit: 3, when: "A tensor, field or metadata key occurs twice in a safetensors header." },
  E_ST_ENTRY: { exit: 3, when: "A safetensors entry is no tensor, or lacks a field." },
  E_ST_DTYPE: { exit: 3, when: "A tensor's dtype is unknown to safetensors." },
  E_ST_SHAPE: { exit: 3, when: "A tensor's shape is malformed, or does not fit a file." },
  E_ST_OFFSETS: { exit: 3, when: "A tensor's data offsets are no range." },
  E_ST_BOUNDS: { exit: 3, when: "A tensor's data lies beyond the end of the safetensors file." },
  E_ST_SIZE: { exit: 3, when: "A tensor's data offsets do not match its shape and dtype." },
  E_ST_OVERLAP: { exit: 3, when: "Two tensors of a safetensors file share bytes." },
  E_ST_HOLE: { exit: 3, when: "There are unexplained bytes between tensors of a safetensors file." },
  E_ST_TRAILING: { exit: 3, when: "Bytes follow the last tensor of a safetensors file." },
  E_ST_METADATA: { exit: 3, when: "The metadata of a safetensors file is not text by text." },
  E_INDEX_FORMAT: { exit: 3, when: "The index of a sharded checkpoint is malformed." },
  E_INDEX_PATH: { exit: 3, when: "An index names a file that is not one beside it." },
  E_INDEX_MISSING: { exit: 3, when: "A file that an index names is missing." },
  E_INDEX_MISMATCH: { exit: 3, when: "A file does not hold what its index says." },
  E_INDEX_DUP: { exit: 3, when: "A tensor occurs twice in an index or in its files." },
  E_LINK: { exit: 3, when: "A file of a model is a link that leads out of the model's folder." },
  E_ENGINE_MISSING: { exit: 2, when: "No engine, or no build of it for this machine, is installed." },
  E_ENGINE_VERSION: { exit: 2, when: "The engine's library is not of the release it must be." },
  E_ENGINE_LOAD: { exit: 3, when: "The engine cannot load a model." },
  E_ENGINE_DECODE: { exit: 3, when: "The engine cannot compute a batch." },
  E_ENGINE_DIED: { exit: 1, when: "The engine's process ended unexpectedly." },
  E_LOGITS: { exit: 3, when: "A model puts out NaN or infinite logits." },
  E_ACTIVATION: { exit: 3, when: "Activations inside a model are NaN or infinite." },
  E_RESULT_FORMAT: { exit: 3, when: "A saved result is not what fewbit prints with --json." },
  E_TEXT: { exit: 3, when: "A text is empty, too short or not UTF-8." },
  E_CHECKPOINT: {
    exit: 3,
    when: "A checkpoint lacks a file, a tensor or a setting, or they contradict each other.",
  },
  E_ARCHITECTURE: { exit: 3, when: "No registered plugin knows the architecture of a checkpoint." },
  E_TOKENIZER: { exit: 3, when: "A tokenizer's files are malformed, or of a kind that GGUF cannot hold." },
  E_PRETOKENIZER: { exit: 3, when: "No known pre-tokenizer behaves like the one of a tokenizer." },
  E_PARITY: { exit: 3, when: "A converted model does not do the same as its checkpoint." },
  E_HUB: { exit: 4, when: "The hub refused a request, or what came is not what it promised." },
  E_IO: { exit: 4, when: "Reading or writing failed." },
  E_SPACE: { exit: 4, when: "The disk has no room for the output." },
  E_BUSY: { exit: 5, when: "Another run is writing the same output." },
  E_WORKER_DIED: { exit: 1, when: "A worker thread ended unexpectedly." },
  E_INTERNAL: { exit: 1, when: "A bug of ours." },
  E_ABORTED: { exit: 130, when: "The run was stopped." },
} as const satisfies Record<`E_${string}`, { exit: number; when: string }>;

/** A stable name of what went wrong: a key of `errorCodes`. */
export type ErrorCode = keyof typeof errorCodes;

/** Whatever is known of where it went wrong; filled in on the way up. */
export interface Place {
  file?: string;
  tensor?: string;
  row?: number;
  column?: number;
  /** Byte offset in `file`. */
  offset?: number;
  /** Metadata key, or a path into the structure such as `tensor[3].dims[1]`. */
  key?: string;
}

const BRAND = "FewbitError";

/** One class for all: `code` is the contract, `message` says what was found, `at` where, `remedy` what to do. */
export class FewbitError extends Error {
  override readonly name = BRAND;
  readonly code: ErrorCode;
  readonly at: Place;
  readonly remedy: string | undefined;

  constructor(code: ErrorCode, message: string, at: Place = {}, remedy?: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.at = at;
    this.remedy = remedy;
  }
}

/** By brand, not `instanceof`: two copies of this package may be installed. */
export function isFewbitError(value: unknown, ...codes: ErrorCode[]): value is FewbitError {
  return (
    value instanceof Error &&
    value.name === BRAND &&
    (codes.length === 0 || codes.includes((value as FewbitError).code))
  );
}

/** The same error with more of its place known; what it already knew stays. */
export function locate(error: FewbitError, at: Place): FewbitError {
  const located = new FewbitError(
    error.code,
    error.message,
    { ...at, ...error.at },
    error.remedy,
    error.cause,
  );
  if (error.stack !== undefined) located.stack = error.stack;
  return located;
}

/** An error as plain data: structured clone drops class, name and fields of an `Error`. */
export interface Failure {
  code: ErrorCode;
  message: string;
  at: Place;
  remedy?: string;
  stack?: string;
}

/** Anything thrown that is not ours becomes `otherwise`, with its message and stack kept. */
export function toFailure(thrown: unknown, at: Place = {}, otherwise: ErrorCode = "E_INTERNAL"): Failure {
  const error = isFewbitError(thrown)
    ? thrown
    : new FewbitError(otherwise, thrown instanceof Error ? thrown.message : String(thrown));
  const stack = thrown instanceof Error ? thrown.stack : undefined;
  return {
    code: error.code,
    message: error.message,
    at: { ...at, ...error.at },
    ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
    ...(stack === undefined ? {} : { stack }),
  };
}

/** The error that `toFailure` made data of, on the other side of a thread. */
export function fromFailure(failure: Failure): FewbitError {
  const error = new FewbitError(failure.code, failure.message, failure.at, failure.remedy);
  if (failure.stack !== undefined) error.stack = failure.stack;
  return error;
}
