import { describe, expect, test } from "vitest";
import { countWeights, parseModelId, sizeLabel, titleOf } from "../src/model-id.js";

// What llama.cpp's gguf-py makes of each name.
describe("a model's name, taken apart", () => {
  test.each<[string, number, (string | undefined)[]]>([
    [
      "meta-llama/Llama-3.2-1B-Instruct",
      1235814400,
      ["Llama-3.2-1B-Instruct", "meta-llama", "Llama-3.2", "Instruct", undefined, "1B"],
    ],
    [
      "mistralai/Mixtral-8x7B-Instruct-v0.1",
      46702792704,
      ["Mixtral-8x7B-Instruct-v0.1", "mistralai", "Mixtral", "Instruct", "v0.1", "8x7B"],
    ],
    [
      "Qwen/Qwen1.5-MoE-A2.7B-Chat",
      14315784192,
      ["Qwen1.5-MoE-A2.7B-Chat", "Qwen", "Qwen1.5-MoE", "Chat", undefined, "A2.7B"],
    ],
    [
      "microsoft/Phi-3-mini-128k-instruct",
      3821079552,
      ["Phi-3-mini-128k-instruct", "microsoft", "Phi-3", "128k-instruct", undefined, "mini"],
    ],
    [
      "bigscience/bloom-7b1-petals",
      7069016064,
      ["bloom-7b1-petals", "bigscience", "bloom", "petals", undefined, "7.1B"],
    ],
    ["Yi-1.5-9B-32K", 8829407232, ["Yi-1.5-9B-32K", undefined, "Yi-1.5", "32k", undefined, "9B"]],
    ["ORG/llama-fp16-large-2B", 2e9, ["llama-fp16-large-2B", "ORG", "llama", "large", undefined, "2B"]],
    ["bge-small-en-v1.5", 33360000, ["bge-small-en-v1.5", undefined, "bge", "en", "v1.5", "small"]],
    ["x-7B-7B-lora", 7e9, ["x-7B-7B-lora", undefined, "x", "lora", undefined, "7B"]],
    ["Meta-Llama-3-70b", 0, ["Meta-Llama-3-70b", undefined, "Meta-Llama-3", undefined, undefined, "70B"]],
    ["stories260K", 260032, ["stories260K", undefined, undefined, undefined, undefined, undefined]],
    ["./x/y-7b", 7e9, ["x/y-7b", undefined, "x/y", undefined, undefined, "7B"]],
    ["A model of mine", 5, ["A model of mine", undefined, undefined, undefined, undefined, undefined]],
    ["--a--b--", 100, ["--a--b--", undefined, undefined, undefined, undefined, undefined]],
  ])("%s of %d weights", (id, weights, expected) => {
    const { name, organization, basename, finetune, version, sizeLabel } = parseModelId(id, weights);
    expect([name, organization, basename, finetune, version, sizeLabel]).toEqual(expected);
  });
});

test.each([
  ["tiny-stories-v2", "Tiny Stories v2"],
  ["Llama-3.2-1B-Instruct", "Llama 3.2 1B Instruct"],
  ["gpt2-large", "Gpt2 Large"],
  ["tiny_xl-7b", "Tiny_Xl 7b"],
  ["", ""],
])("%j as a title is %j", (id, title) => {
  expect(titleOf(id)).toBe(title);
});

test.each([
  [0, "0.00K"],
  [500, "0.50K"],
  [999, "1.0K"],
  [10_500, "10K"],
  [12_500, "12K"],
  [260_032, "260K"],
  [999_999, "1000K"],
  [1_000_001, "1.0M"],
  [99_500_000, "100M"],
  [1_235_814_400, "1.2B"],
  [12_500_000_000, "12B"],
  [1e12 + 1, "1.0T"],
])("%d weights are labelled %s", (total, label) => {
  expect(sizeLabel({ total, shared: total, expert: 0, experts: 0 })).toBe(label);
});

test("experts are counted once, and named", () => {
  const weights = countWeights([
    { name: "token_embd.weight", shape: [1000, 100] },
    { name: "blk.0.ffn_up_exps.weight", shape: [8, 1000, 1000] },
    { name: "blk.0.ffn_up_exps.bias", shape: [8, 1000] },
    { name: "blk.1.ffn_up_exps.weight", shape: [8, 1000, 1000] },
  ]);
  expect(weights).toEqual({ total: 16_108_000, shared: 108_000, expert: 2_000_000, experts: 8 });
  expect(sizeLabel(weights)).toBe("8x2.1M");
});
