import { existsSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import convert from "@fewbit/convert";
import {
  createRegistry,
  type Engine,
  FewbitError,
  importPlugin,
  isFewbitError,
  type Plugin,
  type Registry,
  type Runner,
} from "@fewbit/core";
import engineLlama from "@fewbit/engine-llama";
import formatGguf from "@fewbit/format-gguf";
import formatSafetensors from "@fewbit/format-safetensors";
import hub from "@fewbit/hub";
import runnerPiscina from "@fewbit/runner-piscina";
import schemeAsymmetric from "@fewbit/scheme-asymmetric";
import schemeFloat from "@fewbit/scheme-float";
import schemeIq from "@fewbit/scheme-iq";
import schemeSymmetric from "@fewbit/scheme-symmetric";
import { resolveModuleURL } from "exsolve";
import { configFolder, type LoadedConfig } from "./config.js";

/** What comes with the program. */
export const bundled: readonly Plugin[] = [
  schemeSymmetric,
  schemeAsymmetric,
  schemeFloat,
  schemeIq,
  formatGguf,
  formatSafetensors,
  convert,
  hub,
  runnerPiscina,
  engineLlama,
];

/** Packages of ours that are installed separately, and the ids they bring: for messages, never for loading. */
const wellKnown: readonly { readonly ids: RegExp; readonly package: string }[] = [
  { ids: /^IQ\d/i, package: "@fewbit/scheme-iq" },
  { ids: /^U?INT\d/i, package: "@fewbit/scheme-per-channel" },
];

/** The keyword that plugin packages carry in their package.json. */
const KEYWORD = "fewbit-plugin";

/**
 * Bundled plugins, then those of the configuration, then those named on the command line.
 * @throws `E_PLUGIN_NOT_FOUND`, `E_PLUGIN_INVALID`, `E_PLUGIN_FAILED`, `E_PLUGIN_CONFLICT`
 */
export async function loadRegistry(
  cwd: string,
  specifiers: readonly string[],
  config: LoadedConfig | undefined,
): Promise<Registry> {
  const plugins = [...bundled];
  for (const entry of config?.config.plugins ?? []) {
    const [specifier, options] = typeof entry === "string" ? [entry] : entry;
    plugins.push(await loadPlugin(specifier, configFolder(config!), options));
  }
  for (const specifier of specifiers) plugins.push(await loadPlugin(specifier, cwd));
  return withHints(createRegistry(plugins), cwd);
}

async function loadPlugin(specifier: string, folder: string, options?: unknown): Promise<Plugin> {
  const url = findPlugin(specifier, folder);
  try {
    const plugin = await importPlugin({ url, ...(options === undefined ? {} : { options }) });
    if (typeof plugin.module !== "string" || typeof plugin.version !== "string")
      throw new FewbitError(
        "E_PLUGIN_INVALID",
        `The plugin ${plugin.name} does not say its version and module.`,
        { file: url },
        'Write: definePlugin({ api: 1, name: "…", version: "…", module: import.meta.url, … })',
      );
    return plugin;
  } catch (error) {
    if (isFewbitError(error)) throw error;
    const failed = new FewbitError(
      "E_PLUGIN_FAILED",
      `The plugin ${specifier} cannot be loaded: ${error instanceof Error ? error.message : String(error)}`,
      { file: url },
      "Pass --debug to see where it fails.",
      error,
    );
    // The plugin's own stack is the one that helps its author.
    if (error instanceof Error && error.stack !== undefined) failed.stack = error.stack;
    throw failed;
  }
}

/**
 * From `folder`, then beside this program, so that local, global and `npx -p` installs all work. Only "there is
 * no such package or file" moves on to the next place: a package that is there but broken is reported.
 */
export function findPlugin(specifier: string, folder: string): string {
  const places = [pathToFileURL(join(folder, "/")), new URL("./", import.meta.url)];
  const path = isPath(specifier);
  for (const from of path ? places.slice(0, 1) : places) {
    const url = resolveModuleURL(specifier, { from, try: true });
    if (url !== undefined) return url;
    const installed = path ? undefined : findPackage(packageName(specifier), from);
    if (installed !== undefined)
      throw new FewbitError(
        "E_PLUGIN_INVALID",
        `The package ${packageName(specifier)} is installed, but exports nothing that can be imported as "${specifier}".`,
        { file: join(installed, "package.json") },
        "Build the package, or correct its exports.",
      );
  }
  const file = resolve(folder, specifier);
  const remedy = path
    ? "Check the path."
    : existsSync(file)
      ? `There is a file of that name: write ./${specifier} to load it.`
      : `Install it: npm install ${packageName(specifier)}`;
  throw new FewbitError(
    "E_PLUGIN_NOT_FOUND",
    `There is no plugin ${specifier}.`,
    path ? { file } : {},
    remedy,
  );
}

const isPath = (specifier: string): boolean => /^(\.{0,2}[/\\]|file:|[A-Za-z]:[/\\])/.test(specifier);

const packageName = (specifier: string): string =>
  specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");

/** The folder of an installed package, looked up as Node does. */
function findPackage(name: string, from: URL): string | undefined {
  for (let folder = new URL(".", from); ; folder = new URL("..", folder)) {
    const candidate = new URL(`node_modules/${encodeURI(name)}/package.json`, folder);
    if (existsSync(candidate)) return dirname(fileURLToPath(candidate));
    if (new URL("..", folder).href === folder.href) return undefined;
  }
}

/** The same registry; what is missing is explained by what could bring it. */
function withHints(registry: Registry, cwd: string): Registry {
  const explain = (error: unknown, id: string): unknown => {
    if (!isFewbitError(error, "E_SCHEME_UNKNOWN", "E_RECIPE_UNKNOWN")) return error;
    const remedy = suggest(id, registry, cwd);
    return remedy === undefined
      ? error
      : new FewbitError(error.code, error.message, error.at, remedy, error.cause);
  };
  const hinted =
    <T>(find: (id: string) => T) =>
    (id: string): T => {
      try {
        return find(id);
      } catch (error) {
        throw explain(error, id);
      }
    };
  return { ...registry, scheme: hinted(registry.scheme), recipe: hinted(registry.recipe) };
}

function suggest(id: string, registry: Registry, cwd: string): string | undefined {
  const loaded = new Set(registry.plugins.map((plugin) => plugin.name));
  const known = wellKnown.find((entry) => entry.ids.test(id.slice(id.lastIndexOf(":") + 1)));
  if (known !== undefined && !loaded.has(known.package))
    return `${known.package} brings it: npm install ${known.package}, then add --plugin ${known.package}.`;
  const installed = installedPlugins(cwd).filter((name) => !loaded.has(name));
  if (installed.length === 0) return undefined;
  return `${installed.join(", ")} ${installed.length === 1 ? "is" : "are"} installed here: add --plugin ${installed[0]}.`;
}

/** A runner that a plugin brings takes the place of the bundled one. */
export const runnerOf = (registry: Registry): Runner => registry.runners.at(-1)!.value;

/** Likewise for the engine. */
export const engineOf = (registry: Registry): Engine => registry.engines.at(-1)!.value;

/** Dependencies of the user's own package.json that carry the keyword. Read for hints only: nothing is loaded. */
export function installedPlugins(cwd: string): string[] {
  const folder = findUp(cwd, (candidate) => existsSync(join(candidate, "package.json")));
  if (folder === undefined) return [];
  const own = readPackage(folder);
  const names = Object.keys({ ...record(own?.dependencies), ...record(own?.devDependencies) });
  return names.filter((name) => {
    const at = findUp(folder, (candidate) =>
      existsSync(join(candidate, "node_modules", name, "package.json")),
    );
    if (at === undefined) return false;
    const keywords = readPackage(join(at, "node_modules", name))?.keywords;
    return Array.isArray(keywords) && keywords.includes(KEYWORD);
  });
}

function findUp(from: string, test: (folder: string) => boolean): string | undefined {
  for (let folder = resolve(from); ; folder = dirname(folder)) {
    if (test(folder)) return folder;
    if (dirname(folder) === folder) return undefined;
  }
}

const record = (value: unknown): Record<string, unknown> =>
  typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};

function readPackage(folder: string): Record<string, unknown> | undefined {
  try {
    return record(JSON.parse(readFileSync(join(folder, "package.json"), "utf8")));
  } catch {
    return undefined; // A hint is not worth an error.
  }
}
