import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "@fewbit/core";
import { describe, expect, test } from "vitest";
import { sharedFolder } from "../../../tooling/golden.js";
import { readConfig } from "../src/config.js";
import { ropeOf } from "../src/rope.js";

const configOf = (value: unknown, defaults = {}): Config =>
  readConfig(
    new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value)),
    "c.json",
    defaults,
  );

const refusal = (message: string, key?: string) =>
  expect.objectContaining({
    code: "E_CHECKPOINT",
    message,
    at: key === undefined ? { file: "c.json" } : { file: "c.json", key },
  });

test("the first name that is there counts, and null is not there", () => {
  const config = configOf({
    n_embd: 8,
    hidden_size: null,
    num_hidden_layers: 3,
    names: ["a"],
    sizes: [1, 2.5],
  });
  expect(config.integer(["hidden_size", "n_embd"])).toBe(8);
  expect(config.has("hidden_size")).toBe(false);
  expect(config.has("hidden_size", "n_embd")).toBe(true);
  expect(config.layers).toBe(3);
  expect(config.strings("names")).toEqual(["a"]);
  expect(config.numbers("sizes")).toEqual([1, 2.5]);
  expect(config.numbers("other")).toEqual([]);
  expect(config.string("other", "x")).toBe("x");
  expect(config.boolean("other", true)).toBe(true);
});

test("a nested text_config comes first, defaults last", () => {
  const config = configOf(
    { hidden_size: 1, vocab_size: 5, text_config: { hidden_size: 2, rope_scaling: { factor: 4 } } },
    { hidden_size: 3, vocab_size: 4, rms_norm_eps: 1e-6 },
  );
  expect([
    config.integer("hidden_size"),
    config.integer("vocab_size"),
    config.number("rms_norm_eps"),
  ]).toEqual([2, 5, 1e-6]);
  expect(config.section("rope_scaling").number("factor")).toBe(4);
  expect(config.section("nothing").has("factor")).toBe(false);
});

describe("a setting of another type is refused by its name", () => {
  test.each<[unknown, (config: Config) => unknown, string, string]>([
    [{ a: "768" }, (c) => c.integer("a"), 'a is "768", not a whole number from 0 to 4294967295.', "a"],
    [{ a: 1.5 }, (c) => c.integer("a"), "a is 1.5, not a whole number from 0 to 4294967295.", "a"],
    [{ a: -1 }, (c) => c.integer("a"), "a is -1, not a whole number from 0 to 4294967295.", "a"],
    [{ a: 2 ** 32 }, (c) => c.integer("a"), "a is 4294967296, not a whole number from 0 to 4294967295.", "a"],
    ['{"a":1e999}', (c) => c.number("a"), "a is null, not a number.", "a"],
    [{ a: [] }, (c) => c.boolean("a"), "a is [], not true or false.", "a"],
    [{ a: 1 }, (c) => c.string("a"), "a is 1, not a text.", "a"],
    [{ a: ["x", 1] }, (c) => c.strings("a"), 'a is ["x",1], not a list of texts.', "a"],
    [{ a: [1, null] }, (c) => c.numbers("a"), "a is [1,null], not a list of numbers.", "a"],
    [{ a: 5 }, (c) => c.section("a"), "a is 5, not an object.", "a"],
    [{ a: { b: "x" } }, (c) => c.section("a").number("b"), 'a.b is "x", not a number.', "a.b"],
    [{}, (c) => c.integer("a"), "There is no a.", "a"],
    [{}, (c) => c.integer(["a", "b", "c"]), "There is no a, nor b or c.", "a"],
    [{ a: { x: 1 } }, (c) => c.section("a").number("b"), "There is no a.b.", "a.b"],
  ])("%j", (value, read, message, key) => {
    expect(() => read(configOf(value))).toThrow(refusal(message, key));
  });

  test("and shown only as far as a line can hold it", () => {
    const config = configOf({ a: "x".repeat(1000) });
    expect(() => config.integer("a")).toThrow(`a is "${"x".repeat(78)}…, not a whole number`);
  });
});

