// Whatever becomes of a tokenizer's files on the way: an error of ours, or a tokenizer.
import { isFewbitError } from "@fewbit/core";
import { describe, test } from "vitest";
import { numbers } from "../tiny/random.js";
import { type Contents, inMemory, modelFile, read } from "./files.js";

const special = (id: number, content: string) => ({ id, content, special: true, normalized: false });
const template = {
  type: "TemplateProcessing",
  single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
  pair: [{ Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }],
  special_tokens: { "<s>": { id: "<s>", ids: [2], tokens: ["<s>"] } },
};
const files = (root: object): Contents => ({
  "config.json": { vocab_size: 6 },
  "tokenizer_config.json": {
    bos_token: "<s>",
    eos_token: { content: "<s>" },
    add_bos_token: true,
    added_tokens_decoder: { 2: special(2, "<s>") },
    chat_template: [{ name: "default", template: "{{ a }}" }],
    tokenizer_class: "LlamaTokenizer",
  },
  "tokenizer.json": { added_tokens: [special(2, "<s>")], post_processor: template, ...root },
});

const sources: Readonly<Record<string, Contents>> = {
  bytes: files({
    normalizer: { type: "Sequence", normalizers: [{ type: "NFC" }] },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: "\\p{N}" }, behavior: "Isolated", invert: false },
        { type: "ByteLevel", add_prefix_space: false, use_regex: true },
      ],
    },
    decoder: { type: "ByteLevel" },
    model: { type: "BPE", vocab: { a: 0, b: 1, ab: 3 }, merges: [["a", "b"], "a b"] },
  }),
  characters: files({
    normalizer: { type: "Prepend", prepend: "\u2581" },
    decoder: { type: "Sequence", decoders: [{ type: "ByteFallback" }] },
    model: {
      type: "BPE",
      vocab: { a: 0, b: 1, ab: 3 },
      merges: ["a b"],
      byte_fallback: true,
      unk_token: "a",
    },
  }),
  unigram: files({
    normalizer: { type: "Precompiled", precompiled_charsmap: "AAAAAA==" },
    pre_tokenizer: { type: "Metaspace", replacement: "\u2581", prepend_scheme: "always" },
    model: {
      type: "Unigram",
      unk_id: 0,
      vocab: [
        ["<unk>", 0],
        ["a", -1.5],
      ],
    },
  }),
  words: files({
    normalizer: { type: "BertNormalizer", lowercase: true },
    pre_tokenizer: { type: "BertPreTokenizer" },
    model: { type: "WordPiece", unk_token: "a", continuing_subword_prefix: "##", vocab: { a: 0, "##b": 1 } },
  }),
};

interface Place {
  readonly holder: Record<string, unknown>;
  readonly key: string;
}

/** Every value of a structure, with what holds it. */
function places(value: unknown): Place[] {
  if (typeof value !== "object" || value === null) return [];
  const holder = value as Record<string, unknown>;
  return Object.keys(holder).flatMap((key) => [{ holder, key }, ...places(holder[key])]);
}

const VALUES: readonly unknown[] = [
  -1,
  0.5,
  2 ** 53,
  1e300,
  true,
  null,
  "",
  "a",
  "\ud800",
  "ByteLevel",
  "Sequence",
  "Split",
  "Unigram",
  "__proto__",
  {},
  [],
  [[]],
  { type: "Split", pattern: { Regex: "[" } },
  { type: "Sequence", pretokenizers: null },
  { a: 0, b: "1" },
  ["a b", 1],
];

async function readsOrRefuses(contents: Contents, architecture: string): Promise<void> {
  try {
    await read(inMemory(contents), architecture, architecture === "gpt2" ? "gpt-2" : undefined);
  } catch (thrown) {
    if (!isFewbitError(thrown, "E_TOKENIZER", "E_PRETOKENIZER", "E_CHECKPOINT")) throw thrown;
  }
}

describe("files with a value that is another one", () => {
  test.each(Object.keys(sources))("%s", async (name) => {
    const next = numbers(name);
    const count = places(sources[name]).length;
    for (let run = 0; run < 250; run++) {
      const contents = structuredClone(sources[name]!) as Record<string, unknown>;
      const { holder, key } = places(contents)[next() % count]!;
      if (holder === contents) continue;
      holder[key] = structuredClone(VALUES[next() % VALUES.length]);
      await readsOrRefuses(contents as Contents, run % 25 === 0 ? "llama" : "gpt2");
    }
  });

  test("a tokenizer.model with other bytes", async () => {
    const next = numbers("model");
    const good = modelFile([
      { text: "<unk>", score: 0, type: 2 },
      { text: "a", score: -1, type: 1 },
      { text: "b", score: -2, type: 1 },
    ]);
    for (let run = 0; run < 500; run++) {
      const bytes = good.slice();
      for (let change = 0; change <= run % 4; change++) bytes[next() % bytes.length] = next() & 255;
      await readsOrRefuses({ "tokenizer.model": bytes }, "llama");
    }
  });
});
