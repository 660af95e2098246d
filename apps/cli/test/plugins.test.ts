import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { testPlugin } from "@fewbit/testing";
import { beforeAll, describe, expect, test } from "vitest";
import { bundled, findPlugin, installedPlugins } from "../src/plugins.js";
import { fewbit } from "./command-line.js";
import { writeTinyModel } from "./model.js";
import { temporaryFolder } from "./temporary.js";

for (const plugin of bundled) testPlugin(plugin, { test });

const project = temporaryFolder();
const schemes = async (...args: string[]): Promise<{ id: string; package: string }[]> =>
  JSON.parse((await fewbit(["schemes", "--json", ...args], project)).stdout).schemes;

function write(path: string, text: string): void {
  mkdirSync(dirname(join(project, path)), { recursive: true });
  writeFileSync(join(project, path), text);
}

/** A plugin as an outsider would write it: Q8_0 by another name, rounding down instead of to nearest. */
const source = (name: string, id = "Q8_0"): string => `
export default {
  api: 1,
  name: ${JSON.stringify(name)},
  version: "1.2.3",
  module: import.meta.url,
  schemes: [{
    id: ${JSON.stringify(id)},
    summary: "for tests",
    symmetry: "symmetric",
    granularity: "block",
    importance: "ignored",
    passes: 1,
    minSqnr: 0,
    layout: (shape) => {
      const columns = shape.at(-1) ?? 1;
      const rows = shape.slice(0, -1).reduce((a, b) => a * b, 1);
      if (columns % 32 !== 0) return { unfit: "rows are no multiple of 32" };
      return [{ name: "", dtype: ${JSON.stringify(id)}, shape, bytes: (rows * columns / 32) * 34, per: "row" }];
    },
    load: async () => ({
      encode: (rows, [out]) => { out.fill(7); },
      decode: (parts, out) => { out.fill(0); },
    }),
  }],
};
`;

beforeAll(() => {
  writeTinyModel(join(project, "tiny.gguf"));
  write(
    "package.json",
    JSON.stringify({ dependencies: { "my-scheme": "1", innocent: "1" }, devDependencies: { gone: "1" } }),
  );
  // Exports with only "import", as many packages have: require.resolve would refuse them.
  write(
    "node_modules/my-scheme/package.json",
    JSON.stringify({
      name: "my-scheme",
      type: "module",
      keywords: ["fewbit-plugin"],
      exports: { ".": { import: "./index.js" } },
    }),
  );
  write("node_modules/my-scheme/index.js", source("my-scheme"));
  write(
    "node_modules/innocent/package.json",
    JSON.stringify({ name: "innocent", exports: { ".": { require: "./x.cjs" } } }),
  );
  write("local/mine.mjs", source("mine", "Q8_1"));
});

describe("found", () => {
  test("as a package, a path and a file URL", async () => {
    expect(await schemes("--plugin", "my-scheme")).toContainEqual(
      expect.objectContaining({ id: "Q8_0", package: "my-scheme" }),
    );
    expect(await schemes("--plugin", "./local/mine.mjs")).toContainEqual(
      expect.objectContaining({ id: "Q8_1", package: "mine" }),
    );
    expect(await schemes("--plugin", pathToFileURL(join(project, "local/mine.mjs")).href)).toContainEqual(
      expect.objectContaining({ id: "Q8_1" }),
    );
    expect(await schemes("--plugin", "my-scheme", "--plugin", "./local/mine.mjs")).toHaveLength(
      (await schemes()).length + 2,
    );
  });

  test("beside the program when it is not in the project", () => {
    expect(findPlugin("@fewbit/scheme-float", project)).toContain("scheme-float");
  });

  test("by a configuration, from its own folder", async () => {
    write("config/fewbit.config.json", JSON.stringify({ plugins: ["../local/mine.mjs", "my-scheme"] }));
    const found = await schemes("--config", "config/fewbit.config.json");
    expect(found.map((each) => each.package)).toEqual(expect.arrayContaining(["mine", "my-scheme"]));
  });

  test("with options, where the plugin is a function of them", async () => {
    write(
      "local/options.mjs",
      source("options")
        .replace("export default {", "export default (options) => ({ ")
        .replace(/};\s*$/, "});")
        .replace('"Q8_0"', "options.id"),
    );
    write(
      "with-options/fewbit.config.mjs",
      'export default { plugins: [["../local/options.mjs", { id: "TQ2_0" }]] };',
    );
    expect(await schemes("--config", "with-options/fewbit.config.mjs")).toContainEqual(
      expect.objectContaining({ id: "TQ2_0", package: "options" }),
    );
  });
});

test("a plugin's scheme quantizes, in worker threads, when it is named in full", async () => {
  const both = await fewbit(
    [
      "quantize",
      "tiny.gguf",
      "x.gguf",
      "--plugin",
      "my-scheme",
      "--type",
      "Q4_0",
      "--tensor-type",
      "ffn=Q8_0",
      "--dry-run",
    ],
    project,
  );
  expect(both.stderr).toMatch(
    /^error\[E_PLUGIN_CONFLICT\] The scheme "Q8_0" is brought by @fewbit\/scheme-symmetric and my-scheme\. Say which: /,
  );
  const ended = await fewbit(
    ["quantize", "tiny.gguf", "own.gguf", "--plugin", "my-scheme", "--type", "my-scheme:q8_0"],
    project,
  );
  expect(ended).toMatchObject({ status: 0, stderr: "" });
  const { tensors } = JSON.parse((await fewbit(["inspect", "own.gguf", "--json"], project)).stdout);
  const tensor = tensors.find(({ name }: { name: string }) => name === "blk.1.ffn_up.weight");
  const bytes = readFileSync(join(project, "own.gguf")).subarray(tensor.offset, tensor.offset + tensor.bytes);
  expect(new Set(bytes)).toEqual(new Set([7]));
});

