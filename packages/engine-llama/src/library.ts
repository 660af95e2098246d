import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { FewbitError } from "@fewbit/core";
import koffi from "koffi";
import type { Build } from "./builds.js";
import {
  bindBase,
  bindGgml,
  bindLlama,
  bindVersion,
  contextDefaults,
  modelDefaults,
  registerLog,
  release,
  tensorOverhead,
  unlike,
  values,
} from "./layout.js";
import { Log } from "./log.js";

/** llama.cpp, bound and checked. */
export interface Library
  extends ReturnType<typeof bindBase>,
    ReturnType<typeof bindGgml>,
    ReturnType<typeof bindLlama> {
  readonly log: Log;
  /** Such as `llama.cpp v0.5.0 (haswell)`. */
  readonly version: string;
  /** Names of devices that layers can be put on, as llama.cpp describes them; the processor first. */
  readonly devices: readonly string[];
  /** Values of `enum ggml_op`. */
  readonly ops: { readonly mulMat: number; readonly mulMatId: number };
}

/**
 * Loads the libraries of a folder. Once per process.
 *
 * @throws `E_ENGINE_VERSION` where they are of another release than the layouts, `E_ENGINE_MISSING` where they cannot
 * be loaded at all
 */
export function loadLibrary({ folder, fallbacks }: Build): Library {
  const log = new Log();
  // Each links to the ones before it, by names that only the process's own scope resolves.
  const base = bindOrRefuse(folder, "ggml-base", bindBase);
  const ggml = bindOrRefuse(folder, "ggml", bindGgml);
  const llamaVersion = bindOrRefuse(folder, "llama", bindVersion);
  const path = libraryPath(folder, "llama");
  const versions = [llamaVersion(), base.ggml_version(), base.ggml_commit()];
  const expected = [release.llama, release.ggml, release.commit];
  if (versions.some((version, i) => version !== expected[i]))
    throw wrongRelease(path, `is llama.cpp ${versions.join(", ")}; ${expected.join(", ")} is needed`);
  const llama = bindOrRefuse(folder, "llama", bindLlama);
  const found = [
    ...unlike(llama.llama_model_default_params(), modelDefaults),
    ...unlike(llama.llama_context_default_params(), contextDefaults),
    ...(base.ggml_tensor_overhead() === tensorOverhead ? [] : ["ggml_tensor"]),
  ];
  if (found.length > 0) throw wrongRelease(path, `has another layout: ${found.join(", ")}`);

  llama.llama_log_set(registerLog(log.callback), null);
  loadBackends(ggml, folder);
  if (devicesOf(base, ggml).length < 2)
    for (const fallback of fallbacks)
      if (existsSync(fallback)) ggml.ggml_backend_load_all_from_path(fallback);
  llama.llama_backend_init();
  const processor = log.find(/libggml-cpu-([\w.-]+?)\.(?:so|dylib|dll)/)?.[1];
  log.clear();
  return {
    ...base,
    ...ggml,
    ...llama,
    log,
    version: `llama.cpp ${release.name}${processor === undefined ? "" : ` (${processor})`}`,
    devices: devicesOf(base, ggml),
    ops: { mulMat: opOf(base, "MUL_MAT"), mulMatId: opOf(base, "MUL_MAT_ID") },
  };
}

/**
 * The backends of a build: of those for the processor, the one that llama.cpp thinks fastest here, or the one that is
 * named. They differ in the last digits of what they compute, so that numbers of two machines agree only by name.
 */
function loadBackends(ggml: ReturnType<typeof bindGgml>, folder: string): void {
  const wanted = process.env.FEWBIT_LLAMA_CPU;
  if (wanted === undefined) {
    ggml.ggml_backend_load_all_from_path(folder);
    return;
  }
  const names = readdirSync(folder).filter((name) =>
    /^(?:lib)?ggml-(?!base\b).*\.(?:so|dylib|dll)$/.test(name),
  );
  const variantOf = (name: string): string | undefined => /ggml-cpu-(\w+)\./.exec(name)?.[1];
  const variants = names.map(variantOf).filter((variant) => variant !== undefined);
  const refuse = (what: string): FewbitError =>
    new FewbitError(
      "E_ENGINE_MISSING",
      `FEWBIT_LLAMA_CPU names a build of llama.cpp that cannot be used: ${what}.`,
      {},
      variants.length === 0 ? "Unset it." : `Unset it, or name another: ${variants.join(", ")}.`,
    );
  if (!variants.includes(wanted)) throw refuse(`there is no ${wanted}`);
  for (const name of names) {
    const variant = variantOf(name);
    if (variant !== undefined && variant !== wanted) continue;
    const loaded = ggml.ggml_backend_load(join(folder, name)) !== null;
    if (variant !== undefined && !loaded) throw refuse(`this processor cannot run ${wanted}`);
  }
}

function devicesOf(base: ReturnType<typeof bindBase>, ggml: ReturnType<typeof bindGgml>): string[] {
  const handles = Array.from({ length: ggml.ggml_backend_dev_count() }, (_, i) =>
    ggml.ggml_backend_dev_get(i),
  );
  const isProcessor = (device: bigint): boolean =>
    base.ggml_backend_dev_type(device) === values.GGML_BACKEND_DEVICE_TYPE_CPU;
  return [...handles.filter(isProcessor), ...handles.filter((device) => !isProcessor(device))].map(
    (device) => `${base.ggml_backend_dev_name(device)}: ${base.ggml_backend_dev_description(device).trim()}`,
  );
}

/** By name, so that no number of a long list needs to be written down. */
function opOf(base: ReturnType<typeof bindBase>, name: string): number {
  for (let op = 0; op < 60; op++) if (base.ggml_op_name(op) === name) return op;
  throw wrongRelease("ggml-base", `has no operation ${name}`);
}

function bindOrRefuse<T>(folder: string, stem: string, bind: (library: ReturnType<typeof open>) => T): T {
  const path = libraryPath(folder, stem);
  const library = open(path);
  try {
    return bind(library);
  } catch (cause) {
    throw wrongRelease(
      path,
      `lacks a function: ${cause instanceof Error ? cause.message.replace(/\.$/, "") : cause}`,
    );
  }
}

function open(path: string) {
  try {
    return koffi.load(path, { global: true });
  } catch (cause) {
    throw new FewbitError(
      "E_ENGINE_MISSING",
      `The library of llama.cpp cannot be loaded: ${cause instanceof Error ? cause.message : cause}`,
      { file: path },
      "Install the packages again; on Linux, glibc 2.34 or newer is needed.",
      cause,
    );
  }
}

/** The full path of a library by the part of its name that does not change; others say the release in their name. */
function libraryPath(folder: string, stem: string): string {
  const names = readdirSync(folder);
  const pattern = new RegExp(`^(?:lib)?${stem}(?:\\.(v[\\d.]+))?\\.(?:so|dylib|dll)$`);
  const found = names.map((name) => pattern.exec(name)).find((match) => match !== null);
  if (found === undefined)
    throw new FewbitError(
      "E_ENGINE_MISSING",
      `There is no library ${stem} in the package of llama.cpp.`,
      { file: folder },
      "Install the packages again.",
    );
  const [name, version] = found;
  if (version !== undefined && version !== release.name)
    throw wrongRelease(join(folder, name), `is of release ${version}; ${release.name} is needed`);
  return join(folder, name);
}

const wrongRelease = (file: string, what: string): FewbitError =>
  new FewbitError(
    "E_ENGINE_VERSION",
    `The library ${what}.`,
    { file },
    "Install @fewbit/engine-llama again, with the version of @node-llama-cpp that it names.",
  );
