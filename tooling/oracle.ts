// llama.cpp's own quantizer, called through FFI from the prebuilt library inside node-llama-cpp: what tests
// and benchmarks compare with. Struct layouts and enum values are those of the one release pinned in package.json.
import { existsSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import koffi from "koffi";

/** Ids of `enum ggml_type`. */
export const ggmlTypes = {
  F32: 0, F16: 1, Q4_0: 2, Q4_1: 3, Q5_0: 6, Q5_1: 7, Q8_0: 8,
  Q2_K: 10, Q3_K: 11, Q4_K: 12, Q5_K: 13, Q6_K: 14,
  IQ2_XXS: 16, IQ2_XS: 17, IQ3_XXS: 18, IQ1_S: 19, IQ4_NL: 20, IQ3_S: 21, IQ2_S: 22, IQ4_XS: 23, IQ1_M: 29,
  BF16: 30, TQ1_0: 34, TQ2_0: 35, MXFP4: 39, NVFP4: 40, Q1_0: 41, Q2_0: 42,
} as const; // biome-ignore format: a table

export type GgmlType = keyof typeof ggmlTypes;

/** Undefined where the platform has no prebuilt library: tests that need it skip with this reason. */
export const oracleFolder = findLibraries();

function findLibraries(): string | undefined {
  const platform = { linux: "linux", darwin: "mac", win32: "win" }[process.platform as string];
  const arch = process.platform === "darwin" && process.arch === "arm64" ? "arm64-metal" : process.arch;
  const name = `${platform}-${arch}`;
  try {
    const require = createRequire(import.meta.url);
    const main = require.resolve("node-llama-cpp");
    const folder = join(dirname(createRequire(main).resolve(`@node-llama-cpp/${name}`)), "../bins", name);
    return existsSync(folder) ? folder : undefined;
  } catch {
    return undefined;
  }
}

/** The full path of a library by the part of its name that does not change: `ggml-base`, `llama`. */
export function libraryPath(stem: string): string {
  const file = readdirSync(oracleFolder!).find((f) =>
    new RegExp(`^(lib)?${stem}(\\.v[\\d.]+)?\\.(so|dylib|dll)$`).test(f),
  );
  if (file === undefined) throw new Error(`no ${stem} library in ${oracleFolder}`);
  return join(oracleFolder!, file);
}

let bound: ReturnType<typeof bindBase> | undefined;

/** Bound on first use, so that importing this file needs no library. */
function base(): ReturnType<typeof bindBase> {
  bound ??= bindBase();
  return bound;
}

function bindBase() {
  const library = koffi.load(libraryPath("ggml-base"), { global: true });
  return {
    init: library.func("void ggml_quantize_init(int type)"),
    rowSize: library.func("size_t ggml_row_size(int type, int64_t ne)"),
    quantize: library.func(
      "size_t ggml_quantize_chunk(int type, const float* src, _Out_ uint8_t* dst, int64_t start, int64_t nrows, int64_t n_per_row, const float* imatrix)",
    ),
    library,
  };
}

/** Bytes of `columns` weights of a type. */
export const oracleRowBytes = (type: GgmlType, columns: number): number =>
  Number(base().rowSize(ggmlTypes[type], columns));

/** llama.cpp's functions of one type, writing where they are told: nothing but the call itself, for timing. */
export interface OracleKernel {
  /** `rows` is whole rows of `columns` weights; `importance`, one weight per column, applies to each of them. */
  encode(rows: Float32Array, columns: number, out: Uint8Array, importance?: Float32Array): void;
  /** Decodes whole blocks. */
  decode(bytes: Uint8Array, out: Float32Array): void;
}

const kernels = new Map<GgmlType, OracleKernel>();

export function oracleKernel(type: GgmlType): OracleKernel {
  let kernel = kernels.get(type);
  if (kernel === undefined) {
    kernel = bindKernel(type);
    kernels.set(type, kernel);
  }
  return kernel;
}

function bindKernel(type: GgmlType): OracleKernel {
  const { init, quantize, library } = base();
  const id = ggmlTypes[type];
  init(id);
  const halves: Partial<Record<GgmlType, string>> = {
    F16: "ggml_fp16_to_fp32_row",
    BF16: "ggml_bf16_to_fp32_row",
  };
  const name = halves[type] ?? `dequantize_row_${type.toLowerCase().replace(/_k$/, "_K")}`;
  const dequantize =
    type === "F32" ? undefined : library.func(`void ${name}(const uint8_t* x, _Out_ float* y, int64_t k)`);
  return {
    encode: (rows, columns, out, importance) =>
      quantize(id, rows, out, 0, rows.length / columns, columns, importance ?? null),
    decode(bytes, out) {
      if (dequantize) dequantize(bytes, out, out.length);
      else new Uint8Array(out.buffer, out.byteOffset, out.byteLength).set(bytes);
    },
  };
}

/** As `OracleKernel.encode`, into bytes of its own. */
export function oracleEncode(
  type: GgmlType,
  rows: Float32Array,
  columns: number,
  importance?: Float32Array,
): Uint8Array {
  const out = new Uint8Array(oracleRowBytes(type, columns) * (rows.length / columns));
  oracleKernel(type).encode(rows, columns, out, importance);
  return out;
}

/** As `OracleKernel.decode`, into numbers of its own. */
export function oracleDecode(type: GgmlType, bytes: Uint8Array, weights: number): Float32Array {
  const out = new Float32Array(weights);
  oracleKernel(type).decode(bytes, out);
  return out;
}
