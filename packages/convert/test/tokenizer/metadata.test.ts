// What is written, entry by entry, against what llama.cpp's converter writes for the same files.
import { describe, expect, test } from "vitest";
import { type Contents, entryValue, inMemory, modelFile, read } from "./files.js";
import { byteLevel, characterLevel, unigram } from "./sources.js";

const plain = (entries: Awaited<ReturnType<typeof read>>["entries"]): unknown[][] =>
  entries.map(({ key, type, value }) => [
    key,
    type,
    Array.isArray(value) || ArrayBuffer.isView(value) ? (value as unknown[]).length : value,
  ]);

const TINY = {
  type: "BPE",
  vocab: { a: 0, b: 1, Ġ: 2, ab: 3, Ġa: 5 },
  merges: ["a b", ["Ġ", "a"]],
};
const special = (id: number, content: string, more: object = {}) => ({
  id,
  content,
  special: true,
  normalized: false,
  ...more,
});
const byteFiles = (root: object, config: object = {}, settings: object = {}): Contents => ({
  "config.json": { vocab_size: 10, ...settings },
  "tokenizer_config.json": config,
  "tokenizer.json": { model: TINY, decoder: { type: "ByteLevel" }, added_tokens: [], ...root },
});
const bytes = (root: object, config: object = {}, settings: object = {}) =>
  read(inMemory(byteFiles(root, config, settings)), "llama", "gpt-2");

const single = (first: string | undefined, last?: string): object => ({
  type: "TemplateProcessing",
  single: [first, "A", last]
    .filter((each) => each !== undefined)
    .map((each) =>
      each === "A" ? { Sequence: { id: "A", type_id: 0 } } : { SpecialToken: { id: each, type_id: 0 } },
    ),
  pair: [],
  special_tokens: {},
});

test("byte-level BPE, in the converter's order and types", async () => {
  const { entries, vocabulary } = await read(inMemory(byteLevel()));
  expect(plain(entries)).toEqual([
    ["tokenizer.ggml.model", "string", "gpt2"],
    ["tokenizer.ggml.pre", "string", "smaug-bpe"],
    ["tokenizer.ggml.tokens", "array<string>", vocabulary],
    ["tokenizer.ggml.token_type", "array<i32>", vocabulary],
    ["tokenizer.ggml.merges", "array<string>", 400],
    ["tokenizer.ggml.bos_token_id", "u32", vocabulary - 8],
    ["tokenizer.ggml.eos_token_id", "u32", vocabulary - 7],
    ["tokenizer.ggml.add_bos_token", "bool", true],
  ]);
  const tokens = entryValue(entries, "tokens") as string[];
  const types = entryValue(entries, "token_type") as number[];
  expect(tokens.slice(-8)).toEqual([
    "<|begin|>",
    "<|end|>",
    `[PAD${vocabulary - 6}]`,
    "<tool>",
    ...[4, 3, 2, 1].map((back) => `[PAD${vocabulary - back}]`),
  ]);
  expect(types.slice(-9)).toEqual([1, 3, 3, 5, 4, 5, 5, 5, 5]);
});

test("numbers that no token has are filled, merges have one form", async () => {
  const { entries } = await bytes({
    added_tokens: [special(7, "<x>"), { id: 8, content: "<|y|>", special: false }],
  });
  expect(entryValue(entries, "tokens")).toEqual([
    "a",
    "b",
    "Ġ",
    "ab",
    "[PAD4]",
    "Ġa",
    "[PAD6]",
    "<x>",
    "<|y|>",
    "[PAD9]",
  ]);
  // <|y|> looks like a token that steers.
  expect(entryValue(entries, "token_type")).toEqual([1, 1, 1, 1, 5, 1, 5, 3, 3, 5]);
  expect(entryValue(entries, "merges")).toEqual(["a b", "Ġ a"]);
});

test("a token of blanks that was added is spelled as in texts", async () => {
  const { entries } = await bytes({
    added_tokens: [
      { id: 6, content: "\u2581\u2581", special: false, normalized: true },
      special(7, "<unused3>"),
    ],
  });
  expect((entryValue(entries, "tokens") as string[]).slice(6, 8)).toEqual(["  ", "<unused3>"]);
  expect((entryValue(entries, "token_type") as number[]).slice(6, 8)).toEqual([4, 3]);
});

