// Tokens of the source's own tokenizer against those that llama.cpp makes with what was converted.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type MetadataEntry, memorySource } from "@fewbit/core";
import { openGguf } from "@fewbit/format-gguf";
import { describe, expect, test } from "vitest";
import { sharedFolder } from "../../../../tooling/golden.js";
import type { CheckStep } from "../../src/check/check-task.js";
import { checkTokenizer } from "../../src/check/index.js";
import type { CheckpointFiles } from "../../src/checkpoint.js";
import { definitionOfModel, readDefinition } from "../../src/tokenizer/definition.js";
import { createEncoder } from "../../src/tokenizer/encoder.js";
import { engine } from "../tiny/engine.js";
import { type Contents, entryValue, inFolder, inMemory, modelFile, read, vocabularyFile } from "./files.js";
import { bpePieces, byteLevel, characterLevel, unigram, unigramPieces, wordList } from "./sources.js";

async function compare(files: CheckpointFiles, architecture: string, random = 60) {
  const { entries } = await read(files, architecture);
  const model = vocabularyFile(entries, architecture);
  const checked = await checkTokenizer({ files, model, metadata: entries, engine, random });
  const reasons = new Map<string, number>();
  for (const { because, text } of checked.differences) {
    const key = because ?? `unexplained: ${JSON.stringify(text)}`;
    reasons.set(key, (reasons.get(key) ?? 0) + 1);
  }
  return { entries, checked, reasons: [...reasons.keys()].sort() };
}

const withModel = (file: Uint8Array, size: number, more: object = {}): Contents => ({
  "config.json": { vocab_size: size, bos_token_id: 1, eos_token_id: 2, ...more },
  "tokenizer.model": file,
});

describe("tokenizers of every kind are cut alike by llama.cpp", () => {
  test.each<[name: string, architecture: string, contents: () => Contents]>([
    ["byte-level BPE", "llama", () => byteLevel()],
    [
      "byte-level BPE with merges in pairs, which whole words ignore",
      "qwen2",
      () => byteLevel({ pairs: true, model: { ignore_merges: true } }),
    ],
    ["GPT-2's", "gpt2", () => byteLevel({ preTokenizer: { type: "ByteLevel", use_regex: true } })],
    [
      "StarCoder's, with single digits",
      "starcoder2",
      () =>
        byteLevel({
          preTokenizer: {
            type: "Sequence",
            pretokenizers: [
              { type: "Digits", individual_digits: true },
              { type: "ByteLevel", add_prefix_space: false, use_regex: true },
            ],
          },
        }),
    ],
    ["BPE of characters in a tokenizer.json", "llama", () => characterLevel()],
    ["BPE in a tokenizer.model", "llama", () => withModel(modelFile(bpePieces()), bpePieces().length + 5)],
  ])("%s", async (_, architecture, contents) => {
    const { checked, reasons } = await compare(inMemory(contents()), architecture);
    expect(reasons).toEqual([]);
    expect(checked.texts).toBeGreaterThan(450);
  });

  test("a unigram tokenizer.json, but for marks of spaces within texts", async () => {
    const { reasons } = await compare(inMemory(unigram()), "t5");
    expect(reasons.filter((reason) => !reason.startsWith("the source takes U+2581"))).toEqual([]);
  });

  test("a unigram tokenizer.model, but for texts of spaces only", async () => {
    const pieces = unigramPieces();
    const file = modelFile(pieces, { algorithm: "unigram" });
    const { reasons } = await compare(inMemory(withModel(file, pieces.length)), "llama");
    expect(reasons).toEqual(["llama.cpp puts no space before a text of spaces only"]);
  });

  test("WordPiece, but for what llama.cpp normalizes otherwise", async () => {
    const words = wordList();
    const { checked, reasons } = await compare(inMemory({ "vocab.txt": words }), "bert");
    expect(reasons.filter((reason) => reason.startsWith("unexplained"))).toEqual([]);
    const plain = checked.kinds.find(({ kind }) => kind === "random ASCII");
    expect(plain).toMatchObject({ texts: 60, differing: 0 });
  });
});

const shared = (name: string): string | undefined =>
  sharedFolder === undefined ? undefined : join(sharedFolder, name);

const folder = shared("vocab");
const vocabulary = async (name: string): Promise<readonly MetadataEntry[]> =>
  (
    await openGguf(memorySource(new Uint8Array(readFileSync(join(folder!, `${name}.gguf`)))), async () => {
      throw new Error("not split");
    })
  ).metadata;

/** Texts, and the tokens that llama.cpp's authors expect of them. */
function expected(name: string): { readonly text: string; readonly ids: string }[] {
  const inputs = readFileSync(join(folder!, `${name}.gguf.inp`), "utf8").split("\n__ggml_vocab_test__\n");
  const outputs = readFileSync(join(folder!, `${name}.gguf.out`), "utf8").split("\n");
  return inputs.map((text, i) => ({ text, ids: outputs[i]!.trim() }));
}

