// Pre-tokenizers that no table knows, by what they do.
import { isFewbitError } from "@fewbit/core";
import { describe, expect, test } from "vitest";
import { preTokenizers } from "../../src/tokenizer/pre-tokenizer/patterns.js";
import { entryValue, inMemory, read } from "./files.js";
import { byteLevel, characterLevel, SPLIT, splitBy } from "./sources.js";

const sequence = (...steps: readonly object[]): object => ({
  type: "Sequence",
  pretokenizers: [...steps, { type: "ByteLevel", add_prefix_space: false, use_regex: false }],
});
const isolated = (pattern: string): object => ({
  type: "Split",
  pattern: { Regex: pattern },
  behavior: "Isolated",
  invert: false,
});
const QWEN2 = SPLIT.replace("{1,3}", "");
const GPT4O =
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

const preOf = async (preTokenizer: object, model: object = {}) => {
  const { entries, warnings } = await read(inMemory(byteLevel({ preTokenizer, model })));
  return { name: entryValue(entries, "pre"), addsBos: entryValue(entries, "add_bos_token"), warnings };
};

describe("by behaviour", () => {
  test.each<[name: string, preTokenizer: object, model?: object]>([
    ["llama-bpe", splitBy(SPLIT), { ignore_merges: true }],
    ["smaug-bpe", splitBy(SPLIT)],
    ["qwen2", splitBy(QWEN2)],
    // Written in another way.
    ["qwen2", splitBy(QWEN2.replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)", "'(?i:[sdmt]|ll|ve|re)"))],
    ["gpt-2", { type: "ByteLevel", add_prefix_space: false, use_regex: true }],
    ["gpt-4o", splitBy(GPT4O)],
    [
      "starcoder",
      {
        type: "Sequence",
        pretokenizers: [
          { type: "Digits", individual_digits: true },
          { type: "ByteLevel", add_prefix_space: false, use_regex: true },
        ],
      },
    ],
    [
      "deepseek-v3",
      sequence(
        isolated("\\p{N}{1,3}"),
        isolated("[一-龥\u3040-ゟ゠-ヿ]+"),
        isolated(
          "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
        ),
      ),
    ],
  ])("%s", async (name, preTokenizer, model) => {
    const found = await preOf(preTokenizer, model);
    expect(found.name).toBe(name);
    expect(found.addsBos).toBe(true);
    expect(found.warnings[0]).toMatch(/^The pre-tokenizer is not known by name, but (splits|has)/);
  });

  test("one that does as none of them is refused, with those nearest to it", async () => {
    const thrown = await preOf(splitBy(SPLIT.replace("{1,3}", "{1,4}"))).catch((error: unknown) => error);
    if (!isFewbitError(thrown, "E_PRETOKENIZER")) throw thrown;
    expect(thrown.message).toMatch(
      /^No pre-tokenizer of llama\.cpp splits texts as this tokenizer does\. Those nearest to it differ: (llama-bpe|smaug-bpe) on \d+ of \d+ texts, of which the first is ".*", with \[.*"1314".*\] here and \[.*"131".*\] there; /,
    );
    expect(thrown.at).toEqual({ file: "tokenizer.json", key: "pre_tokenizer" });
    expect(thrown.remedy).toMatch(
      /^Take one of them nevertheless, such as --pre-tokenizer \S+, and see with --check what it costs\.$/,
    );
  });

  test("a name for a vocabulary that has no pre-tokenizer is told to be of no use", async () => {
    expect((await read(inMemory(characterLevel()), "llama", "falcon")).warnings).toContain(
      'Only byte-level vocabularies have pre-tokenizers, and this is none: "falcon" is not used.',
    );
  });

  test("a name of the user's own counts, if there is such a pre-tokenizer", async () => {
    const files = inMemory(byteLevel({ preTokenizer: splitBy("x+") }));
    const { entries, warnings } = await read(files, "llama", "falcon");
    expect(entryValue(entries, "pre")).toBe("falcon");
    expect(entryValue(entries, "add_bos_token")).toBe(true);
    expect(warnings).toEqual([]);
    await expect(read(files, "llama", "no-such")).rejects.toMatchObject({
      code: "E_PRETOKENIZER",
      message: 'llama.cpp has no pre-tokenizer "no-such".',
      remedy: expect.stringMatching(/^Name one of these: a\.x-4\.0, afmoe, .*, youtu\.$/),
    });
  });

  test("where llama.cpp begins texts with a token by itself, the file says whether the source does", async () => {
    const contents = byteLevel({ root: { post_processor: null } });
    const saying = async (name: string) =>
      entryValue((await read(inMemory(contents), "llama", name)).entries, "add_bos_token");
    expect(await saying("llama-bpe")).toBe(false);
    expect(await saying("tekken")).toBe(false);
    expect(await saying("qwen2")).toBeUndefined();
  });

  test("no name is given twice", () => {
    const names = preTokenizers.flatMap((each) => each.names);
    expect(new Set(names).size).toBe(names.length);
  });
});
