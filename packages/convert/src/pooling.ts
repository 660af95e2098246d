// How a model for embeddings makes one vector of a text, as the sentence-transformers library keeps it: modules.json
// names the folder of a module that pools, and that folder's config.json says how.
import { FewbitError, type MetadataEntry } from "@fewbit/core";
import type { CheckpointFiles } from "./checkpoint.js";
import { parseJson } from "./json.js";

/** llama.cpp's numbers. */
const MEAN = 1;
const CLS = 2;
const LAST = 3;

/** By the settings of the module: those that are true or false, and the newer single one. */
const FLAGS = [
  ["pooling_mode_mean_tokens", MEAN],
  ["pooling_mode_cls_token", CLS],
  ["pooling_mode_lasttoken", LAST],
] as const;
const MODES: ReadonlyMap<unknown, number> = new Map([
  ["mean", MEAN],
  ["cls", CLS],
  ["lasttoken", LAST],
]);

/**
 * The entry that llama.cpp pools by; none where the checkpoint does not say how.
 * @throws `E_CHECKPOINT` where its files are malformed, or it pools in a way that llama.cpp does not
 */
export async function poolingMetadata(files: CheckpointFiles, id: string): Promise<MetadataEntry[]> {
  const modules = await files.read("modules.json");
  if (modules === undefined) return [];
  const list = parseJson(modules, files.path("modules.json"));
  const module = (Array.isArray(list) ? list : []).find(
    (each): each is { path: string } =>
      typeof each?.type === "string" && each.type.endsWith("Pooling") && isFolderName(each.path),
  );
  if (module === undefined) return [];
  const name = `${module.path}/config.json`;
  const bytes = await files.read(name);
  if (bytes === undefined) return [];
  const settings = (parseJson(bytes, files.path(name)) ?? {}) as Readonly<Record<string, unknown>>;
  const value = FLAGS.find(([key]) => settings[key] === true)?.[1] ?? MODES.get(settings.pooling_mode);
  if (value === undefined)
    throw new FewbitError(
      "E_CHECKPOINT",
      "The model pools the vectors of a text in a way that llama.cpp does not know; it knows the mean, the first and the last.",
      { file: files.path(name), key: "pooling_mode" },
      "Remove modules.json, and choose how to pool when the model is run.",
    );
  return [{ key: `${id}.pooling_type`, type: "u32", value }];
}

/** Of a folder beside the file, and nothing that leads elsewhere. */
const isFolderName = (path: unknown): boolean => typeof path === "string" && /^[\w-][\w.-]*$/.test(path);