describe.skipIf(folder === undefined)("vocabularies of real models, taken apart into their files", () => {
  const value = (entries: readonly MetadataEntry[], key: string): unknown[] =>
    Array.from(entryValue(entries, key) as ArrayLike<unknown>);

  test("GPT-2: vocab.json and merges.txt", async () => {
    const original = await vocabulary("ggml-vocab-gpt-2");
    const tokens = value(original, "tokens") as string[];
    const files = inMemory({
      "config.json": { vocab_size: tokens.length, bos_token_id: 50256, eos_token_id: 50256 },
      "vocab.json": Object.fromEntries(tokens.map((token, id) => [token, id])),
      "merges.txt": `#version: 0.2\n${value(original, "merges").join("\n")}\n`,
    });
    const { entries, reasons } = await compare(files, "gpt2", 200);
    // Known by its hash: what the library makes of the probe is what the original makes of it.
    for (const key of ["model", "pre", "bos_token_id", "eos_token_id"])
      expect([key, entryValue(entries, key)]).toEqual([key, entryValue(original, key)]);
    for (const key of ["tokens", "token_type", "merges"])
      expect(value(entries, key)).toEqual(value(original, key));
    expect(reasons).toEqual([]);
    const encoder = createEncoder((await readDefinition(files))!);
    for (const { text, ids } of expected("ggml-vocab-gpt-2"))
      expect([text, encoder.encode(text).join(" ")]).toEqual([text, ids]);
  });

  test("Llama 2: tokenizer.model", async () => {
    const original = await vocabulary("ggml-vocab-llama-spm");
    const [tokens, scores, types] = ["tokens", "scores", "token_type"].map((key) => value(original, key));
    const pieces = tokens!.map((text, id) => ({
      text: text as string,
      score: scores![id] as number,
      type: types![id] as number,
    }));
    const files = inMemory(withModel(modelFile(pieces), pieces.length));
    const { entries, reasons } = await compare(files, "llama", 200);
    for (const key of ["tokens", "scores", "token_type"])
      expect(value(entries, key)).toEqual(value(original, key));
    expect(reasons).toEqual([]);
    const encoder = createEncoder((await definitionOfModel(files, "tokenizer.model"))!);
    for (const { text, ids } of expected("ggml-vocab-llama-spm"))
      expect([text, encoder.encode(text, false).join(" ")]).toEqual([text, ids]);
  });
});

const models = shared("models");

describe.skipIf(models === undefined)("real checkpoints", () => {
  test("stories260K", async () => {
    const { reasons } = await compare(inFolder(join(models!, "stories260K")), "llama", 200);
    expect(reasons).toEqual([]);
  });

  test("TinyStories-656K, which lacks tokens for bytes", async () => {
    const files = inFolder(join(models!, "TinyStories-656K"));
    const { entries, checked, reasons } = await compare(files, "llama", 200);
    expect(reasons).toEqual([
      "llama.cpp ends its process at characters that the vocabulary has neither as tokens nor as bytes",
      "the source looks for <unk> in normalized text only, llama.cpp anywhere",
      "the source looks for <|end_story|> in normalized text only, llama.cpp anywhere",
      "the source looks for <|start_story|> in normalized text only, llama.cpp anywhere",
    ]);
    const own = checked.differences.filter(({ kind }) => kind === "own tokens");
    expect(own.filter(({ because }) => !because?.startsWith("the source looks for <"))).toEqual([]);
    expect(entries.find(({ key }) => key === "tokenizer.ggml.scores")!.value).toContain(-1);
  });

  test("stories in the letters of TinyStories-656K, which merges among its tokens decide", async () => {
    const file = join(shared("texts")!, "tinystories_valid_30k.txt");
    expect(existsSync(file)).toBe(true);
    const files = inFolder(join(models!, "TinyStories-656K"));
    const { entries } = await read(files);
    const letters = new Set(
      (entryValue(entries, "tokens") as string[]).filter((token) => [...token].length === 1),
    );
    const stories = readFileSync(file, "utf8")
      .split("\n\n")
      .map((story) => [...story].filter((letter) => letter === " " || letters.has(letter)).join(""))
      .filter((story) => story !== "");
    const encoder = createEncoder((await readDefinition(files))!);
    const task = { url: new URL("../../src/check/check-task.js", import.meta.url).href };
    const input = { model: vocabularyFile(entries), texts: stories, special: true, conversations: [] };
    let i = 0;
    for await (const step of engine.run<CheckStep>(task, input))
      if ("ids" in step) expect([...step.ids].join(" ")).toBe(encoder.encode(stories[i++]!).join(" "));
    expect(i).toBe(stories.length);
  });
});
