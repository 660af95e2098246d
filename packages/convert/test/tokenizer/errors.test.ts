// Files of strangers: what is wrong, where, and what to do.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isFewbitError } from "@fewbit/core";
import { describe, expect, test } from "vitest";
import { sharedFolder } from "../../../../tooling/golden.js";
import { definitionOfModel } from "../../src/tokenizer/definition.js";
import { readSentencePiece } from "../../src/tokenizer/sentencepiece.js";
import { type Contents, entryValue, inMemory, modelFile, read } from "./files.js";

const AGAIN = "Download the tokenizer's files again, all from the same place.";
const OTHER = "The tokenizer and the weights belong to different models: download both from the same place.";

async function failure(contents: Contents, architecture = "llama") {
  try {
    await read(inMemory(contents), architecture, architecture === "llama" ? "gpt-2" : undefined);
  } catch (thrown) {
    if (!isFewbitError(thrown, "E_TOKENIZER")) throw thrown;
    return { message: thrown.message, at: thrown.at, remedy: thrown.remedy };
  }
  throw new Error("nothing was wrong");
}

const json = (model: object, more: object = {}, settings: object = {}): Contents => ({
  "config.json": { vocab_size: 4, ...settings },
  "tokenizer.json": {
    decoder: { type: "ByteLevel" },
    model: { type: "BPE", vocab: { a: 0, b: 1 }, merges: [], ...model },
    ...more,
  },
});

