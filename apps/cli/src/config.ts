import { existsSync, realpathSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { FewbitError, isFewbitError } from "@fewbit/core";

/** What `fewbit.config.*` may say. */
export interface Config {
  /**
   * Anything `import()` takes: a package, a path, a file URL; with options where the plugin is a function of them.
   * Paths and packages are looked up from the configuration file.
   */
  readonly plugins?: readonly (string | readonly [specifier: string, options: unknown])[];
}

/** Identity: it exists for the types. */
export const defineConfig = (config: Config): Config => config;

/** What is looked for in the working directory. */
export const configNames = ["ts", "mts", "js", "mjs", "json"].map(
  (extension) => `fewbit.config.${extension}`,
);

export interface LoadedConfig {
  readonly config: Config;
  readonly file: string;
}

/**
 * The configuration named by the user, or the one of the working directory; undefined when there is none.
 *
 * A configuration is code. One that lies beside one of `models` may have come with it, in a download, and nobody has
 * asked for it by name: it is left alone, and `note` says so.
 *
 * @throws `E_CONFIG` where it is missing though named, cannot be loaded, is malformed, or where there are two
 */
export async function loadConfig(
  cwd: string,
  options: {
    readonly named?: string;
    readonly models?: readonly string[];
    readonly note: (text: string) => void;
  },
): Promise<LoadedConfig | undefined> {
  const file = options.named === undefined ? findConfig(cwd) : resolve(cwd, options.named);
  if (file === undefined) return undefined;
  if (
    options.named === undefined &&
    (options.models ?? []).some((model) => lieTogether(file, resolve(cwd, model)))
  ) {
    options.note(
      `note: ${basename(file)} lies beside the model and was not loaded; pass --config ${basename(file)} to use it.`,
    );
    return undefined;
  }
  const exported = file.endsWith(".json") ? await readJson(file) : await importConfig(file);
  return { config: checkConfig(exported, file), file };
}

/** Whether two files are in one folder, or the second is that folder, symbolic links followed. */
function lieTogether(a: string, b: string): boolean {
  const folder = (file: string): string => realpathSync(dirname(file));
  try {
    const real = realpathSync(b);
    return [folder(b), dirname(real), real].includes(folder(a));
  } catch {
    return false; // There is no such model; whoever opens it will say so.
  }
}

/** @throws `E_CONFIG` where the folder has two */
export function findConfig(cwd: string): string | undefined {
  const found = configNames.map((name) => join(cwd, name)).filter((file) => existsSync(file));
  if (found.length > 1)
    throw new FewbitError(
      "E_CONFIG",
      `There is more than one configuration file: ${found.join(", ")}.`,
      { file: found[0]! },
      "Keep one, or say which with --config.",
    );
  return found[0];
}

async function readJson(file: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    throw missing(file, error);
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new FewbitError(
      "E_CONFIG",
      `This is not JSON: ${(error as Error).message}.`,
      { file },
      "Correct it.",
      error,
    );
  }
}

async function importConfig(file: string): Promise<unknown> {
  if (!existsSync(file)) throw missing(file);
  try {
    const module = (await import(pathToFileURL(file).href)) as { default?: unknown };
    return module.default;
  } catch (error) {
    if (isFewbitError(error)) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    if (/\.m?ts$/.test(file) && code === "ERR_UNKNOWN_FILE_EXTENSION")
      throw new FewbitError(
        "E_CONFIG",
        `Node ${process.versions.node} cannot import TypeScript.`,
        { file },
        "Write the configuration as fewbit.config.mjs or fewbit.config.json, or use Node 22.18 or newer.",
        error,
      );
    throw new FewbitError(
      "E_CONFIG",
      `It cannot be loaded: ${message}`,
      { file },
      "Run it with node to see why.",
      error,
    );
  }
}

const missing = (file: string, cause?: unknown): FewbitError =>
  new FewbitError(
    "E_CONFIG",
    "The configuration file cannot be read.",
    { file },
    "Check the path given to --config.",
    cause,
  );

/** The folder that plugins of this configuration are looked up from. */
export const configFolder = (loaded: LoadedConfig): string => dirname(loaded.file);

function checkConfig(value: unknown, file: string): Config {
  const refuse = (what: string, key?: string): FewbitError =>
    new FewbitError(
      "E_CONFIG",
      what,
      key === undefined ? { file } : { file, key },
      'It should look like { "plugins": ["my-scheme", ["./mine.js", { "bits": 6 }]] }.',
    );
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw refuse("The configuration is no object.");
  for (const key of Object.keys(value))
    if (key !== "plugins") throw refuse(`There is no option "${key}".`, key);
  const { plugins } = value as { plugins?: unknown };
  if (plugins === undefined) return {};
  if (!Array.isArray(plugins)) throw refuse('"plugins" is no list.', "plugins");
  for (const [i, entry] of plugins.entries()) {
    const specifier: unknown = Array.isArray(entry) ? entry[0] : entry;
    if (typeof specifier !== "string" || specifier === "" || (Array.isArray(entry) && entry.length > 2))
      throw refuse("A plugin is a specifier, or a list of a specifier and its options.", `plugins[${i}]`);
  }
  return value as Config;
}
