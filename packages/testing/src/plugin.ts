import { importPlugin, type Plugin } from "@fewbit/core";
import { describe, equal, hold, type TestFunction, thrownBy } from "./law.js";

/** What `testPlugin` is given. */
export interface PluginTestOptions {
  /** The `test` of your test runner. */
  readonly test: TestFunction;
}

/** What a plugin may bring: each of these in a list, under an id. */
type Kind = {
  [K in keyof Plugin]-?: NonNullable<Plugin[K]> extends readonly { readonly id: string }[] ? K : never;
}[keyof Plugin];

const KINDS = Object.keys({
  schemes: true,
  readers: true,
  writers: true,
  resolvers: true,
  recipes: true,
  runners: true,
  engines: true,
  architectures: true,
} satisfies Record<Kind, true>) as Kind[];

/** What things are found by: architectures by the classes they know, all others by their ids in any case. */
const namesOf = (plugin: Plugin, kind: Kind): readonly string[] =>
  kind === "architectures"
    ? (plugin[kind] ?? []).flatMap(({ classes }) => classes)
    : (plugin[kind] ?? []).map(({ id }) => id.toUpperCase());

/**
 * What every plugin keeps, whatever it brings: it can be found again by its module. The contract of each scheme,
 * reader, writer, runner and engine is a test of its own.
 */
export function testPlugin(plugin: Plugin, { test }: PluginTestOptions): void {
  const law = (name: string, run: () => void | Promise<void>) =>
    test(`${plugin.name}: ${name}`, async () => run());
  const idsOf = (from: Plugin) => KINDS.map((kind) => (from[kind] ?? []).map(({ id }) => id));

  law("declares its name, version and interface", () => {
    hold(plugin.api === 1, `api is ${plugin.api}; this interface is 1`);
    hold(
      /^(@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*$/.test(plugin.name),
      `the name "${plugin.name}" is not an npm package name`,
    );
    hold(/^\d+\.\d+\.\d+/.test(plugin.version), `the version "${plugin.version}" is not a semantic version`);
    hold(URL.canParse(plugin.module), `module is "${plugin.module}"; write import.meta.url`);
    hold(
      idsOf(plugin).some((ids) => ids.length > 0),
      `the plugin brings none of ${KINDS.join(", ")}`,
    );
  });

  law("has one thing under each name", () => {
    for (const kind of KINDS) {
      const names = namesOf(plugin, kind);
      const twice = names.find((name, i) => names.indexOf(name) !== i);
      const why = kind === "architectures" ? "a class has one" : "upper and lower case are the same";
      hold(twice === undefined, `two ${kind} are called ${twice}; ${why}`);
    }
  });

  law("has options that cross threads", async () => {
    const thrown = await thrownBy(() => structuredClone(plugin.options));
    hold(thrown === undefined, `the options cannot be cloned: ${describe(thrown)}`);
    hold(equal(plugin.options, structuredClone(plugin.options)), "the options change when they are cloned");
  });

  law("is the default export of its module", async () => {
    const ref = { url: plugin.module, ...(plugin.options === undefined ? {} : { options: plugin.options }) };
    const loaded = await importPlugin(ref, plugin.name);
    hold(
      loaded.version === plugin.version && equal(idsOf(loaded), idsOf(plugin)),
      `${plugin.module} exports another ${plugin.name}: ${loaded.version} with ${idsOf(loaded).flat().join(", ")}`,
    );
  });
}
