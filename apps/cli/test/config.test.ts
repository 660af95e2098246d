import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { defineConfig, loadConfig } from "../src/config.js";
import { temporaryFolder } from "./temporary.js";

const root = temporaryFolder();
let folder: string;
let count = 0;
let notes: string[];
beforeEach(() => {
  folder = join(root, String(count++));
  mkdirSync(folder);
  notes = [];
});

const load = ({ model, ...options }: { named?: string; model?: string } = {}) =>
  loadConfig(folder, {
    ...options,
    ...(model === undefined ? {} : { models: [model] }),
    note: (text) => notes.push(text),
  });
const write = (name: string, text: string): void => writeFileSync(join(folder, name), text);

test("none is fine", async () => {
  expect(await load()).toBeUndefined();
});

test.each([
  ["fewbit.config.json", '{ "plugins": ["a", ["b", { "bits": 6 }]] }'],
  ["fewbit.config.mjs", 'export default { plugins: ["a", ["b", { bits: 6 }]] };'],
  ["fewbit.config.js", 'export default { plugins: ["a", ["b", { bits: 6 }]] };'],
])("%s is found and read", async (name, text) => {
  write(name, text);
  write("package.json", '{ "type": "module" }');
  expect(await load()).toEqual({
    file: join(folder, name),
    config: defineConfig({ plugins: ["a", ["b", { bits: 6 }]] }),
  });
});

test("one that is named need not have the name", async () => {
  write("other.json", "{}");
  expect((await load({ named: "other.json" }))?.config).toEqual({});
});

describe("refused", () => {
  test.each([
    ["{", /^This is not JSON: /],
    ["[]", "The configuration is no object."],
    ["null", "The configuration is no object."],
    ['{ "plugin": [] }', 'There is no option "plugin".'],
    ['{ "plugins": "a" }', '"plugins" is no list.'],
    ['{ "plugins": [1] }', "A plugin is a specifier, or a list of a specifier and its options."],
    ['{ "plugins": [["a", {}, 3]] }', "A plugin is a specifier, or a list of a specifier and its options."],
  ])("%s", async (text, message) => {
    write("fewbit.config.json", text);
    await expect(load()).rejects.toThrow(message);
    await expect(load()).rejects.toMatchObject({
      code: "E_CONFIG",
      at: { file: join(folder, "fewbit.config.json") },
    });
  });

  test("two at once", async () => {
    write("fewbit.config.json", "{}");
    write("fewbit.config.mjs", "export default {}");
    await expect(load()).rejects.toThrow("There is more than one configuration file");
  });

  test("one that is named and missing", async () => {
    await expect(load({ named: "nowhere.mjs" })).rejects.toThrow("The configuration file cannot be read.");
    await expect(load({ named: "nowhere.json" })).rejects.toThrow("The configuration file cannot be read.");
  });

  test("one that throws", async () => {
    write("fewbit.config.mjs", 'throw new Error("broken inside");');
    await expect(load()).rejects.toThrow("It cannot be loaded: broken inside");
  });
});

test("one beside the model is left alone unless it is named", async () => {
  write("fewbit.config.mjs", 'throw new Error("this code came with a download");');
  write("model.gguf", "");
  expect(await load({ model: "model.gguf" })).toBeUndefined();
  expect(notes).toEqual([
    "note: fewbit.config.mjs lies beside the model and was not loaded; pass --config fewbit.config.mjs to use it.",
  ]);
  await expect(load({ model: "model.gguf", named: "fewbit.config.mjs" })).rejects.toThrow(
    "this code came with",
  );
  expect(await load({ model: "." })).toBeUndefined();
  mkdirSync(join(folder, "models"));
  write("models/model.gguf", "");
  const beside = loadConfig(folder, { models: ["models/model.gguf", "model.gguf"], note: () => {} });
  expect(await beside).toBeUndefined();
  await expect(load({ model: "models/model.gguf" })).rejects.toThrow("this code came with");
});