describe("refused", () => {
  const stderr = async (...args: string[]): Promise<string> => {
    const ended = await fewbit(["schemes", ...args], project);
    expect(ended.status).toBe(ended.stderr.includes("E_PLUGIN_FAILED") ? 1 : 2);
    return ended.stderr;
  };

  test("one that is not installed", async () => {
    expect(await stderr("--plugin", "fewbit-scheme-nowhere")).toBe(
      "error[E_PLUGIN_NOT_FOUND] There is no plugin fewbit-scheme-nowhere. Install it: npm install fewbit-scheme-nowhere\n",
    );
    expect(await stderr("--plugin", "./nowhere.mjs")).toBe(
      `error[E_PLUGIN_NOT_FOUND] ${join(project, "nowhere.mjs")}: There is no plugin ./nowhere.mjs. Check the path.\n`,
    );
    expect(await stderr("--plugin", "local/mine.mjs")).toContain("write ./local/mine.mjs to load it");
  });

  test("a package that is there but cannot be imported, which is no reason to look elsewhere", async () => {
    expect(await stderr("--plugin", "innocent")).toMatch(
      /^error\[E_PLUGIN_INVALID\] .*innocent\/package\.json: The package innocent is installed, but exports nothing that can be imported as "innocent"\./,
    );
  });

  test("one whose own import is missing: the message is about that import", async () => {
    write("local/needs.mjs", 'import "not-installed-anywhere"; export default {};');
    expect(await stderr("--plugin", "./local/needs.mjs")).toMatch(
      /^error\[E_PLUGIN_FAILED\] .*needs\.mjs: The plugin \.\/local\/needs\.mjs cannot be loaded: .*'not-installed-anywhere'/,
    );
  });

  test("one that throws, with its own stack under --debug", async () => {
    write("local/throws.mjs", 'function deep() { throw new Error("at load"); }\ndeep();');
    expect(await stderr("--plugin", "./local/throws.mjs")).not.toContain("    at ");
    expect(await stderr("--plugin", "./local/throws.mjs", "--debug")).toMatch(/ {4}at deep .*throws\.mjs:1/);
  });

  test("a module that is no plugin, and one for another interface", async () => {
    write("local/empty.mjs", "export const x = 1;");
    expect(await stderr("--plugin", "./local/empty.mjs")).toContain("E_PLUGIN_INVALID");
    write("local/nameless.mjs", 'export default { api: 1, name: "nameless" };');
    expect(await stderr("--plugin", "./local/nameless.mjs")).toContain("does not say its version and module");
    write("local/future.mjs", source("future").replace("api: 1", "api: 2"));
    expect(await stderr("--plugin", "./local/future.mjs")).toContain(
      "future is written for plugin interface 2",
    );
  });

  test("the same one twice", async () => {
    expect(await stderr("--plugin", "my-scheme", "--plugin", "my-scheme")).toContain(
      "The plugin my-scheme is registered twice.",
    );
  });
});

describe("hints", () => {
  test("an unknown type points at an installed plugin that was not named", async () => {
    const { stderr } = await fewbit(["quantize", "tiny.gguf", "--type", "MINE_6", "--dry-run"], project);
    expect(stderr).toMatch(
      /^error\[E_RECIPE_UNKNOWN\] .* my-scheme is installed here: add --plugin my-scheme\.\n$/,
    );
  });

  test("only dependencies with the keyword count, and nothing is loaded", () => {
    expect(installedPlugins(join(project, "local"))).toEqual(["my-scheme"]);
    expect(installedPlugins("/")).toEqual([]);
  });
});

test("a configuration in TypeScript loads where Node can, and says so where it cannot", async () => {
  write(
    "typed/fewbit.config.ts",
    'const plugins: string[] = ["../local/mine.mjs"];\nexport default { plugins };',
  );
  const ended = await fewbit(["schemes", "--config", "typed/fewbit.config.ts"], project);
  const { features } = process as unknown as { features: { typescript?: unknown } };
  if (features.typescript) expect(ended.stdout).toMatch(/^Q8_1 .* mine /m);
  else
    expect(ended.stderr).toBe(
      `error[E_CONFIG] ${join(project, "typed/fewbit.config.ts")}: Node ${process.versions.node} cannot import TypeScript. ` +
        "Write the configuration as fewbit.config.mjs or fewbit.config.json, or use Node 22.18 or newer.\n",
    );
});

test("defineConfig is exported for configurations in JavaScript", async () => {
  mkdirSync(join(project, "typed/node_modules"), { recursive: true });
  symlinkSync(fileURLToPath(new URL("..", import.meta.url)), join(project, "typed/node_modules/fewbit"));
  write(
    "typed/fewbit.config.mjs",
    'import { defineConfig } from "fewbit";\nexport default defineConfig({ plugins: ["../local/mine.mjs"] });',
  );
  expect(await schemes("--config", "typed/fewbit.config.mjs")).toContainEqual(
    expect.objectContaining({ package: "mine" }),
  );
});
