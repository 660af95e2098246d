import type { Recipe } from "@fewbit/core";
import { expect, test } from "vitest";
import { pruneLayers } from "../src/prune.js";
import { recipes } from "../src/recipes.js";
import { model } from "./model.js";

const q4 = recipes.find(({ id }) => id === "Q4_K_M") as Recipe & {
  metadata: NonNullable<Recipe["metadata"]>;
};
const plain = model({ layers: 16 });
const importance = {
  tensors: new Map([
    ["blk.1.attn_q.weight", Float32Array.of(1)],
    ["blk.3.attn_q.weight", Float32Array.of(3)],
    ["output.weight", Float32Array.of(9)],
  ]),
  datasets: [],
  chunks: 0,
};

test("the layers after a pruned one move up, with their weights and importance", () => {
  const { model: pruned, importance: moved } = pruneLayers(plain, [3, 1], importance);
  const names = pruned.tensors.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(names.filter((name) => name.includes("attn_q"))).toEqual(
    Array.from({ length: 14 }, (_, i) => `blk.${i}.attn_q.weight`),
  );
  const at = (from: typeof plain, name: string) => from.tensors.findIndex((t) => t.name === name);
  expect({ ...pruned.tensors[at(pruned, "blk.1.attn_q.weight")], name: "" }).toEqual({
    ...plain.tensors[at(plain, "blk.2.attn_q.weight")],
    name: "",
  });
  expect(pruneLayers(plain, [1], importance).importance!.tensors).toEqual(
    new Map([
      ["blk.2.attn_q.weight", Float32Array.of(3)],
      ["output.weight", Float32Array.of(9)],
    ]),
  );
  expect(moved!.tensors).toEqual(new Map([["output.weight", Float32Array.of(9)]]));
});

test("the output's metadata counts the layers left, at its end", () => {
  const { model: pruned } = pruneLayers(plain, [0, 15]);
  const metadata = q4.metadata(pruned, { options: {}, importance: { ...importance, file: "m.gguf" } });
  expect(metadata.map(({ key }) => key).slice(-5)).toEqual([
    "general.quantization_version",
    "general.file_type",
    "quantize.imatrix.file",
    "quantize.imatrix.entries_count",
    "llama.block_count",
  ]);
  expect(metadata.at(-1)).toMatchObject({ type: "u32", value: 14 });
});

test("a mix goes on counting the layers that were there", () => {
  // 16 layers: the first eighth is two; of eight layers it would be one.
  const { model: pruned } = pruneLayers(plain, [8, 9, 10, 11, 12, 13, 14, 15]);
  const q4ks = recipes.find(({ id }) => id === "Q4_K_S")!;
  const downs = q4ks
    .assign(pruned, { options: {} })
    .filter(({ tensor }) => tensor.includes("ffn_down"))
    .map(({ scheme }) => scheme);
  expect(downs.slice(0, 4)).toEqual(["Q5_K", "Q5_K", "Q4_K", "Q4_K"]);
});

test("lists with a number per layer lose the pruned layers", () => {
  const perLayer = {
    ...plain,
    metadata: [
      ...plain.metadata,
      {
        key: "llama.feed_forward_length",
        type: "array<u32>",
        value: Uint32Array.from({ length: 16 }, (_, i) => i),
      },
    ],
  };
  const { model: pruned } = pruneLayers(perLayer, [2]);
  const entry = pruned.metadata.find(({ key }) => key === "llama.feed_forward_length")!;
  expect([...(entry.value as Uint32Array)]).toEqual([0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
  expect(entry.raw).toBeUndefined();
});

test("no layers, unknown layers, all layers", () => {
  expect(pruneLayers(plain, []).model).toBe(plain);
  expect(() => pruneLayers(plain, [16])).toThrow("The model has no layer 16; its layers are 0 to 15.");
  expect(() =>
    pruneLayers(
      plain,
      Array.from({ length: 16 }, (_, i) => i),
    ),
  ).toThrow("would remove every layer");
});
