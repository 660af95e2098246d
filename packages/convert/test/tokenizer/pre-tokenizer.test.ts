// The patterns are facts about llama.cpp: it says itself whether they are right.
import type { MetadataEntry } from "@fewbit/core";
import { describe, expect, test } from "vitest";
import type { CheckStep } from "../../src/check/check-task.js";
import { fuzzCorpus } from "../../src/check/corpus.js";
import { createEncoder } from "../../src/tokenizer/encoder.js";
import { Json } from "../../src/tokenizer/json.js";
import { byteTokens, spelled } from "../../src/tokenizer/pre-tokenizer/bytes.js";
import { PROBE } from "../../src/tokenizer/pre-tokenizer/known.js";
import { preTokenizers } from "../../src/tokenizer/pre-tokenizer/patterns.js";
import { splitter } from "../../src/tokenizer/pre-tokenizer/split.js";
import { engine } from "../tiny/engine.js";
import { vocabularyFile } from "./files.js";
import { train } from "./train.js";

const texts = [...fuzzCorpus({ random: 40 }).flatMap((part) => part.texts), PROBE].filter(
  (text) => text !== "",
);

// Nothing keeps these merges from reaching across words: wherever a word ends, some token ends that would not.
const { merges, tokens } = train(
  texts.map((text) => [...spelled(text)]),
  1500,
);
const vocabulary = [...new Set([...byteTokens, ...tokens])];
const ids = new Map(vocabulary.map((token, id) => [token, id]));

const entries = (pre: string): MetadataEntry[] => [
  { key: "tokenizer.ggml.model", type: "string", value: "gpt2" },
  { key: "tokenizer.ggml.pre", type: "string", value: pre },
  { key: "tokenizer.ggml.tokens", type: "array<string>", value: vocabulary },
  { key: "tokenizer.ggml.token_type", type: "array<i32>", value: vocabulary.map(() => 1) },
  { key: "tokenizer.ggml.merges", type: "array<string>", value: merges.map((pair) => pair.join(" ")) },
  { key: "tokenizer.ggml.bos_token_id", type: "u32", value: 0 },
  { key: "tokenizer.ggml.eos_token_id", type: "u32", value: 0 },
];

async function engineIds(pre: string): Promise<(readonly number[])[]> {
  const all: (readonly number[])[] = [];
  const task = { url: new URL("../../src/check/check-task.js", import.meta.url).href };
  const input = { model: vocabularyFile(entries(pre)), texts, special: false, conversations: [] };
  for await (const step of engine.run<CheckStep>(task, input))
    if ("ids" in step) all.push(Array.from(step.ids));
  return all;
}

describe("each pre-tokenizer splits as llama.cpp does", () => {
  test.each(preTokenizers.map((each) => [each.names[0]!, each] as const))(
    "%s",
    async (name, preTokenizer) => {
      const encoder = createEncoder({
        root: new Json(
          {
            model: {
              type: "BPE",
              vocab: Object.fromEntries(ids),
              merges,
              ignore_merges: preTokenizer.ignoresMerges ?? false,
            },
          },
          "tokenizer.json",
        ),
        config: new Json(undefined, ""),
        map: new Json(undefined, ""),
        added: [],
      });
      const split = splitter(preTokenizer);
      const own = texts.map((text) => encoder.cut(split(text).map(spelled)).map((token) => ids.get(token)!));
      const engine = await engineIds(name);
      const differing = texts.flatMap((text, i) =>
        String(own[i]) === String(engine[i])
          ? []
          : [
              {
                text,
                own: own[i]!.map((id) => vocabulary[id]).join("|"),
                engine: engine[i]!.map((id) => vocabulary[id]).join("|"),
              },
            ],
      );
      expect(differing).toEqual([]);
    },
  );
});

test("the texts tell all pre-tokenizers apart but two, which are written differently and do the same", () => {
  const alike = new Map<string, string[]>();
  for (const each of preTokenizers) {
    const key = `${each.ignoresMerges ?? false} ${JSON.stringify(texts.map(splitter(each)))}`;
    alike.set(key, [...(alike.get(key) ?? []), each.names[0]!]);
  }
  expect([...alike.values()].filter((names) => names.length > 1)).toEqual([["qwen2", "bailingmoe"]]);
});
