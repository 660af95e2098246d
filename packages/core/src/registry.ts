import type { Architecture } from "./architecture.js";
import type { Engine } from "./engine.js";
import { FewbitError } from "./error.js";
import type {
  FormatReader,
  FormatWriter,
  ModuleRef,
  Plugin,
  Recipe,
  Resolver,
  Runner,
  Scheme,
} from "./types.js";

/** Identity: it exists for the types. There is no global list that two copies of core could disagree on. */
export const definePlugin = <const P extends Plugin>(plugin: P): P => plugin;

/** Anything that plugins bring, with the plugin that brings it. */
export interface Entry<T> {
  readonly plugin: Plugin;
  readonly value: T;
}

/** What is installed, as a value: made from a list and passed on. */
export interface Registry {
  readonly plugins: readonly Plugin[];
  readonly schemes: readonly Entry<Scheme>[];
  readonly recipes: readonly Entry<Recipe>[];
  readonly readers: readonly Entry<FormatReader>[];
  readonly writers: readonly Entry<FormatWriter>[];
  readonly resolvers: readonly Entry<Resolver>[];
  readonly runners: readonly Entry<Runner>[];
  readonly engines: readonly Entry<Engine>[];
  readonly architectures: readonly Entry<Architecture>[];
  /**
   * Case-insensitive; may be qualified: `my-scheme:Q4_K`.
   * @throws `E_SCHEME_UNKNOWN`, `E_PLUGIN_CONFLICT`
   */
  scheme(id: string): Entry<Scheme>;
  /** @throws `E_RECIPE_UNKNOWN`, `E_PLUGIN_CONFLICT` */
  recipe(id: string): Entry<Recipe>;
  /** @throws `E_PLUGIN_NOT_FOUND`, `E_PLUGIN_CONFLICT` */
  writer(id: string): Entry<FormatWriter>;
  /**
   * By the name of a class, as `architectures` of a config.json has it: `LlamaForCausalLM`.
   * @throws `E_ARCHITECTURE`, `E_PLUGIN_CONFLICT`
   */
  architecture(className: string): Entry<Architecture>;
  /** npm name → module, for workers. */
  modules(): Record<string, ModuleRef>;
}

/** @throws `E_PLUGIN_INVALID` for another interface version, `E_PLUGIN_CONFLICT` for a name given twice */
export function createRegistry(plugins: readonly Plugin[]): Registry {
  const names = new Set<string>();
  for (const plugin of plugins) {
    if (plugin.api !== 1)
      throw new FewbitError(
        "E_PLUGIN_INVALID",
        `${plugin.name} is written for plugin interface ${plugin.api}; this version speaks 1.`,
        {},
        `Update ${plugin.name} or fewbit.`,
      );
    if (names.has(plugin.name))
      throw new FewbitError(
        "E_PLUGIN_CONFLICT",
        `The plugin ${plugin.name} is registered twice.`,
        {},
        "Name it once.",
      );
    names.add(plugin.name);
  }
  const collect = <T>(pick: (plugin: Plugin) => readonly T[] | undefined): Entry<T>[] =>
    plugins.flatMap((plugin) => (pick(plugin) ?? []).map((value) => ({ plugin, value })));
  const schemes = collect((p) => p.schemes);
  const recipes = collect((p) => p.recipes);
  const readers = collect((p) => p.readers);
  const writers = collect((p) => p.writers);
  const resolvers = collect((p) => p.resolvers);
  const runners = collect((p) => p.runners);
  const engines = collect((p) => p.engines);
  const architectures = collect((p) => p.architectures);

  return {
    plugins,
    schemes,
    recipes,
    readers,
    writers,
    resolvers,
    runners,
    engines,
    architectures,
    scheme: (id) => pick(schemes, id, "scheme", "E_SCHEME_UNKNOWN"),
    recipe: (id) => pick(recipes, id, "recipe", "E_RECIPE_UNKNOWN"),
    writer: (id) => pick(writers, id, "writer", "E_PLUGIN_NOT_FOUND"),
    architecture: (className) => pickArchitecture(architectures, className),
    modules: () =>
      Object.fromEntries(
        plugins.map((p) => [
          p.name,
          { url: p.module, ...(p.options === undefined ? {} : { options: p.options }) },
        ]),
      ),
  };
}

