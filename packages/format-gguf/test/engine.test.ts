import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ImportanceMatrix, MetadataEntry, Model } from "@fewbit/core";
import { openFile } from "@fewbit/core/node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { oracleFolder, oracleProcess } from "../../../tooling/oracle-file.js";
import { openGguf } from "../src/reader.js";
import { recipes } from "../src/recipes.js";
import { writer } from "../src/writer.js";
import { type Architecture, draft, model, storedTypes, tensor } from "./model.js";
import { type Comparison, headers, writeReference } from "./reference-file.js";

const u32 = (key: string, value: number): MetadataEntry => ({ key, type: "u32", value });
const f32 = (key: string, value: number): MetadataEntry => ({ key, type: "f32", value });

/** A model with two rows per matrix, which llama.cpp can open and quantize in no time. */
function thin(options: Architecture, more: readonly MetadataEntry[] = []): Model {
  const from = model(options);
  const key = (name: string): string => `${options.architecture ?? "llama"}.${name}`;
  return {
    ...from,
    metadata: [
      ...from.metadata,
      u32(key("context_length"), 128),
      u32(key("embedding_length"), 256),
      u32(key("feed_forward_length"), 256),
      f32(key("attention.layer_norm_rms_epsilon"), 1e-5),
      f32(key("attention.layer_norm_epsilon"), 1e-5),
      u32(key("vocab_size"), 256),
      ...more,
    ],
    tensors: from.tensors.map(({ name, shape, dtype }) =>
      shape.length === 1
        ? tensor(name, shape, dtype)
        : tensor(name, [...shape.slice(0, -2), 2, shape.at(-1)!], dtype),
    ),
  };
}

const models = {
  dense: thin({ layers: 9, heads: 8, keyValueHeads: 4 }),
  eightExperts: thin({ layers: 9, heads: 8, keyValueHeads: 2, experts: 8 }, [
    u32("llama.expert_used_count", 2),
  ]),
  falcon: thin({ architecture: "falcon", layers: 18, heads: 8, keyValueHeads: 1, fused: true }),
  narrow: thin({ layers: 8, heads: 6, keyValueHeads: 3, width: 96 }),
  narrower: thin({ layers: 4, heads: 6, keyValueHeads: 2, width: 48 }),
} satisfies Record<string, Model>;

/** Ones for every row of every matrix. */
const importanceOf = ({ tensors }: Model): ImportanceMatrix => ({
  tensors: new Map(
    tensors
      .filter(({ shape }) => shape.length > 1)
      .map(({ name, shape }) => {
        const experts = shape.length > 2 ? shape.at(-3)! : 1;
        return [name, new Float32Array(experts * shape.at(-1)!).fill(1)];
      }),
  ),
  datasets: [],
  chunks: 0,
});

describe.skipIf(oracleFolder === undefined)("headers are those of llama.cpp", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "fewbit-header-"));
    for (const [name, from] of Object.entries(models)) writeReference(join(folder, `${name}.gguf`), from);
  });
  const oracle = oracleProcess();
  afterAll(() => {
    oracle.close();
    rmSync(folder, { recursive: true });
  });

  const choices: Comparison = {
    options: {
      leaveOutputTensor: true,
      tokenEmbeddingType: "Q8_0",
      tensorTypes: [
        { pattern: "blk\\.[02]\\.ffn_down", scheme: "Q5_K" },
        { pattern: "attn_(k|v)", scheme: "Q8_0" },
      ],
    },
    overrides: [
      { key: "llama.context_length", type: "u32", value: 4096 },
      { key: "general.name", type: "string", value: "Ours" },
      { key: "llama.some.scale", type: "f32", value: 0.25 },
      { key: "tokenizer.ggml.add_bos_token", type: "bool", value: true },
    ],
  };

  test.each<[keyof typeof models, string, string, Comparison]>([
    ["dense", "COPY", "as it is", {}],
    ["dense", "Q4_K_M", "with choices of the user", choices],
    ["dense", "Q5_K_M", "as one type", { options: { pure: true, outputTensorType: "Q6_K" } }],
    [
      "dense",
      "Q4_K_S",
      "without three of its layers",
      { prune: [1, 4, 8], importance: importanceOf(models.dense) },
    ],
    ["dense", "IQ4_XS", "with importance", { importance: importanceOf(models.dense) }],
    ["eightExperts", "Q3_K_M", "", {}],
    ["eightExperts", "IQ2_S", "with importance", { importance: importanceOf(models.eightExperts) }],
    ["eightExperts", "MXFP4_MOE", "", {}],
    ["falcon", "Q4_K_M", "", {}],
    ["narrow", "Q4_K_M", "", {}],
    ["narrower", "Q4_0", "", {}],
  ])(
    "%s %s %s",
    async (name, recipe, _, comparison) => {
      const { ours, theirs, log } = await headers(oracle, join(folder, `${name}.gguf`), recipe, comparison);
      if (theirs === undefined) throw new Error(log);
      expect(theirs.subarray(0, ours.header.length)).toEqual(ours.header);
      expect(theirs.length).toBe(ours.size);
    },
    180_000,
  );

  test("of every shard where the split is kept", async () => {
    const dense = models.dense;
    const split: Model = {
      ...dense,
      files: [...dense.files, ...dense.files],
      tensors: dense.tensors.map((t, i) => ({ ...t, file: i < 20 ? 0 : 1 })),
    };
    const [first, second] = writeReference(join(folder, "split.gguf"), split) as [string, string];
    const sources = await Promise.all([openFile(first), openFile(second)]);
    const read = await openGguf(sources[0]!, async () => sources[1]!);
    const context = { options: { keepSplit: true } };
    const recipe = recipes.find(({ id }) => id === "Q4_K_M")!;
    const types = storedTypes(read, recipe.assign(read, context));
    const at = new Map(read.tensors.map((t) => [t.name, t]));
    const ordered = { ...read, tensors: [...types.keys()].map((name) => at.get(name)!) };
    const ours = writer.layout(
      draft(ordered, recipe.metadata!(read, context), (name) => types.get(name)!),
    ).files;

    const out = join(folder, "split-out");
    const { ok, log } = await oracle.quantize(first, out, "Q4_K_M", { threads: 1, keepSplit: true });
    if (!ok) throw new Error(log);
    writer.fileNames(`${out}.gguf`, 2).forEach((name, file) => {
      const theirs = new Uint8Array(readFileSync(name));
      expect(theirs.subarray(0, ours[file]!.header.length)).toEqual(ours[file]!.header);
      expect(theirs.length).toBe(ours[file]!.size);
    });
    await Promise.all(sources.map((source) => source.close()));
  }, 180_000);
});