describe("tokens that begin and end texts", () => {
  const added = [special(6, "<s>"), special(7, "</s>"), special(8, "<eot>")];
  const flags = (result: Awaited<ReturnType<typeof read>>): Record<string, unknown> =>
    Object.fromEntries(
      result.entries
        .filter(({ key }) => /_token_id$|add_.*_token$/.test(key))
        .map(({ key, value }) => [key.replace("tokenizer.ggml.", ""), value]),
    );

  test("by a template", async () => {
    expect(
      flags(
        await bytes(
          { added_tokens: added, post_processor: single("<s>") },
          { bos_token: "<s>", eos_token: "</s>" },
        ),
      ),
    ).toEqual({ bos_token_id: 6, eos_token_id: 7, add_bos_token: true });
  });

  test("by a template that names what the settings do not", async () => {
    expect(
      flags(
        await bytes({ added_tokens: added, post_processor: single("<s>", "</s>") }, { pad_token: "<eot>" }),
      ),
    ).toEqual({
      bos_token_id: 6,
      eos_token_id: 7,
      padding_token_id: 8,
      add_bos_token: true,
      add_eos_token: true,
    });
  });

  test("a template that ends with another token than the settings: theirs ends turns", async () => {
    expect(
      flags(
        await bytes(
          { added_tokens: added, post_processor: single("<s>", "</s>") },
          { bos_token: "<s>", eos_token: { content: "<eot>" } },
        ),
      ),
    ).toEqual({
      bos_token_id: 6,
      eos_token_id: 7,
      eot_token_id: 8,
      add_bos_token: true,
      add_eos_token: true,
    });
  });

  test("settings count before the template, config.json last", async () => {
    expect(
      flags(
        await bytes(
          { added_tokens: added, post_processor: single("<s>") },
          { bos_token: "<s>", add_bos_token: false, add_eos_token: true },
          { bos_token_id: 1, eos_token_id: [7, 8], pad_token_id: 8 },
        ),
      ),
    ).toEqual({ bos_token_id: 6, padding_token_id: 8, add_bos_token: false, add_eos_token: true });
  });

  test("RoBERTa's, within a sequence", async () => {
    const roberta = { type: "RobertaProcessing", cls: ["<s>", 6], sep: ["</s>", 7] };
    expect(
      flags(
        await bytes(
          {
            added_tokens: added,
            post_processor: { type: "Sequence", processors: [{ type: "ByteLevel" }, roberta] },
          },
          { bos_token: "<s>", eos_token: "</s>" },
        ),
      ),
    ).toEqual({
      bos_token_id: 6,
      eos_token_id: 7,
      seperator_token_id: 7,
      add_bos_token: true,
      add_eos_token: true,
      add_sep_token: true,
    });
  });

  test("a pair with a separator between its texts", async () => {
    const part = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
    const text = (id: string) => ({ Sequence: { id, type_id: 0 } });
    const pairs = {
      type: "TemplateProcessing",
      single: [part("<s>"), text("A"), part("</s>")],
      pair: [part("<s>"), text("A"), part("</s>"), part("</s>"), text("B"), part("</s>")],
      special_tokens: {},
    };
    expect(
      flags(
        await bytes({ added_tokens: added, post_processor: pairs }, { bos_token: "<s>", eos_token: "</s>" }),
      ),
    ).toMatchObject({ add_bos_token: true, add_eos_token: true, add_sep_token: true, seperator_token_id: 7 });
  });
});