function pick<T extends { readonly id: string }>(
  entries: readonly Entry<T>[],
  id: string,
  kind: string,
  missing: "E_SCHEME_UNKNOWN" | "E_RECIPE_UNKNOWN" | "E_PLUGIN_NOT_FOUND",
): Entry<T> {
  const colon = id.lastIndexOf(":");
  const owner = colon < 0 ? undefined : id.slice(0, colon);
  const bare = id.slice(colon + 1).toUpperCase();
  const found = entries.filter(
    (entry) => entry.value.id.toUpperCase() === bare && (owner === undefined || entry.plugin.name === owner),
  );
  if (found.length === 1) return found[0]!;
  if (found.length > 1)
    throw new FewbitError(
      "E_PLUGIN_CONFLICT",
      `The ${kind} "${id}" is brought by ${found.map((entry) => entry.plugin.name).join(" and ")}.`,
      {},
      `Say which: "${found[0]!.plugin.name}:${found[0]!.value.id}".`,
    );
  const known = entries.map((entry) => entry.value.id);
  throw new FewbitError(
    missing,
    `No registered plugin brings a ${kind} "${id}". Registered: ${nearestFirst(known, bare).join(", ") || "none"}.`,
    {},
    `Check the spelling, or install the package that brings it and name it with --plugin.`,
  );
}

function pickArchitecture(entries: readonly Entry<Architecture>[], className: string): Entry<Architecture> {
  const found = entries.filter(({ value }) => value.classes.includes(className));
  if (found.length === 1) return found[0]!;
  if (found.length > 1)
    throw new FewbitError(
      "E_PLUGIN_CONFLICT",
      `The architecture "${className}" is brought by ${found.map(({ plugin }) => plugin.name).join(" and ")}.`,
      { key: "architectures" },
      "Leave one of these plugins out.",
    );
  const known = entries.flatMap(({ value }) => value.classes);
  throw new FewbitError(
    "E_ARCHITECTURE",
    `No registered plugin knows the architecture "${className}". Known: ${nearestFirst(known, className.toUpperCase()).join(", ") || "none"}.`,
    { key: "architectures" },
    "Convert it with llama.cpp's convert_hf_to_gguf.py, or name a plugin that brings it with --plugin.",
  );
}

/** Nearest spelling first, so that a typing mistake is corrected by the first words of the list. */
function nearestFirst(known: readonly string[], wanted: string): string[] {
  const score = new Map(known.map((id) => [id, editDistance(id.toUpperCase(), wanted)]));
  return [...known].sort((a, b) => score.get(a)! - score.get(b)!);
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    row = next;
  }
  return row[b.length]!;
}

/**
 * What a worker does with a ModuleRef; the main thread loads plugins the same way.
 * @throws `E_PLUGIN_INVALID` where the module's default export is no plugin, or another than `expected`
 */
export async function importPlugin(ref: ModuleRef, expected?: string): Promise<Plugin> {
  const module = (await import(/* @vite-ignore */ ref.url)) as {
    default?: Plugin | ((options: unknown) => Plugin);
  };
  const plugin = typeof module.default === "function" ? module.default(ref.options) : module.default;
  if (typeof plugin?.name !== "string")
    throw new FewbitError(
      "E_PLUGIN_INVALID",
      `${ref.url} has no plugin as its default export.`,
      { file: ref.url },
      "Write: export default definePlugin({ … })",
    );
  if (expected !== undefined && plugin.name !== expected)
    throw new FewbitError(
      "E_PLUGIN_INVALID",
      `${ref.url} exports the plugin ${plugin.name}; ${expected} was asked for.`,
      { file: ref.url },
      "Give definePlugin the import.meta.url of the module that exports it.",
    );
  return ref.options === undefined ? plugin : { ...plugin, options: ref.options };
}
