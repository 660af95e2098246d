// The one place that knows what the pinned release of llama.cpp looks like from outside: names, structs and functions
// of llama.h, ggml.h and ggml-backend.h. A struct that changes in another release would be read wrongly without any
// error, so `library.ts` compares versions, sizes and default values with what is written here.
import koffi from "koffi";

/** The release whose layouts these are; prebuilt by node-llama-cpp, whose version is pinned in package.json. */
export const release = {
  name: "v0.5.0",
  /** What `llama_version`, `ggml_version` and `ggml_commit` answer. */
  llama: "0.5.0-dev",
  ggml: "0.25.1",
  commit: "0ad4a86",
} as const;

koffi.struct("llama_model_params", {
  devices: "void*",
  tensor_buft_overrides: "void*",
  n_gpu_layers: "int32_t",
  split_mode: "int",
  load_mode: "int",
  lazy_mode: "int",
  main_gpu: "int32_t",
  tensor_split: "void*",
  progress_callback: "void*",
  progress_callback_user_data: "void*",
  kv_overrides: "void*",
  vocab_only: "bool",
  check_tensors: "bool",
  use_extra_bufts: "bool",
  no_host: "bool",
  no_alloc: "bool",
  load_mtp: "bool",
});

koffi.struct("llama_context_params", {
  n_ctx: "uint32_t",
  n_batch: "uint32_t",
  n_ubatch: "uint32_t",
  n_seq_max: "uint32_t",
  n_rs_seq: "uint32_t",
  n_outputs_max: "uint32_t",
  n_outputs_max_per_seq: "uint32_t",
  n_threads: "int32_t",
  n_threads_batch: "int32_t",
  ctx_type: "int",
  rope_scaling_type: "int",
  pooling_type: "int",
  attention_type: "int",
  flash_attn_type: "int",
  rope_freq_base: "float",
  rope_freq_scale: "float",
  yarn_ext_factor: "float",
  yarn_attn_factor: "float",
  yarn_beta_fast: "float",
  yarn_beta_slow: "float",
  yarn_orig_ctx: "uint32_t",
  defrag_thold: "float",
  cb_eval: "void*",
  cb_eval_user_data: "void*",
  type_k: "int",
  type_v: "int",
  abort_callback: "void*",
  abort_callback_data: "void*",
  embeddings: "bool",
  offload_kqv: "bool",
  no_perf: "bool",
  op_offload: "bool",
  swa_full: "bool",
  kv_unified: "bool",
  samplers: "void*",
  n_samplers: "size_t",
  ctx_other: "void*",
});

koffi.struct("llama_batch", {
  n_tokens: "int32_t",
  token: "void*",
  embd: "void*",
  pos: "void*",
  n_seq_id: "void*",
  seq_id: "void*",
  logits: "void*",
});

koffi.struct("llama_chat_message", { role: "const char*", content: "const char*" });

/** `ggml_tensor` in memory; never passed by value. */
const tensorStruct = koffi.struct("ggml_tensor", {
  type: "int",
  buffer: "void*",
  ne: koffi.array("int64_t", 4),
  nb: koffi.array("size_t", 4),
  op: "int",
  op_params: koffi.array("int32_t", 16),
  flags: "int32_t",
  src: koffi.array("void*", 10),
  view_src: "void*",
  view_offs: "size_t",
  data: "void*",
  name: koffi.array("char", 64),
  extra: "void*",
  padding: koffi.array("char", 8),
});

const objectStruct = koffi.struct("ggml_object", {
  offs: "size_t",
  size: "size_t",
  next: "void*",
  type: "int",
  padding: koffi.array("char", 4),
});

/** What `ggml_tensor_overhead` answers where both layouts are right. */
export const tensorOverhead = koffi.sizeof(tensorStruct) + koffi.sizeof(objectStruct);

export const pointerBytes = koffi.sizeof("void*");

const offset = (member: string): bigint => BigInt(koffi.offsetof(tensorStruct, member));

/** Where the fields of a tensor lie, in bytes. */
export const tensorFields = {
  type: offset("type"),
  buffer: offset("buffer"),
  ne: offset("ne"),
  nb: offset("nb"),
  op: offset("op"),
  src: offset("src"),
  data: offset("data"),
  name: offset("name"),
} as const;

/** Values of enums that are compared or passed. */
export const values = {
  GGML_TYPE_F32: 0,
  GGML_TYPE_F16: 1,
  LLAMA_FLASH_ATTN_TYPE_DISABLED: 0,
  GGML_LOG_LEVEL_ERROR: 4,
  GGML_LOG_LEVEL_CONT: 5,
  GGML_BACKEND_DEVICE_TYPE_CPU: 0,
  LLAMA_TOKEN_NULL: -1,
  LLAMA_VOCAB_TYPE_NONE: 0,
} as const;

