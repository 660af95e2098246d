import { describe, expect, test } from "vitest";
import { checkTokenizer } from "../../src/check/index.js";
import { CharsMap, normalizeGraphemes, normalizeLongest } from "../../src/tokenizer/chars-map.js";
import { engine } from "../tiny/engine.js";
import { compileRules } from "./chars-map.js";
import { inMemory, modelFile, read, vocabularyFile } from "./files.js";
import { unigramPieces } from "./sources.js";

const compiled = compileRules({
  "\n": " ",
  "\t": " ",
  ﬁ: "fi",
  "①": "1",
  "e\u0301": "é",
  e: "e",
  ｶ: "カ",
  ｶﾞ: "ガ",
  "　": " ",
  "\u200d": "",
  "😀": ":)",
});
const map = new CharsMap(compiled);

describe("rules of SentencePiece's normalizer", () => {
  test("the longest that holds", () => {
    expect(normalizeLongest("a\tﬁ① e\u0301e ｶﾞｶ 　\u200d😀!", map)).toBe("a fi1 ée ガカ  :)!");
  });

  test("as the tokenizers library applies them: the first that holds for a grapheme, or for each of its letters", () => {
    expect(normalizeGraphemes("a\tﬁ① ｶﾞｶ 　😀!", map)).toBe("a fi1 カﾞカ  :)!");
    // The rule for e alone comes first, and replaces the whole grapheme.
    expect(normalizeGraphemes("e\u0301", map)).toBe("e");
  });

  test("damaged rules match nothing, or something, and end", () => {
    for (let length = 0; length < 64; length++)
      normalizeLongest("a\tﬁ①", new CharsMap(compiled.subarray(0, length)));
    for (let i = 0; i < 400; i++) {
      const damaged = compiled.slice();
      damaged[(i * 7919) % damaged.length] = (i * 31) & 255;
      normalizeLongest("a\tﬁ① e\u0301 ｶﾞ😀", new CharsMap(damaged));
    }
    expect(normalizeLongest("ﬁ", new CharsMap(new Uint8Array()))).toBe("ﬁ");
  });

  test("llama.cpp applies them as SentencePiece does", async () => {
    const pieces = unigramPieces();
    const file = modelFile(pieces, { algorithm: "unigram", charsMap: compiled, removesExtraSpaces: true });
    const files = inMemory({ "config.json": { vocab_size: pieces.length }, "tokenizer.model": file });
    const { entries } = await read(files);
    const checked = await checkTokenizer({
      files,
      model: vocabularyFile(entries),
      metadata: entries,
      engine,
      random: 60,
    });
    const unexplained = checked.differences.filter(({ because }) => because === undefined);
    expect(unexplained.map(({ text }) => text)).toEqual([]);
  });
});
