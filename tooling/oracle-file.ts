// llama.cpp's own quantizer on whole files. It runs in a process of its own: a failed assertion there ends that process
// only, and its peak memory is its own.
import { type ChildProcess, fork } from "node:child_process";
import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { GgmlType } from "./oracle.js";

export { oracleFolder } from "./oracle.js";

/** Numbers of `enum llama_ftype`: what `general.file_type` holds. */
export const llamaFtypes = {
  F32: 0, F16: 1, BF16: 32, Q4_0: 2, Q4_1: 3, Q5_0: 8, Q5_1: 9, Q8_0: 7,
  Q2_K: 10, Q2_K_S: 21, Q3_K_S: 11, Q3_K_M: 12, Q3_K_L: 13, Q4_K_S: 14, Q4_K_M: 15, Q5_K_S: 16, Q5_K_M: 17, Q6_K: 18,
  IQ1_S: 24, IQ1_M: 31, IQ2_XXS: 19, IQ2_XS: 20, IQ2_S: 28, IQ2_M: 29, IQ3_XXS: 23, IQ3_XS: 22, IQ3_S: 26, IQ3_M: 27,
  IQ4_NL: 25, IQ4_XS: 30, TQ1_0: 36, TQ2_0: 37, MXFP4_MOE: 38, NVFP4: 39, Q1_0: 40, Q2_0: 41,
} as const; // biome-ignore format: a table

export type LlamaFtype = keyof typeof llamaFtypes;

/** A value of `llama_model_kv_override`: the reference writes `int` as u32 and `float` as f32. */
export type KeyValue =
  | { readonly key: string; readonly int: number }
  | { readonly key: string; readonly float: number }
  | { readonly key: string; readonly bool: boolean }
  | { readonly key: string; readonly string: string };

/** `llama_model_quantize_params`; whatever is absent keeps llama.cpp's own default. */
export interface OracleFileOptions {
  /** 0: as many as the machine has. */
  readonly threads?: number;
  readonly outputTensorType?: GgmlType;
  readonly tokenEmbeddingType?: GgmlType;
  readonly allowRequantize?: boolean;
  /** The reverse of `--leave-output-tensor`. */
  readonly quantizeOutputTensor?: boolean;
  readonly onlyCopy?: boolean;
  readonly pure?: boolean;
  readonly keepSplit?: boolean;
  readonly dryRun?: boolean;
  /** One number per column (and expert) by tensor name. */
  readonly importance?: ReadonlyMap<string, Float32Array>;
  readonly keyValues?: readonly KeyValue[];
  /** In order: a regular expression searched in the tensor name, and its type. */
  readonly tensorTypes?: readonly { readonly pattern: string; readonly type: GgmlType }[];
  /** Numbers of the layers left out. */
  readonly pruneLayers?: readonly number[];
  /** Bytes of tensor rows held at once. */
  readonly maxBufferSize?: number;
}

export interface OracleFileResult {
  /** False where `llama_model_quantize` returned an error; the log says which. */
  readonly ok: boolean;
  /** What llama.cpp printed. */
  readonly log: string;
  /** Of the call alone, without starting the process. */
  readonly milliseconds: number;
  /** Bytes: the most the process ever held, Node's own part and earlier requests included. */
  readonly peakMemory: number;
}

/** What goes to the child; structured-cloneable. */
export interface OracleFileRequest {
  readonly input: string;
  readonly output: string;
  readonly ftype: number;
  readonly options: OracleFileOptions;
}

/** llama.cpp in a process of its own, started by the first request and used for all that follow. */
export interface OracleProcess {
  /**
   * Quantizes a GGUF file, after whatever was asked for before. With `keepSplit` the output is a prefix, and llama.cpp
   * appends `-00001-of-00002.gguf`. The platform must have a prebuilt library (`oracleFolder`).
   * @throws where the process died (llama.cpp aborted) before it could answer; the next request starts another
   */
  quantize(
    input: string,
    output: string,
    ftype: LlamaFtype,
    options?: OracleFileOptions,
  ): Promise<OracleFileResult>;
  /** Ends the process once it has nothing to do. */
  close(): void;
}

/** For many small models: a process takes longer to start than they take to quantize. */
export function oracleProcess(): OracleProcess {
  let running: { readonly child: ChildProcess; readonly waiting: Waiting[] } | undefined;

  const start = () => {
    const tsx = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;
    const child = fork(fileURLToPath(new URL("./oracle-file-child.ts", import.meta.url)), {
      execArgv: ["--import", tsx],
      serialization: "advanced",
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
    const waiting: Waiting[] = [];
    let printed = "";
    for (const stream of [child.stdout!, child.stderr!])
      stream.setEncoding("utf8").on("data", (text: string) => {
        printed = (printed + text).slice(-4000);
      });
    // One thread answers one request after another: in the order of the requests.
    child.on("message", (message) => waiting.shift()!.resolve(message as OracleFileResult));
    child.on("error", (error) => {
      for (const { reject } of waiting.splice(0)) reject(error);
    });
    child.on("close", (code, signal) => {
      if (running?.child === child) running = undefined;
      for (const { reject, input } of waiting.splice(0))
        reject(new Error(`llama.cpp ended with ${signal ?? `exit status ${code}`} on ${input}:\n${printed}`));
    });
    return { child, waiting };
  };

  return {
    quantize(input, output, ftype, options = {}) {
      running ??= start();
      const { child, waiting } = running;
      const request: OracleFileRequest = { input, output, ftype: llamaFtypes[ftype], options };
      return new Promise((resolve, reject) => {
        waiting.push({ input, resolve, reject });
        child.send(request);
      });
    },
    close() {
      running?.child.disconnect();
      running = undefined;
    },
  };
}

interface Waiting {
  readonly input: string;
  readonly resolve: (result: OracleFileResult) => void;
  readonly reject: (error: Error) => void;
}

/** One request of `oracleProcess`, whose peak memory is therefore its own. */
export async function oracleQuantizeFile(
  input: string,
  output: string,
  ftype: LlamaFtype,
  options: OracleFileOptions = {},
): Promise<OracleFileResult> {
  const oracle = oracleProcess();
  try {
    return await oracle.quantize(input, output, ftype, options);
  } finally {
    oracle.close();
  }
}