/** What `llama_model_default_params` answers; the place of every field that is a number shows in its value. */
export const modelDefaults = {
  n_gpu_layers: -1,
  split_mode: 1,
  load_mode: -1,
  lazy_mode: 1,
  main_gpu: 0,
  devices: null,
  kv_overrides: null,
  progress_callback: null,
  vocab_only: false,
  check_tensors: false,
  use_extra_bufts: true,
  no_host: false,
  no_alloc: false,
  load_mtp: false,
} as const;

/** What `llama_context_default_params` answers. */
export const contextDefaults = {
  n_ctx: 512,
  n_batch: 2048,
  n_ubatch: 512,
  n_seq_max: 1,
  n_rs_seq: 0,
  n_outputs_max: 0,
  n_outputs_max_per_seq: 1,
  n_threads: 4,
  n_threads_batch: 4,
  ctx_type: 0,
  rope_scaling_type: -1,
  pooling_type: -1,
  attention_type: -1,
  flash_attn_type: -1,
  rope_freq_base: 0,
  rope_freq_scale: 0,
  yarn_ext_factor: -1,
  yarn_attn_factor: -1,
  yarn_beta_fast: -1,
  yarn_beta_slow: -1,
  yarn_orig_ctx: 0,
  defrag_thold: -1,
  cb_eval: null,
  type_k: values.GGML_TYPE_F16,
  type_v: values.GGML_TYPE_F16,
  abort_callback: null,
  embeddings: false,
  offload_kqv: true,
  no_perf: true,
  op_offload: true,
  swa_full: true,
  kv_unified: false,
  samplers: null,
  n_samplers: 0,
  ctx_other: null,
} as const;

/** Parameters as koffi hands them over and takes them. */
export type Params = Record<string, number | boolean | bigint | null>;

const logCallback = koffi.proto("void fewbit_log(int level, const char* text, void* user)");
const evalCallback = koffi.proto("bool fewbit_eval(void* tensor, bool ask, void* user)");

export type LogCallback = (level: number, text: string | null, user: bigint | null) => void;
export type EvalCallback = (tensor: bigint, ask: boolean, user: bigint | null) => boolean;

export const registerLog = (callback: LogCallback): bigint =>
  koffi.register(callback, koffi.pointer(logCallback));
export const registerEval = (callback: EvalCallback): bigint =>
  koffi.register(callback, koffi.pointer(evalCallback));

/** A pointer; what it points at is llama.cpp's. */
export type Handle = bigint;

type Loaded = ReturnType<typeof koffi.load>;

/** Functions by the library that exports them. Texts cross as bytes with a length: they may contain NUL. */
export function bindBase(library: Loaded) {
  return {
    ggml_version: library.func("const char* ggml_version()") as () => string,
    ggml_commit: library.func("const char* ggml_commit()") as () => string,
    ggml_tensor_overhead: library.func("size_t ggml_tensor_overhead()") as () => number,
    ggml_op_name: library.func("const char* ggml_op_name(int op)") as (op: number) => string,
    ggml_nbytes: library.func("size_t ggml_nbytes(const void* tensor)") as (tensor: Handle) => number,
    ggml_backend_buffer_is_host: library.func("bool ggml_backend_buffer_is_host(void* buffer)") as (
      buffer: Handle,
    ) => boolean,
    ggml_backend_tensor_get: library.func(
      "void ggml_backend_tensor_get(const void* tensor, _Out_ uint8_t* data, size_t offset, size_t size)",
    ) as (tensor: Handle, data: Uint8Array, offset: number, size: number) => void,
    ggml_backend_dev_type: library.func("int ggml_backend_dev_type(void* device)") as (
      device: Handle,
    ) => number,
    ggml_backend_dev_name: library.func("const char* ggml_backend_dev_name(void* device)") as (
      device: Handle,
    ) => string,
    ggml_backend_dev_description: library.func("const char* ggml_backend_dev_description(void* device)") as (
      device: Handle,
    ) => string,
  };
}

export function bindGgml(library: Loaded) {
  return {
    ggml_backend_load_all_from_path: library.func(
      "void ggml_backend_load_all_from_path(const char* folder)",
    ) as (folder: string) => void,
    ggml_backend_load: library.func("void* ggml_backend_load(const char* path)") as (
      path: string,
    ) => Handle | null,
    ggml_backend_dev_count: library.func("size_t ggml_backend_dev_count()") as () => number,
    ggml_backend_dev_get: library.func("void* ggml_backend_dev_get(size_t index)") as (
      index: number,
    ) => Handle,
  };
}

/** Asked alone, before anything whose layout might differ. */
export const bindVersion = (library: Loaded): (() => string) =>
  library.func("const char* llama_version()") as () => string;