describe("tokenizer.json", () => {
  const file = "tokenizer.json";
  test.each<[name: string, contents: Contents, message: string | RegExp, key?: string, remedy?: string]>([
    ["no JSON", { [file]: "{" }, /^The file is not JSON: /],
    ["no UTF-8", { [file]: Uint8Array.of(0x7b, 0xff, 0x7d) }, "The file is not UTF-8."],
    ["no vocabulary", { [file]: { model: {} } }, "The model has no vocabulary.", "model"],
    ["an empty vocabulary", json({ vocab: {} }), "The vocabulary is empty.", "model.vocab"],
    [
      "a number twice",
      json({ vocab: { a: 1, b: 1 } }),
      '"a" and "b" have the same number, 1.',
      "model.vocab.b",
    ],
    ["no number", json({ vocab: { a: "1" } }), `This is "1", not a token's number.`, "model.vocab.a"],
    ["a negative number", json({ vocab: { a: -1 } }), "This is -1, not a token's number.", "model.vocab.a"],
    ["a number of 2^53", json({ vocab: { a: 2 ** 53 } }), /^This is 9007199254740992, not/, "model.vocab.a"],
    [
      "a number beyond the vocabulary",
      json({ vocab: { a: 0, b: 4000000000 } }),
      "Token 4000000000 is beyond the vocabulary: config.json says that it has 4 tokens.",
      "model.vocab.b",
      OTHER,
    ],
    ["a vocabulary of another kind", json({ vocab: "a" }), 'This is "a", not an object.', "model.vocab"],
    [
      "an unknown kind of model",
      json({ type: "Tekken" }),
      'GGUF cannot hold a vocabulary of type "Tekken"; it holds BPE, Unigram and WordPiece.',
      "model.type",
      "Only models with such a vocabulary can be converted.",
    ],
    [
      "merges of three",
      json({ merges: [["a", "b", "a"]] }),
      'This is ["a","b","a"], not two tokens to merge.',
      "model.merges[0]",
    ],
    [
      "a merge of one",
      json({ merges: ["a b", "ab"] }),
      'This is "ab", not two tokens to merge.',
      "model.merges[1]",
    ],
    [
      "half of a surrogate pair",
      json({ vocab: { "\ud800": 0 } }),
      "The token holds half of a surrogate pair.",
      "model.vocab.\ud800",
    ],
    [
      "an added token without text",
      json({}, { added_tokens: [{ id: 2 }] }),
      "This is missing, not a text.",
      "added_tokens[0].content",
    ],
    [
      "two added tokens with one number",
      json(
        {},
        {
          added_tokens: [
            { id: 2, content: "x" },
            { id: 2, content: "y" },
          ],
        },
      ),
      'Token 2 is "y" here and "x" in added_tokens[0] of tokenizer.json.',
      "added_tokens[1]",
    ],
    [
      "two tokens with one spelling",
      json({}, { added_tokens: [{ id: 2, content: "a" }] }),
      'Tokens 0 and 2 are both "a".',
    ],
    [
      "added tokens that are no list",
      json({}, { added_tokens: { a: 1 } }),
      'This is {"a":1}, not a list.',
      "added_tokens",
    ],
    [
      "a score that is none",
      {
        [file]: {
          model: {
            type: "Unigram",
            unk_id: 0,
            vocab: [
              ["a", 0],
              ["b", null],
            ],
          },
        },
      },
      "This is null, not a number.",
      "model.vocab[1][1]",
    ],
    [
      "a normalizer that is not in base64",
      {
        [file]: {
          normalizer: { type: "Precompiled", precompiled_charsmap: "ä" },
          model: { type: "Unigram", vocab: [["a", 0]] },
        },
      },
      "The rules of the normalizer are not in base64.",
      "normalizer.precompiled_charsmap",
    ],
  ])("%s", async (_, contents, message, key, remedy = AGAIN) => {
    const found = await failure(contents);
    expect(found.message).toEqual(typeof message === "string" ? message : expect.stringMatching(message));
    expect(found.at).toEqual({ file, ...(key === undefined ? {} : { key }) });
    expect(found.remedy).toBe(remedy);
  });

  test("keys of every object's prototype are tokens like any other", async () => {
    const text =
      '{"decoder":{"type":"ByteLevel"},"model":{"type":"BPE","merges":[],"vocab":{"__proto__":0,"constructor":1,"toString":2}}}';
    const { entries } = await read(inMemory({ "tokenizer.json": text }), "llama", "gpt-2");
    expect(entryValue(entries, "tokens")).toEqual(["__proto__", "constructor", "toString"]);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  test.each(["(a+)+$", "(a|aa)*b", "((ab)*c)+", "(?:x{2,})*"])(
    "a regular expression that may take for ever: %s",
    async (Regex) => {
      const contents = json(
        {},
        { pre_tokenizer: { type: "Split", pattern: { Regex }, behavior: "Isolated" } },
      );
      const thrown = await read(inMemory(contents)).catch((error: unknown) => error);
      expect(thrown).toMatchObject({
        code: "E_TOKENIZER",
        message: "The regular expression repeats a repetition, and may take for ever.",
        at: { file, key: "pre_tokenizer.pattern.Regex" },
        remedy:
          "If the tokenizer is to be trusted, name a pre-tokenizer that splits texts alike: --pre-tokenizer <name>.",
      });
      // Not run then.
      expect(entryValue((await read(inMemory(contents), "llama", "gpt-2")).entries, "pre")).toBe("gpt-2");
    },
  );

  test("a pattern that is none", async () => {
    const contents = json({}, { pre_tokenizer: { type: "Split", pattern: "a", behavior: "Isolated" } });
    await expect(read(inMemory(contents))).rejects.toMatchObject({
      code: "E_TOKENIZER",
      message: 'This is "a", not a Regex or a String.',
      at: { file, key: "pre_tokenizer.pattern" },
    });
  });

  test("a regular expression that is none", async () => {
    const pattern = { Regex: "[" };
    const contents = json({}, { pre_tokenizer: { type: "Split", pattern, behavior: "Isolated" } });
    await expect(read(inMemory(contents))).rejects.toMatchObject({
      code: "E_TOKENIZER",
      message: expect.stringMatching(/^The tokenizer does not work: /),
    });
  });

  test("settings nested without end", async () => {
    const nested = `${'{"type":"Sequence","pretokenizers":['.repeat(100)}${"]}".repeat(100)}`;
    const text = `{"decoder":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":{"a":0},"merges":[]},"pre_tokenizer":${nested}}`;
    expect(await failure({ "tokenizer.json": text }, "gpt2")).toMatchObject({
      message: "Settings are nested more than 64 levels deep.",
    });
    const deeper = text.replace(nested, "[".repeat(100_000) + "]".repeat(100_000));
    expect(await failure({ "tokenizer.json": deeper }, "gpt2")).toMatchObject({
      message: "The file nests lists and objects more than 500 levels deep.",
    });
  });
});

describe("other files", () => {
  test("none at all", async () => {
    expect(await failure({})).toEqual({
      message:
        "The checkpoint has no tokenizer that can be read: neither tokenizer.json nor tokenizer.model, vocab.json with merges.txt, or vocab.txt.",
      at: { file: "tokenizer.json" },
      remedy: AGAIN,
    });
    expect(await failure({ "tekken.json": {} })).toMatchObject({
      message: expect.stringMatching(/, or vocab\.txt; tekken\.json is for Mistral's own programs\.$/),
      remedy: "Take the version of the model that is made for the transformers library.",
    });
  });

  test("merges.txt", async () => {
    expect(await failure({ "vocab.json": { a: 0 }, "merges.txt": "#version\na a\na a a\n" })).toMatchObject({
      message: 'This is "a a a", not two tokens to merge.',
      at: { file: "merges.txt", key: "line 3" },
    });
  });

  test("vocab.txt", async () => {
    expect(await failure({ "vocab.txt": "[UNK]\na\na\n" }, "bert")).toMatchObject({
      message: "Line 2 is the same token.",
      at: { file: "vocab.txt", key: "line 3" },
    });
  });

  test("a huge vocabulary is not made up", async () => {
    await expect(read(inMemory(json({}, {}, { vocab_size: 4e9 })), "llama", "gpt-2")).rejects.toMatchObject({
      code: "E_CHECKPOINT",
      at: { file: "config.json", key: "vocab_size" },
    });
    await expect(
      read(
        inMemory({
          "config.json": { vocab_size: 4e9 },
          "tokenizer.model": modelFile([{ text: "a", score: 0, type: 1 }]),
        }),
      ),
    ).rejects.toMatchObject({
      code: "E_CHECKPOINT",
      message: "A vocabulary of 4000000000 tokens is larger than any; at most 16777216 are read.",
    });
  });
});

describe("tokenizer.model", () => {
  // Trying all places to part such a piece would take hours.
  test("a piece without end is merged from no others, and holds up nothing", async () => {
    const texts = ["a", "b", "ab", "a".repeat(1_000_000)];
    const bytes = modelFile(texts.map((text, i) => ({ text, score: -i, type: 1 })));
    const definition = await definitionOfModel(inMemory({ "tokenizer.model": bytes }), "tokenizer.model");
    expect(definition!.root.get("model").get("merges").value).toEqual([["a", "b"]]);
  });

  const good = modelFile([{ text: "ab", score: -1, type: 1 }]);
  const of = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes);

  test.each<[name: string, bytes: Uint8Array, message: string, offset: number]>([
    ["nothing", of(), "The file holds no pieces.", 0],
    [
      "a piece of 2^31 - 1 bytes",
      of(0x0a, 0xff, 0xff, 0xff, 0xff, 0x07, 1),
      "A field promises 2147483647 bytes; 1 are left.",
      0,
    ],
    [
      "a number of 11 bytes",
      of(0x0a, ...new Array(11).fill(0x80), 0),
      "A number is longer than ten bytes.",
      1,
    ],
    ["a number cut short", of(0x0a, 0x80), "The file ends in a number.", 1],
    ["a field without a number", of(0x02, 0x00), "A field has the number 0.", 0],
    ["a group", of(0x0b, 0x0c), "A field is stored in way 3, not 2.", 0],
    ["an unknown way to store", of(0xa7, 0x06), "A field is stored in the unknown way 7.", 0],
    ["a piece that is no UTF-8", of(0x0a, 0x03, 0x0a, 0x01, 0xff), "A piece is not UTF-8.", 2],
    [
      "a piece of an unknown type",
      of(0x0a, 0x05, 0x0a, 0x01, 0x61, 0x18, 0x09),
      "A piece is of the unknown type 9.",
      0,
    ],
    [
      "a score that is no number",
      of(0x0a, 0x08, 0x0a, 0x01, 0x61, 0x15, 0, 0, 0xc0, 0x7f),
      "The score of a piece is not finite.",
      0,
    ],
    [
      "a field beyond its message",
      of(0x0a, 0x02, 0x0a, 0x05, 1, 2, 3, 4, 5),
      "A field reaches beyond the message that holds it.",
      2,
    ],
    [
      "words",
      modelFileOf(3),
      "The vocabulary is of SentencePiece's type 3; GGUF holds types 1 (unigram) and 2 (BPE).",
      0,
    ],
  ])("%s", (_, bytes, message, offset) => {
    try {
      readSentencePiece(bytes, "tokenizer.model");
    } catch (thrown) {
      if (!isFewbitError(thrown, "E_TOKENIZER")) throw thrown;
      expect({ message: thrown.message, at: thrown.at, remedy: thrown.remedy }).toEqual({
        message,
        at: { file: "tokenizer.model", offset },
        remedy: AGAIN,
      });
      return;
    }
    throw new Error("nothing was wrong");
  });

  test("cut anywhere it is an error or a smaller model, never anything else", () => {
    for (let length = 0; length < good.length; length++)
      try {
        readSentencePiece(good.subarray(0, length), "tokenizer.model");
      } catch (thrown) {
        if (!isFewbitError(thrown, "E_TOKENIZER")) throw thrown;
      }
    expect(readSentencePiece(good, "tokenizer.model").pieces).toEqual([{ text: "ab", score: -1, type: 1 }]);
  });

  function modelFileOf(algorithm: number): Uint8Array {
    return of(0x0a, 0x03, 0x0a, 0x01, 0x61, 0x12, 0x02, 0x18, algorithm);
  }
});

describe.skipIf(sharedFolder === undefined)("the collection of bad files", () => {
  test.each(["c02-len.model", "c02-varint.model"])("%s", async (name) => {
    const bytes = new Uint8Array(readFileSync(join(sharedFolder!, "hostile", name)));
    await expect(read(inMemory({ "tokenizer.model": bytes }))).rejects.toMatchObject({
      code: "E_TOKENIZER",
      at: { file: "tokenizer.model", offset: expect.any(Number) },
    });
  });
});
