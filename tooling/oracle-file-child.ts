// The process in which oracle-file.ts lets llama.cpp work: an answer for every message, until the parent disconnects.
import koffi from "koffi";
import { ggmlTypes, libraryPath, oracleFolder } from "./oracle.js";
import type { KeyValue, OracleFileOptions, OracleFileRequest, OracleFileResult } from "./oracle-file.js";
import { peakMemory } from "./peak-memory.js";

/** The layouts below are those of this release and of no other. */
const RELEASE = "0.5.0";

koffi.struct("llama_model_imatrix_data", { name: "const char*", data: "const float*", size: "size_t" });
koffi.struct("llama_model_tensor_override", { pattern: "const char*", type: "int" });
koffi.union("llama_model_kv_value", {
  val_i64: "int64_t",
  val_f64: "double",
  val_bool: "bool",
  val_str: koffi.array("char", 128),
});
koffi.struct("llama_model_kv_override", {
  tag: "int",
  key: koffi.array("char", 128),
  value: "llama_model_kv_value",
});
koffi.struct("llama_model_quantize_params", {
  nthread: "int32_t",
  ftype: "int",
  output_tensor_type: "int",
  token_embedding_type: "int",
  allow_requantize: "bool",
  quantize_output_tensor: "bool",
  only_copy: "bool",
  pure: "bool",
  keep_split: "bool",
  dry_run: "bool",
  imatrix: "void*",
  kv_overrides: "void*",
  tt_overrides: "void*",
  prune_layers: "void*",
  max_buf_size: "size_t",
});
koffi.proto("void ggml_log_callback(int level, const char* text, void* user)");

type Pointer = ReturnType<typeof koffi.alloc>;

/** A C array of structs in memory that lives as long as this process. */
function list(type: string, items: readonly object[]): Pointer | null {
  if (items.length === 0) return null;
  const pointer = koffi.alloc(type, items.length);
  koffi.encode(pointer, koffi.array(type, items.length), items);
  return pointer;
}

/** Ends the list where llama.cpp looks for its end; an absent list stays absent. */
const ended = <T>(items: readonly T[], end: T): T[] => (items.length === 0 ? [] : [...items, end]);

function keyValue(entry: KeyValue): object {
  if ("int" in entry) return { tag: 0, key: entry.key, value: { val_i64: entry.int } };
  if ("float" in entry) return { tag: 1, key: entry.key, value: { val_f64: entry.float } };
  if ("bool" in entry) return { tag: 2, key: entry.key, value: { val_bool: entry.bool } };
  return { tag: 3, key: entry.key, value: { val_str: entry.string } };
}

/** Fields of `llama_model_quantize_params` that differ from llama.cpp's defaults. */
function fields(options: OracleFileOptions): Record<string, unknown> {
  const importance = [...(options.importance ?? [])].map(([name, values]) => {
    const data = koffi.alloc("float", values.length);
    koffi.encode(data, koffi.array("float", values.length), values);
    return { name, data, size: values.length };
  });
  const prune = ended(options.pruneLayers ?? [], -1);
  const layers = prune.length === 0 ? null : koffi.alloc("int32_t", prune.length);
  if (layers) koffi.encode(layers, koffi.array("int32_t", prune.length), prune);
  const given: Record<string, unknown> = {
    nthread: options.threads,
    output_tensor_type: options.outputTensorType && ggmlTypes[options.outputTensorType],
    token_embedding_type: options.tokenEmbeddingType && ggmlTypes[options.tokenEmbeddingType],
    allow_requantize: options.allowRequantize,
    quantize_output_tensor: options.quantizeOutputTensor,
    only_copy: options.onlyCopy,
    pure: options.pure,
    keep_split: options.keepSplit,
    dry_run: options.dryRun,
    imatrix: list("llama_model_imatrix_data", ended<object>(importance, { name: null, data: null, size: 0 })),
    kv_overrides: list(
      "llama_model_kv_override",
      ended((options.keyValues ?? []).map(keyValue), { tag: 0, key: "", value: { val_i64: 0 } }),
    ),
    tt_overrides: list(
      "llama_model_tensor_override",
      ended<object>(
        (options.tensorTypes ?? []).map(({ pattern, type }) => ({ pattern, type: ggmlTypes[type] })),
        { pattern: null, type: 0 },
      ),
    ),
    prune_layers: layers,
    max_buf_size: options.maxBufferSize,
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

let log = "";

function load() {
  koffi.load(libraryPath("ggml-base"), { global: true });
  const ggml = koffi.load(libraryPath("ggml"), { global: true });
  const llama = koffi.load(libraryPath("llama"));
  const version = llama.func("const char* llama_version()")() as string;
  if (!version.includes(RELEASE))
    throw new Error(`llama.cpp is ${version}; the layouts here are those of ${RELEASE}.`);

  const collect = koffi.register((_level: number, text: string) => {
    log += text;
  }, koffi.pointer("ggml_log_callback"));
  llama.func("void llama_log_set(ggml_log_callback* callback, void* user)")(collect, null);
  ggml.func("void ggml_backend_load_all_from_path(const char* folder)")(oracleFolder);
  return {
    defaults: llama.func("llama_model_quantize_params llama_model_quantize_default_params()")(),
    call: llama.func(
      "uint32_t llama_model_quantize(const char* input, const char* output, const llama_model_quantize_params* params)",
    ),
  };
}

const { defaults, call } = load();

function quantize({ input, output, ftype, options }: OracleFileRequest): OracleFileResult {
  const params = { ...defaults, ...fields(options), ftype };
  log = "";
  const start = performance.now();
  const status = call(input, output, params) as number;
  const milliseconds = performance.now() - start;
  return { ok: status === 0, log, milliseconds, peakMemory: peakMemory() };
}

process.on("message", (request) => {
  process.send!(quantize(request as OracleFileRequest));
});
