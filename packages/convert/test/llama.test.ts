import type { Config } from "@fewbit/core";
import { describe, expect, test } from "vitest";
import { llama } from "../src/architectures/llama.js";
import { commonMetadata } from "../src/common-metadata.js";
import { readConfig } from "../src/config.js";
import { sizesOf } from "../src/transformer.js";

const settings = {
  hidden_size: 64,
  intermediate_size: 96,
  max_position_embeddings: 2048,
  num_attention_heads: 4,
  num_hidden_layers: 2,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-5,
  vocab_size: 344,
};
const configOf = (more: object): Config =>
  readConfig(
    new TextEncoder().encode(JSON.stringify({ ...settings, ...more })),
    "config.json",
    llama.defaults,
  );

/** Entries about positions and attention, without the common prefix. */
function entriesOf(more: object): [string, string, unknown][] {
  const config = configOf(more);
  return llama.metadata!(config, commonMetadata("llama", config, 32))
    .filter(({ key }) => /rope|attention|context/.test(key))
    .map(({ key, type, value }) => [key.slice("llama.".length), type, value]);
}

const before: [string, string, unknown][] = [
  ["context_length", "u32", 2048],
  ["attention.head_count", "u32", 4],
  ["attention.head_count_kv", "u32", 2],
];
const after: [string, string, unknown][] = [
  ["attention.layer_norm_rms_epsilon", "f32", 1e-5],
  ["rope.dimension_count", "u32", 16],
];

// What llama.cpp's converter writes for the same settings.
describe("entries about positions", () => {
  test.each<[string, object, [string, string, unknown][]]>([
    ["none", {}, []],
    ["a base", { rope_theta: 1e6 }, [["rope.freq_base", "f32", 1e6]]],
    [
      "a base where newer versions of the library keep it",
      { rope_parameters: { rope_theta: 12345, rope_type: "default" } },
      [["rope.freq_base", "f32", 12345]],
    ],
    [
      "linear scaling",
      { rope_scaling: { type: "linear", factor: 2 } },
      [
        ["rope.scaling.type", "string", "linear"],
        ["rope.scaling.factor", "f32", 2],
      ],
    ],
    [
      "YaRN",
      {
        rope_theta: 10000,
        rope_scaling: {
          rope_type: "yarn",
          factor: 4,
          original_max_position_embeddings: 512,
          beta_fast: 32,
          beta_slow: 1,
          attention_factor: 1.1,
        },
      },
      [
        ["rope.scaling.type", "string", "yarn"],
        ["rope.scaling.factor", "f32", 4],
        ["rope.scaling.original_context_length", "u32", 512],
        ["rope.scaling.yarn_attn_factor", "f32", 1.1],
        ["rope.scaling.yarn_beta_fast", "f32", 32],
        ["rope.scaling.yarn_beta_slow", "f32", 1],
        ["rope.freq_base", "f32", 10000],
      ],
    ],
  ])("%s", (_, more, expected) => {
    expect(entriesOf(more)).toEqual([...before, ...expected, ...after]);
  });

  test("YaRN without the context it begins from is refused", () => {
    const rope_scaling = { type: "yarn", factor: 4 };
    expect(() => entriesOf({ rope_scaling })).toThrow(
      "There is no rope_scaling.original_max_position_embeddings.",
    );
  });

  test("a size of heads of its own", () => {
    expect(entriesOf({ head_dim: 32 })).toContainEqual(["attention.key_length", "u32", 32]);
    expect(entriesOf({ head_dim: 32 })).toContainEqual(["rope.dimension_count", "u32", 32]);
  });
});

test("what config.json leaves to the library is filled in", () => {
  const { rms_norm_eps, max_position_embeddings, num_key_value_heads, ...rest } = settings;
  const config = readConfig(new TextEncoder().encode(JSON.stringify(rest)), "config.json", llama.defaults);
  const entries = commonMetadata("llama", config, 32);
  expect(entries).toContainEqual({ key: "llama.attention.layer_norm_rms_epsilon", type: "f32", value: 1e-6 });
  expect(entries).toContainEqual({ key: "llama.context_length", type: "u32", value: 2048 });
  expect(sizesOf(config).keyValueHeads).toBe(4);
});

describe("tensors", () => {
  const named = (more: object) => llama.tensors(configOf(more)).map(({ to, optional }) => [to, optional]);

  test("the output may be missing only where it is the embedding", () => {
    expect(named({})).toContainEqual(["output.weight", false]);
    expect(named({ tie_word_embeddings: true })).toContainEqual(["output.weight", true]);
  });

  test("heads that do not divide the channels are refused", () => {
    expect(() => named({ num_attention_heads: 7 })).toThrow(
      "64 channels cannot be divided into 7 heads, and there is no head_dim.",
    );
    expect(() => named({ num_attention_heads: 0 })).toThrow("cannot be divided into 0 heads");
    expect(() => named({ head_dim: 4e9, rope_scaling: { type: "llama3" } })).toThrow(
      "Heads of 4000000000 channels are larger than any model's.",
    );
  });
});