describe("chat templates", () => {
  const templates = async (contents: Contents): Promise<unknown[][]> =>
    plain((await read(inMemory({ ...byteFiles({}), ...contents }), "llama", "gpt-2")).entries).filter(
      ([key]) => String(key).includes("chat"),
    );

  test("in the settings, before files of their own", async () => {
    expect(
      await templates({
        "tokenizer_config.json": { chat_template: "{{ a }}" },
        "chat_template.jinja": "{{ b }}",
      }),
    ).toEqual([["tokenizer.chat_template", "string", "{{ a }}"]]);
  });

  test("in files of their own", async () => {
    expect(await templates({ "chat_template.jinja": "{{ b }}", "chat_template.json": {} })).toEqual([
      ["tokenizer.chat_template", "string", "{{ b }}"],
    ]);
    expect(await templates({ "chat_template.json": { chat_template: "{{ c }}" } })).toEqual([
      ["tokenizer.chat_template", "string", "{{ c }}"],
    ]);
  });

  test("several, with names", async () => {
    const named = [
      { name: "tool use", template: "t" },
      { name: "default", template: "d" },
      { name: "rag", template: "r" },
    ];
    expect(await templates({ "tokenizer_config.json": { chat_template: named } })).toEqual([
      ["tokenizer.chat_template.tool_use", "string", "t"],
      ["tokenizer.chat_template.rag", "string", "r"],
      ["tokenizer.chat_templates", "array<string>", 2],
      ["tokenizer.chat_template", "string", "d"],
    ]);
  });
});

