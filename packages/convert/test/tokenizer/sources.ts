// Tokenizers of every kind, trained on the texts that they are then compared on.
import { fuzzCorpus } from "../../src/check/corpus.js";
import { byteTokens, spelled } from "../../src/tokenizer/pre-tokenizer/bytes.js";
import type { Piece } from "../../src/tokenizer/sentencepiece.js";
import type { Contents } from "./files.js";
import { train } from "./train.js";

const corpus = fuzzCorpus({ random: 0 }).flatMap((part) => part.texts);
const words = corpus.flatMap((text) => text.match(/ ?\S+|\s+/gu) ?? []);

const BYTES = Array.from(
  { length: 256 },
  (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`,
);

/** GPT-4's way to split, which Llama 3 and others took over. */
export const SPLIT =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

export const splitBy = (pattern: string): object => ({
  type: "Sequence",
  pretokenizers: [
    { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false },
    { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
  ],
});

/** Made at most once. */
const once = <T>(make: () => T): (() => T) => {
  let made: T | undefined;
  return () => {
    made ??= make();
    return made;
  };
};

const trainedBytes = once(() =>
  train(
    words.map((word) => [...spelled(word)]),
    400,
  ),
);
const trainedCharacters = once(() => train(escaped, 300));

const special = (id: number, content: string, more: object = {}) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
  ...more,
});

const around = (bos: string, id: number) => ({
  type: "TemplateProcessing",
  single: [{ SpecialToken: { id: bos, type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
  pair: [
    { SpecialToken: { id: bos, type_id: 0 } },
    { Sequence: { id: "A", type_id: 0 } },
    { Sequence: { id: "B", type_id: 1 } },
  ],
  special_tokens: { [bos]: { id: bos, ids: [id], tokens: [bos] } },
});

export interface ByteLevelOptions {
  readonly preTokenizer?: object;
  readonly pairs?: boolean;
  readonly model?: object;
  readonly root?: object;
}

/** Byte-level BPE with two tokens that users would add, and one that begins texts. */
export function byteLevel({
  preTokenizer,
  pairs = false,
  model = {},
  root = {},
}: ByteLevelOptions = {}): Contents {
  const { merges, tokens } = trainedBytes();
  const vocabulary = [...new Set([...byteTokens, ...tokens])];
  const bos = vocabulary.length;
  return {
    "config.json": { vocab_size: vocabulary.length + 8 },
    "tokenizer_config.json": { bos_token: "<|begin|>", eos_token: { content: "<|end|>" } },
    "tokenizer.json": {
      added_tokens: [
        special(bos, "<|begin|>"),
        special(bos + 1, "<|end|>"),
        special(bos + 3, "<tool>", { special: false }),
      ],
      normalizer: null,
      pre_tokenizer: preTokenizer ?? splitBy(SPLIT),
      post_processor: around("<|begin|>", bos),
      decoder: { type: "ByteLevel" },
      model: {
        type: "BPE",
        vocab: Object.fromEntries(vocabulary.map((token, id) => [token, id])),
        merges: pairs ? merges : merges.map((pair) => pair.join(" ")),
        ...model,
      },
      ...root,
    },
  };
}

/** llama.cpp ends a token where it holds a zero. */
const escaped = words.map((word) => [...word.replaceAll(" ", "\u2581").replaceAll("\0", "")]);

/** BPE of characters, bytes for those that the vocabulary lacks. */
function characters(): { readonly pieces: Piece[]; readonly merges: readonly (readonly [string, string])[] } {
  const { merges, tokens } = trainedCharacters();
  const frequent = new Set([..."\u2581abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,!'éя字"]);
  const made = new Map(merges.map((pair, rank) => [pair.join(""), -rank]));
  const texts = [...new Set([...tokens, ...frequent])];
  return {
    merges,
    pieces: [
      { text: "<unk>", score: 0, type: 2 },
      { text: "<s>", score: 0, type: 3 },
      { text: "</s>", score: 0, type: 3 },
      ...BYTES.map((text) => ({ text, score: 0, type: 6 })),
      ...texts.map((text, i) => ({ text, score: made.get(text) ?? -1000 - i, type: 1 })),
    ],
  };
}

const LLAMA_CONFIG = {
  add_bos_token: true,
  add_eos_token: false,
  bos_token: "<s>",
  eos_token: "</s>",
  unk_token: "<unk>",
};

const PREPEND = {
  type: "Sequence",
  normalizers: [
    { type: "Prepend", prepend: "\u2581" },
    { type: "Replace", pattern: { String: " " }, content: "\u2581" },
  ],
};

/** As Llama 2's tokenizer.json. */
export function characterLevel(): Contents {
  const { pieces, merges } = characters();
  return {
    "config.json": { vocab_size: pieces.length },
    "tokenizer_config.json": LLAMA_CONFIG,
    "tokenizer.json": {
      added_tokens: ["<unk>", "<s>", "</s>"].map((content, id) => special(id, content)),
      normalizer: PREPEND,
      pre_tokenizer: null,
      post_processor: around("<s>", 1),
      decoder: {
        type: "Sequence",
        decoders: [
          { type: "Replace", pattern: { String: "\u2581" }, content: " " },
          { type: "ByteFallback" },
          { type: "Fuse" },
        ],
      },
      model: {
        type: "BPE",
        unk_token: "<unk>",
        fuse_unk: true,
        byte_fallback: true,
        vocab: Object.fromEntries(pieces.map(({ text }, id) => [text, id])),
        merges,
      },
    },
  };
}

export const bpePieces = (): Piece[] => characters().pieces;

/** Pieces of a unigram model: the most frequent parts of words, and all characters. */
export function unigramPieces(): Piece[] {
  const counts = new Map<string, number>();
  for (const word of escaped)
    for (let from = 0; from < word.length; from++)
      for (let to = from + 1; to <= Math.min(word.length, from + 6); to++) {
        const part = word.slice(from, to).join("");
        if (!/[\n\r\t\u0000-\u001f]/.test(part)) counts.set(part, (counts.get(part) ?? 0) + 1);
      }
  const single = [...counts].filter(([part]) => [...part].length === 1);
  const longer = [...counts]
    .filter(([part, count]) => [...part].length > 1 && count > 2)
    .sort((a, b) => b[1] * b[0].length - a[1] * a[0].length)
    .slice(0, 400);
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  return [
    { text: "<pad>", score: 0, type: 3 },
    { text: "</s>", score: 0, type: 3 },
    { text: "<unk>", score: 0, type: 2 },
    ...[...single, ...longer].map(([text, count], i) => ({
      text,
      // No two of them alike, so that there is one best way.
      score: Math.fround(Math.log(count / total) - i * 1e-5),
      type: 1,
    })),
  ];
}

/** As T5's and XLM-R's tokenizer.json. */
export function unigram(): Contents {
  const pieces = unigramPieces();
  return {
    "config.json": { vocab_size: pieces.length },
    "tokenizer_config.json": { eos_token: "</s>", pad_token: "<pad>", unk_token: "<unk>" },
    "tokenizer.json": {
      added_tokens: ["<pad>", "</s>", "<unk>"].map((content, id) => special(id, content)),
      normalizer: {
        type: "Sequence",
        normalizers: [
          { type: "Replace", pattern: { Regex: "\\A +| +\\z" }, content: "" },
          { type: "Replace", pattern: { Regex: " {2,}" }, content: " " },
        ],
      },
      pre_tokenizer: { type: "Metaspace", replacement: "\u2581", prepend_scheme: "always", split: true },
      post_processor: {
        type: "TemplateProcessing",
        single: [{ Sequence: { id: "A", type_id: 0 } }, { SpecialToken: { id: "</s>", type_id: 0 } }],
        pair: [
          { Sequence: { id: "A", type_id: 0 } },
          { SpecialToken: { id: "</s>", type_id: 0 } },
          { Sequence: { id: "B", type_id: 1 } },
          { SpecialToken: { id: "</s>", type_id: 1 } },
        ],
        special_tokens: { "</s>": { id: "</s>", ids: [1], tokens: ["</s>"] } },
      },
      decoder: { type: "Metaspace", replacement: "\u2581", prepend_scheme: "always", split: true },
      model: {
        type: "Unigram",
        unk_id: 2,
        vocab: pieces.map(({ text, score }) => [text, score]),
        byte_fallback: false,
      },
    },
  };
}

/** As BERT's vocab.txt. */
export function wordList(): string {
  const plain = corpus.join(" ").normalize("NFD").toLowerCase();
  const letters = [...new Set(plain.match(/[^\s\p{M}\p{Cc}\p{Cf}\p{Cn}\p{Co}\p{P}\p{S}]/gu) ?? [])];
  const signs = [...new Set(plain.match(/[\p{P}\p{S}]/gu) ?? [])];
  const known = [...new Set(plain.match(/\p{L}{2,}/gu) ?? [])].slice(0, 200);
  const parts = ["ing", "ed", "s", "the", "an", "er", "ion"];
  const all = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    ...letters,
    ...letters.map((letter) => `##${letter}`),
    ...signs,
    ...known,
    ...parts.map((part) => `##${part}`),
  ];
  return `${[...new Set(all)].join("\n")}\n`;
}