export function bindLlama(library: Loaded) {
  const ofModel = <Result>(result: string, name: string): ((model: Handle) => Result) =>
    library.func(`${result} ${name}(const void* model)`) as (model: Handle) => Result;
  return {
    llama_log_set: library.func("void llama_log_set(void* callback, void* user)") as (
      callback: Handle,
      user: null,
    ) => void,
    llama_backend_init: library.func("void llama_backend_init()") as () => void,
    llama_model_default_params: library.func(
      "llama_model_params llama_model_default_params()",
    ) as () => Params,
    llama_context_default_params: library.func(
      "llama_context_params llama_context_default_params()",
    ) as () => Params,
    llama_model_load_from_file: library.func(
      "void* llama_model_load_from_file(const char* path, llama_model_params params)",
    ) as (path: string, params: Params) => Handle | null,
    llama_model_free: library.func("void llama_model_free(void* model)") as (model: Handle) => void,
    llama_model_get_vocab: ofModel<Handle>("void*", "llama_model_get_vocab"),
    llama_model_n_ctx_train: ofModel<number>("int32_t", "llama_model_n_ctx_train"),
    llama_model_n_embd: ofModel<number>("int32_t", "llama_model_n_embd"),
    llama_model_n_layer: ofModel<number>("int32_t", "llama_model_n_layer"),
    llama_model_size: ofModel<number | bigint>("uint64_t", "llama_model_size"),
    llama_model_n_params: ofModel<number | bigint>("uint64_t", "llama_model_n_params"),
    llama_model_has_encoder: ofModel<boolean>("bool", "llama_model_has_encoder"),
    llama_model_desc: library.func(
      "int32_t llama_model_desc(const void* model, _Out_ uint8_t* text, size_t size)",
    ) as (model: Handle, text: Uint8Array, size: number) => number,
    llama_model_chat_template: library.func(
      "const char* llama_model_chat_template(const void* model, const char* name)",
    ) as (model: Handle, name: string | null) => string | null,
    llama_chat_apply_template: library.func(
      "int32_t llama_chat_apply_template(const char* template, const llama_chat_message* messages, size_t count, bool prompt, _Out_ uint8_t* text, int32_t size)",
    ) as (
      template: string,
      messages: readonly { readonly role: string; readonly content: string }[],
      count: number,
      prompt: boolean,
      text: Uint8Array,
      size: number,
    ) => number,
    llama_vocab_type: ofModel<number>("int", "llama_vocab_type"),
    llama_vocab_n_tokens: ofModel<number>("int32_t", "llama_vocab_n_tokens"),
    llama_vocab_bos: ofModel<number>("int32_t", "llama_vocab_bos"),
    llama_vocab_eos: ofModel<number>("int32_t", "llama_vocab_eos"),
    llama_vocab_get_add_bos: ofModel<boolean>("bool", "llama_vocab_get_add_bos"),
    llama_vocab_get_add_eos: ofModel<boolean>("bool", "llama_vocab_get_add_eos"),
    llama_vocab_get_text: library.func(
      "const char* llama_vocab_get_text(const void* vocabulary, int32_t token)",
    ) as (vocabulary: Handle, token: number) => string,
    llama_tokenize: library.func(
      "int32_t llama_tokenize(const void* vocabulary, const uint8_t* text, int32_t bytes, _Out_ int32_t* tokens, int32_t room, bool special, bool parse)",
    ) as (
      vocabulary: Handle,
      text: Uint8Array,
      bytes: number,
      tokens: Int32Array,
      room: number,
      special: boolean,
      parse: boolean,
    ) => number,
    llama_detokenize: library.func(
      "int32_t llama_detokenize(const void* vocabulary, const int32_t* tokens, int32_t count, _Out_ uint8_t* text, int32_t room, bool remove, bool unparse)",
    ) as (
      vocabulary: Handle,
      tokens: Int32Array,
      count: number,
      text: Uint8Array,
      room: number,
      remove: boolean,
      unparse: boolean,
    ) => number,
    llama_init_from_model: library.func(
      "void* llama_init_from_model(void* model, llama_context_params params)",
    ) as (model: Handle, params: Params) => Handle | null,
    llama_free: library.func("void llama_free(void* context)") as (context: Handle) => void,
    llama_n_ctx: library.func("uint32_t llama_n_ctx(const void* context)") as (context: Handle) => number,
    llama_n_batch: library.func("uint32_t llama_n_batch(const void* context)") as (context: Handle) => number,
    llama_get_memory: library.func("void* llama_get_memory(const void* context)") as (
      context: Handle,
    ) => Handle | null,
    llama_memory_clear: library.func("void llama_memory_clear(void* memory, bool data)") as (
      memory: Handle,
      data: boolean,
    ) => void,
    llama_decode: library.func("int32_t llama_decode(void* context, llama_batch batch)") as (
      context: Handle,
      batch: Params,
    ) => number,
    llama_synchronize: library.func("void llama_synchronize(void* context)") as (context: Handle) => void,
    llama_get_logits: library.func("void* llama_get_logits(void* context)") as (
      context: Handle,
    ) => Handle | null,
  };
}

/** Names of the fields whose default is another one, with what was found. */
export function unlike(found: Params, expected: Readonly<Params>): string[] {
  return Object.keys(expected).filter((key) => found[key] !== expected[key]);
}