describe("SentencePiece", () => {
  const pieces = [
    { text: "<unk>", score: 0, type: 2 },
    { text: "<s>", score: 0, type: 3 },
    { text: "</s>", score: 0, type: 3 },
    { text: "<0x0A>", score: 0, type: 6 },
    { text: "\u2581a", score: -1.5, type: 1 },
    { text: "x", score: -2, type: 4 },
    { text: "left", score: -3, type: 5 },
  ];

  test("pieces, scores and types, with tokens that other files add", async () => {
    const { entries, warnings } = await read(
      inMemory({
        "config.json": { vocab_size: 11, bos_token_id: 1, eos_token_id: 2, pad_token_id: 99 },
        "tokenizer.model": modelFile(pieces),
        "added_tokens.json": { "<mine>": 7, beyond: 12 },
        "tokenizer_config.json": {
          add_bos_token: true,
          added_tokens_decoder: {
            8: { content: "<|im|>", special: false },
            9: { content: "\u2581my\u2581own", special: false },
            0: { content: "<unk>", special: true },
          },
        },
      }),
    );
    expect(plain(entries)).toEqual([
      ["tokenizer.ggml.model", "string", "llama"],
      ["tokenizer.ggml.pre", "string", "default"],
      ["tokenizer.ggml.tokens", "array<string>", 11],
      ["tokenizer.ggml.scores", "array<f32>", 11],
      ["tokenizer.ggml.token_type", "array<i32>", 11],
      ["tokenizer.ggml.bos_token_id", "u32", 1],
      ["tokenizer.ggml.eos_token_id", "u32", 2],
      ["tokenizer.ggml.add_bos_token", "bool", true],
    ]);
    expect(entryValue(entries, "tokens")).toEqual([
      ...pieces.map(({ text }) => text),
      "<mine>",
      "<|im|>",
      " my own",
      "[PAD10]",
    ]);
    expect(entryValue(entries, "token_type")).toEqual([3, 3, 3, 6, 1, 1, 5, 4, 3, 4, 5]);
    expect(entryValue(entries, "scores")).toEqual([
      -1000, 0, 0, 0, -1.5, -2, -3, -1000, -1000, -1000, -10000,
    ]);
    expect(warnings).toEqual([
      "Token 12 is beyond the 11 tokens that config.json gives to the model, and left out.",
      "config.json: pad_token_id is 99; the vocabulary has 11 tokens, so it is left out.",
    ]);
  });

  test("a tokenizer.json of characters: scores that follow from the merges", async () => {
    const { entries } = await read(inMemory(characterLevel()));
    const tokens = entryValue(entries, "tokens") as string[];
    const scores = entryValue(entries, "scores") as number[];
    const merges = (characterLevel()["tokenizer.json"] as { model: { merges: [string, string][] } }).model
      .merges;
    for (const [rank, pair] of merges.slice(0, 20).entries())
      expect(scores[tokens.indexOf(pair.join(""))]).toBe(-rank - 1);
    expect(entryValue(entries, "add_space_prefix")).toBeUndefined();
  });

  test("added tokens within the vocabulary of a tokenizer.json are looked for as a whole", async () => {
    const contents = characterLevel();
    const root = contents["tokenizer.json"] as {
      readonly added_tokens: readonly object[];
      readonly model: { readonly vocab: Readonly<Record<string, number>> };
    };
    const added = [
      { id: 260, content: "\u2581zq", special: false },
      { id: 261, content: "<unused1>", special: false },
    ];
    const vocab = Object.fromEntries(
      Object.entries(root.model.vocab).map(([token, id]) => [
        added.find((each) => each.id === id)?.content ?? token,
        id,
      ]),
    );
    const { entries } = await read(
      inMemory({
        ...contents,
        "tokenizer.json": {
          ...root,
          added_tokens: [...root.added_tokens, ...added],
          model: { ...root.model, vocab },
        },
      }),
    );
    expect((entryValue(entries, "tokens") as string[]).slice(260, 262)).toEqual([" zq", "<unused1>"]);
    expect((entryValue(entries, "token_type") as number[]).slice(260, 262)).toEqual([4, 3]);
  });

  test("Phi-3's added tokens are those of tokenizer.json", async () => {
    const { entries } = await read(
      inMemory({
        "config.json": { vocab_size: 9 },
        "tokenizer.model": modelFile(pieces),
        "tokenizer_config.json": { tokenizer_class: "LlamaTokenizer" },
        "tokenizer.json": {
          model: TINY,
          added_tokens: [special(7, "<|user|>"), { id: 8, content: "\u2581<|odd|>", special: false }],
        },
      }),
      "phi3",
    );
    expect((entryValue(entries, "tokens") as string[]).slice(7)).toEqual(["<|user|>", "\u2581<|odd|>"]);
    expect((entryValue(entries, "token_type") as number[]).slice(7)).toEqual([3, 4]);
  });

  test("unigram: rules of the normalizer, and what llama.cpp would take otherwise", async () => {
    const contents = unigram();
    const root = contents["tokenizer.json"] as object;
    const { entries } = await read(
      inMemory({
        ...contents,
        "tokenizer.json": {
          ...root,
          normalizer: { type: "Precompiled", precompiled_charsmap: btoa("rules") },
        },
      }),
      "t5",
    );
    expect(plain(entries).slice(5)).toEqual([
      ["tokenizer.ggml.add_space_prefix", "bool", true],
      ["tokenizer.ggml.remove_extra_whitespaces", "bool", false],
      ["tokenizer.ggml.precompiled_charsmap", "array<u8>", 5],
      ["tokenizer.ggml.eos_token_id", "u32", 1],
      ["tokenizer.ggml.unknown_token_id", "u32", 2],
      ["tokenizer.ggml.padding_token_id", "u32", 0],
      ["tokenizer.ggml.add_eos_token", "bool", true],
      ["tokenizer.ggml.add_sep_token", "bool", false],
      ["tokenizer.ggml.add_bos_token", "bool", false],
    ]);
  });
});

test("WordPiece: words are marked where they begin", async () => {
  const { entries } = await read(
    inMemory({
      "vocab.txt": "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\n##s\n,\n",
      "config.json": { vocab_size: 9 },
    }),
    "bert",
  );
  expect(entryValue(entries, "tokens")).toEqual([
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "\u2581the",
    "s",
    "\u2581,",
    "\u2581[PAD8]",
  ]);
  expect(entryValue(entries, "model")).toBe("bert");
  expect(entryValue(entries, "bos_token_id")).toBe(2);
  expect(entryValue(entries, "seperator_token_id")).toBe(3);
});

test("llama.cpp's converter adds some for single models", async () => {
  const sized = async (vocab_size: number) =>
    (await bytes({}, { add_prefix_space: false }, { vocab_size })).entries;
  const code = await sized(32016);
  expect(["prefix", "suffix", "middle", "eot"].map((role) => entryValue(code, `${role}_token_id`))).toEqual([
    32007, 32008, 32009, 32010,
  ]);
  expect(code[0]).toEqual({ key: "tokenizer.ggml.add_space_prefix", type: "bool", value: false });
  expect(entryValue(await sized(49152), "add_bos_token")).toBe(false);
});
