// What the user's words mean: pure, so that every rule has a test without a file.
import { basename, dirname, join } from "node:path";
import {
  bareName,
  FewbitError,
  type FormatWriter,
  isFewbitError,
  type Recipe,
  type Registry,
} from "@fewbit/core";
import { isHubAddress, parseAddress } from "@fewbit/hub";

const usage = (message: string, remedy: string): FewbitError =>
  new FewbitError("E_USAGE", message, {}, remedy);

export interface TensorType {
  readonly pattern: string;
  readonly scheme: string;
}

/**
 * `attn_v=Q6_K`: a regular expression searched in the tensor name, and a type. The last `=` separates them, because
 * an expression may hold one and a type cannot.
 */
export function parseTensorType(text: string): TensorType {
  const at = text.lastIndexOf("=");
  const pattern = text.slice(0, at);
  const scheme = text.slice(at + 1);
  if (at <= 0 || scheme === "")
    throw usage(`"${text}" is no tensor type.`, "Write <expression>=<type>, such as attn_v=Q6_K.");
  try {
    new RegExp(pattern);
  } catch (error) {
    throw usage(
      `"${pattern}" is no regular expression: ${(error as Error).message}.`,
      "Correct it; a dot that means a dot is written \\.",
    );
  }
  return { pattern, scheme };
}

/** `0,3,4` → numbers of layers, each once, ascending. */
export function parseLayers(text: string): number[] {
  const layers = text.split(",").map((part) => {
    const trimmed = part.trim();
    if (!/^\d{1,6}$/.test(trimmed))
      throw usage(
        `"${trimmed}" is no number of a layer.`,
        "Write numbers with commas between, such as 20,21,22.",
      );
    return Number(trimmed);
  });
  return [...new Set(layers)].sort((a, b) => a - b);
}

export function parseThreads(text: string): number {
  if (!/^\d{1,4}$/.test(text) || Number(text) === 0)
    throw usage(`"${text}" is no number of threads.`, "Write a whole number from 1.");
  return Number(text);
}

export interface Arguments {
  readonly output?: string;
  readonly type: string;
  readonly threads?: number;
}

/**
 * What follows the model: `[output]` with `--type`; without it as llama-quantize has it, `[output] <type> [threads]`.
 * `isType` says whether a word is the name of a recipe or scheme.
 */
export function readArguments(
  rest: readonly string[],
  type: string | undefined,
  isType: (word: string) => boolean,
): Arguments {
  const tooMany = (word: string): FewbitError =>
    usage(`"${word}" is one argument too many.`, "See fewbit quantize --help.");
  if (type !== undefined) {
    if (rest[1] !== undefined) throw tooMany(rest[1]);
    return { type, ...(rest[0] === undefined ? {} : { output: rest[0] }) };
  }
  const [first] = rest;
  if (first === undefined)
    throw usage("No type is given.", "Pass --type, such as --type Q4_K_M; fewbit recipes lists them.");
  const named = isType(first);
  // A word that could only be a type, though a wrong one, is better called an unknown type than an output.
  const words = named || (rest.length === 1 && /^\w+$/.test(first)) ? rest : rest.slice(1);
  const output = words === rest ? undefined : first;
  const [wanted, threads, extra] = words;
  if (wanted === undefined)
    throw usage(
      `No type is given for ${first}.`,
      "Pass --type, such as --type Q4_K_M; fewbit recipes lists them.",
    );
  if (extra !== undefined) throw tooMany(extra);
  return {
    type: wanted,
    ...(output === undefined ? {} : { output }),
    ...(threads === undefined ? {} : { threads: parseThreads(threads) }),
  };
}

/** `4G`, `500M` → bytes, in the decimal units of llama-gguf-split. */
export function parseSize(text: string): number {
  const [, count, unit] = /^(\d{1,9})([MG])$/i.exec(text) ?? [];
  const bytes = Number(count) * (unit?.toUpperCase() === "G" ? 1e9 : 1e6);
  if (count === undefined || bytes === 0)
    throw usage(
      `"${text}" is no size of a file.`,
      "Write a whole number and M (1000000 bytes) or G (1000000000 bytes), such as 4G.",
    );
  return bytes;
}

/** A parser for the whole numbers that an option takes. */
export const wholeNumber =
  (option: string, least: number) =>
  (text: string): number => {
    if (!/^\d{1,9}$/.test(text) || Number(text) < least)
      throw usage(`${option} cannot be "${text}".`, `Write a whole number from ${least}.`);
    return Number(text);
  };

/** `model-00001-of-00003.gguf` is called after the model, not after its first shard. */
const shard = /-\d{5}-of-\d{5}$/;

/**
 * What files made from a model are called after, without an extension: its own name, beside it; in `cwd` where the
 * model has an address instead of a path. `known` are the extensions that a model's name may end with.
 */
export function stemOf(model: string, known: readonly string[], cwd: string): string {
  const isUrl = /^[a-z][a-z\d+.-]+:\/\//i.test(model);
  const name = isHubAddress(model)
    ? nameOnHub(model)
    : isUrl
      ? bareName({ kind: "url", url: model })
      : basename(model);
  const ending = known.find((each) => name.toLowerCase().endsWith(each)) ?? "";
  const stem = name
    .slice(0, name.length - ending.length)
    .replace(shard, "")
    .replace(/[/\\\0]/g, "_");
  return join(isUrl ? cwd : dirname(model), stem || "model");
}

function nameOnHub(address: string): string {
  const { model, path } = parseAddress(address);
  return basename(path ?? model);
}

/** `<stem>-<TYPE>.gguf`. */
export function outputOf(stem: string, type: string, writer: Pick<FormatWriter, "extensions">): string {
  // A qualified type, `my-scheme:Q4_K`, names a package: not for file names.
  const label = type.slice(type.lastIndexOf(":") + 1).replace(/[^\w.-]/g, "_");
  return `${stem}-${label}${writer.extensions[0]!}`;
}

/**
 * A recipe by its id; where there is none, the scheme of that id for every tensor, by `ofScheme`.
 * @throws `E_RECIPE_UNKNOWN` where it is neither
 */
export function chooseRecipe(type: string, registry: Registry, ofScheme: (scheme: string) => Recipe): Recipe {
  let unknown: unknown;
  try {
    return registry.recipe(type).value;
  } catch (error) {
    if (!isFewbitError(error, "E_RECIPE_UNKNOWN")) throw error;
    unknown = error;
  }
  try {
    const { plugin, value } = registry.scheme(type);
    return ofScheme(type.includes(":") ? `${plugin.name}:${value.id}` : value.id);
  } catch (error) {
    throw isFewbitError(error, "E_SCHEME_UNKNOWN") ? unknown : error;
  }
}
