// Settings that a family's GGUF form has no place for are refused, not lost; and what stands where they are absent.
import { createRegistry, isFewbitError } from "@fewbit/core";
import { describe, expect, test } from "vitest";
import { commonMetadata } from "../src/common-metadata.js";
import { readConfig } from "../src/config.js";
import plugin from "../src/index.js";
import { poolingMetadata } from "../src/pooling.js";
import { models } from "./tiny/models.js";

const registry = createRegistry([plugin]);

/** The settings of a tiny model, changed. */
function settingsOf(name: string, more: object) {
  const { config } = models.find((each) => each.name === name)!;
  const settings = { ...config, ...more };
  const [className] = settings.architectures as string[];
  const { value: architecture } = registry.architecture(className!);
  return {
    architecture,
    config: readConfig(
      new TextEncoder().encode(JSON.stringify(settings)),
      "config.json",
      architecture.defaults,
    ),
  };
}

function refusal(run: () => unknown): { message: string; key: unknown } {
  try {
    run();
  } catch (thrown) {
    if (!isFewbitError(thrown, "E_CHECKPOINT")) throw thrown;
    return { message: thrown.message, key: thrown.at.key };
  }
  throw new Error("not refused");
}

test.each<[string, string, object, string, string]>([
  [
    "shares of experts that llama.cpp takes otherwise",
    "qwen2-moe",
    { norm_topk_prob: true },
    "norm_topk_prob",
    "The model wants the shares of experts computed otherwise than llama.cpp does, which takes them as they are.",
  ],
  [
    "shares of experts that it divides",
    "qwen3-moe",
    { norm_topk_prob: false },
    "norm_topk_prob",
    "The model wants the shares of experts computed otherwise than llama.cpp does, which takes them divided by their sum.",
  ],
  [
    "layers without experts",
    "qwen3-moe",
    { mlp_only_layers: [0] },
    "mlp_only_layers",
    "There are layers without experts: 0.",
  ],
  [
    "experts in some layers",
    "qwen2-moe",
    { decoder_sparse_step: 2 },
    "decoder_sparse_step",
    "Only one layer of 2 has experts.",
  ],
  [
    "no heads of keys and values",
    "llama-3",
    { num_key_value_heads: 0 },
    "num_key_value_heads",
    "4 heads cannot share 0 heads of keys and values evenly.",
  ],
  [
    "heads of keys and values that do not divide the others",
    "qwen3",
    { num_key_value_heads: 3 },
    "num_key_value_heads",
    "4 heads cannot share 3 heads of keys and values evenly.",
  ],
  [
    "another scale of attention",
    "gemma-2",
    { query_pre_attn_scalar: 16 },
    "query_pre_attn_scalar",
    "The model divides attention scores by the root of 16; llama.cpp would by that of 32.",
  ],
  [
    "bent attention scores",
    "gemma-3",
    { attn_logit_softcapping: 50 },
    "attn_logit_softcapping",
    "The model bends its attention scores, which llama.cpp does not do in this family.",
  ],
  [
    "factors that are not one for each pair",
    "phi-3-long",
    { rope_scaling: { type: "longrope", long_factor: [1, 2], short_factor: [1, 1] } },
    "rope_scaling.long_factor",
    "long_factor has 2 numbers; the 8 pairs of a head want one each.",
  ],
  [
    "factors of another kind",
    "phi-3-long",
    { rope_scaling: { type: "spiral", long_factor: Array(8).fill(1), short_factor: Array(8).fill(1) } },
    "rope_scaling.type",
    'Factors for long texts are not known of the type "spiral".',
  ],
])("refuses %s", (_, name, more, key, message) => {
  const { architecture, config } = settingsOf(name, more);
  expect(refusal(() => architecture.tensors(config))).toEqual({ key, message });
});