describe("what is no settings file", () => {
  test.each([
    ["[1]", "The file holds no JSON object."],
    ["null", "The file holds no JSON object."],
    ["{", "The file is not JSON: "],
    [`${"[".repeat(100_000)}`, "The file is not JSON: "],
  ])("%.10s", (text, message) => {
    expect(() => configOf(text)).toThrow(message);
  });

  test("more bytes than are read", () => {
    expect(() => readConfig(new Uint8Array(2 ** 26 + 1).fill(0x20), "c.json")).toThrow(
      refusal("The file has 67108865 bytes; at most 67108864 are read."),
    );
  });

  test("lists in lists without end", () => {
    const nested = (levels: number): unknown => `{"a":${"[".repeat(levels)}${"]".repeat(levels)}}`;
    expect(() => configOf(nested(100_000))).toThrow(
      refusal("The file nests lists and objects more than 500 levels deep."),
    );
    expect(() => configOf(nested(499)).integer("a")).toThrow(/^a is \[\[/);
    // Brackets in strings are no levels, whatever is escaped there.
    expect(configOf({ a: `"${'[\\"'.repeat(600)}\\` }).has("a")).toBe(true);
  });

  test("bytes that are not UTF-8", () => {
    expect(() => readConfig(Uint8Array.of(0x7b, 0xff, 0x7d), "c.json")).toThrow(
      refusal("The file is not UTF-8."),
    );
  });
});

test("keys that objects have are keys", () => {
  const config = configOf('{"__proto__":{"isAdmin":true},"a":1}');
  expect(config.has("isAdmin", "constructor", "toString")).toBe(false);
  expect(config.section("__proto__").boolean("isAdmin")).toBe(true);
  expect(({} as { isAdmin?: unknown }).isAdmin).toBeUndefined();
});

const hostile = sharedFolder === undefined ? undefined : join(sharedFolder, "hostile");
describe.skipIf(hostile === undefined || !existsSync(hostile))(
  `hostile files${hostile === undefined ? " (skipped: no ../shared/hostile)" : ""}`,
  () => {
    const open = (name: string): Config => readConfig(readFileSync(join(hostile!, name)), name);

    test("a config with __proto__ is a config", () => {
      open("c01-proto.json");
      expect(({} as { isAdmin?: unknown }).isAdmin).toBeUndefined();
    });

    test("sizes that are text are refused", () => {
      expect(() => open("c01-type.json").integer("hidden_size")).toThrow(/hidden_size is ".*", not a whole/);
    });
  },
);

describe("rotary position embedding", () => {
  test.each<[object, object]>([
    [{ rope_theta: 5 }, { base: 5 }],
    [{ rotary_emb_base: 6, rope_scaling: null }, { base: 6 }],
    [
      { rope_theta: 5, rope_scaling: { type: "linear" } },
      { base: 5, type: "linear" },
    ],
    [
      { rope_theta: 5, rope_parameters: { rope_theta: 7, rope_type: "llama3" } },
      { base: 7, type: "llama3" },
    ],
    [
      { rope_theta: 5, rope_local_base_freq: 8 },
      { base: 5, localBase: 8 },
    ],
    [
      {
        rope_theta: 5,
        rope_parameters: {
          full_attention: { rope_theta: 9, rope_type: "yarn" },
          sliding_attention: { rope_theta: 10 },
        },
      },
      { base: 9, type: "yarn", localBase: 10 },
    ],
  ])("%j", (settings, expected) => {
    const { base, type, localBase } = ropeOf(configOf(settings));
    expect({ base, type, localBase }).toEqual({
      base: undefined,
      type: undefined,
      localBase: undefined,
      ...expected,
    });
  });

  test("the context before scaling is beside the scaling, or beside all", () => {
    const key = "original_max_position_embeddings";
    expect(ropeOf(configOf({ [key]: 1, rope_scaling: { [key]: 2 } })).originalContext()).toBe(2);
    expect(ropeOf(configOf({ [key]: 1, rope_scaling: {} })).originalContext(9)).toBe(1);
    expect(ropeOf(configOf({})).originalContext(9)).toBe(9);
    expect(() => ropeOf(configOf({})).originalContext()).toThrow(`There is no rope_parameters.${key}.`);
  });
});