describe("entries", () => {
  const valuesOf = (name: string, more: object, ...keys: string[]): unknown[] => {
    const { architecture, config } = settingsOf(name, more);
    const common = commonMetadata(architecture.id, config, 0);
    const entries = architecture.metadata?.(config, common) ?? common;
    return keys.map((key) => entries.find((entry) => entry.key === `${architecture.id}.${key}`)?.value);
  };

  test("of Gemma 3 stand where its published settings are silent", () => {
    const silent = Object.fromEntries(
      ["num_attention_heads", "num_key_value_heads", "head_dim", "rope_theta", "rope_local_base_freq"].map(
        (key) => [key, null],
      ),
    );
    expect(
      valuesOf(
        "gemma-3",
        silent,
        "attention.head_count",
        "attention.head_count_kv",
        "attention.key_length",
        "rope.freq_base",
        "rope.freq_base_swa",
      ),
    ).toEqual([8, 4, 256, 1_000_000, 10_000]);
  });

  test("of Gemma 3 have no window where no layer slides", () => {
    expect(valuesOf("gemma-3", { sliding_window_pattern: 1 }, "attention.sliding_window")).toEqual([
      undefined,
    ]);
  });

  test("say which layers slide only where llama.cpp would not know", () => {
    const key = "attention.sliding_window_pattern";
    const types = ["full_attention", "sliding_attention"];
    expect(valuesOf("gemma-2", { layer_types: [...types].reverse() }, key)).toEqual([undefined]);
    expect(valuesOf("gemma-2", { layer_types: types }, key)).toEqual([[false, true]]);
  });

  test("of Phi-3 have the factor of attention for long texts", () => {
    const scaling = { long_factor: Array(8).fill(2), short_factor: Array(8).fill(1) };
    const factor = (type: string) =>
      valuesOf(
        "phi-3-long",
        {
          max_position_embeddings: 131072,
          original_max_position_embeddings: 4096,
          rope_scaling: { ...scaling, type },
        },
        "rope.scaling.attn_factor",
      )[0];
    expect(factor("longrope")).toBeCloseTo(1.1902380714238083, 12);
    expect(factor("yarn")).toBeCloseTo(0.1 * Math.log(32) + 1, 12);
  });
});

describe("pooling", () => {
  const filesOf = (modules: unknown, pooling: unknown) => ({
    path: (name: string) => name,
    read: async (name: string) => {
      const content =
        name === "modules.json" ? modules : name === "1_Pooling/config.json" ? pooling : undefined;
      return content === undefined ? undefined : new TextEncoder().encode(JSON.stringify(content));
    },
  });
  const modules = [{ type: "sentence_transformers.models.Pooling", path: "1_Pooling" }];

  test.each<[string, object, number]>([
    ["the mean", { pooling_mode_mean_tokens: true }, 1],
    ["the first token", { pooling_mode_cls_token: true }, 2],
    ["the last token", { pooling_mode_lasttoken: true }, 3],
    ["a mode by its name", { pooling_mode: "cls" }, 2],
  ])("takes %s", async (_, pooling, value) => {
    expect(await poolingMetadata(filesOf(modules, pooling), "bert")).toEqual([
      { key: "bert.pooling_type", type: "u32", value },
    ]);
  });

  test("is not said where there are no modules, or they lie elsewhere", async () => {
    expect(await poolingMetadata(filesOf(undefined, {}), "bert")).toEqual([]);
    const elsewhere = [{ type: "Pooling", path: "../1_Pooling" }];
    expect(await poolingMetadata(filesOf(elsewhere, { pooling_mode: "mean" }), "bert")).toEqual([]);
  });

  test("refuses what llama.cpp does not know", async () => {
    await expect(
      poolingMetadata(filesOf(modules, { pooling_mode_max_tokens: true }), "bert"),
    ).rejects.toMatchObject({
      code: "E_CHECKPOINT",
      message:
        "The model pools the vectors of a text in a way that llama.cpp does not know; it knows the mean, the first and the last.",
      at: { file: "1_Pooling/config.json" },
    });
  });
});
