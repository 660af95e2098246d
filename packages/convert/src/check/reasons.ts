// Why llama.cpp cuts some texts differently whatever a file says: what its tokenizers do not have.
import type { MetadataEntry } from "@fewbit/core";
import type { AddedToken, Definition } from "../tokenizer/definition.js";
import type { Encoder } from "../tokenizer/encoder.js";
import type { Json } from "../tokenizer/json.js";
import { adaptedFor } from "../tokenizer/pre-tokenizer/find.js";

export type Reasons = (text: string) => string | undefined;

/** A known reason why a text may be cut differently; undefined where there is none. */
export function knownReasons(
  definition: Definition,
  encoder: Encoder,
  metadata: readonly MetadataEntry[],
): Reasons {
  const value = (key: string): unknown =>
    metadata.find((entry) => entry.key === `tokenizer.ggml.${key}`)?.value;
  const all = [
    addedTokens(definition, encoder),
    zeros(value("tokens")),
    letterCases(definition.root.get("pre_tokenizer")),
    value("model") === "bert" ? words(definition.root) : normalForm(definition.root),
    value("model") === "t5" ? unigramSpaces : prefix(definition),
  ];
  return (text) => {
    for (const reason of all) {
      const told = reason(text);
      if (told !== undefined) return told;
    }
    return undefined;
  };
}

const firstIn = (tokens: readonly AddedToken[], text: string): AddedToken | undefined =>
  tokens.find(({ content }) => text.includes(content));

function addedTokens(definition: Definition, encoder: Encoder): Reasons {
  const normalized = definition.added.filter(
    ({ normalized, content }) => normalized && encoder.normalize(content) !== content,
  );
  const blanks = definition.added.some(({ content }) => content.includes("\u2581"));
  return (text) => {
    const token = firstIn(normalized, text);
    if (token !== undefined)
      return `the source looks for ${token.content} in normalized text only, llama.cpp anywhere`;
    if (blanks && text.includes("\u2581"))
      return "llama.cpp looks for spaces where added tokens have U+2581, the source for U+2581";
    return undefined;
  };
}

function letterCases(at: Json): Reasons {
  const adapted = adaptedFor(at);
  return (text) =>
    adapted !== undefined && /[\p{L}\p{M}]/u.test(text.replaceAll(/[A-Za-z]/g, ""))
      ? `llama.cpp's ${adapted.names[0]} does not tell capital letters from small ones beyond ASCII, nor marks from signs`
      : undefined;
}

function zeros(tokens: unknown): Reasons {
  const some = Array.isArray(tokens) && tokens.some((token) => String(token).includes("\0"));
  return (text) =>
    some && text.includes("\0") ? "llama.cpp ends a token's spelling at a NUL character" : undefined;
}

function normalForm(root: Json): Reasons {
  const form = /"type":"(NFKC|NFKD|NFC|NFD)"/.exec(JSON.stringify(root.get("normalizer").value ?? null))?.[1];
  return (text) =>
    form !== undefined && text.normalize(form) !== text
      ? `the source normalizes texts (${form}), llama.cpp does not`
      : undefined;
}

/** BERT's normalizer, of which llama.cpp has most. */
function words(root: Json): Reasons {
  const normalizer = root.get("normalizer");
  const strips = normalizer.get("strip_accents").boolean ?? normalizer.get("lowercase").boolean ?? false;
  const longest = root.get("model").get("max_input_chars_per_word").integer ?? 100;
  return (text) => {
    if (strips && /[\p{Mc}\p{Me}]/u.test(text))
      return "llama.cpp removes all combining marks, the source only those that take no room";
    if (strips && /[가-힣]/.test(text)) return "llama.cpp keeps only the first letter of a Hangul syllable";
    if (strips && text.normalize("NFD").replace(/\p{Mn}/gu, "") !== [...text].map(base).join(""))
      return "llama.cpp takes some letters apart in another way";
    if (text.includes("\u2581")) return "llama.cpp takes U+2581 in a text for the beginning of a word";
    if (/[\u000b\u000c\u001c-\u001f\u0085\u2028\u2029]|\p{Cn}|\p{Co}/u.test(text))
      return "the source removes control characters and those that Unicode has not assigned";
    if (text.split(/[\s\p{P}]/u).some((word) => [...word].length > longest))
      return `the source knows no word of more than ${longest} characters, llama.cpp cuts it`;
    return undefined;
  };
}

/** A letter without what is on it, as far as it is one letter. */
const base = (letter: string): string =>
  [...letter.normalize("NFD")].filter((each) => !/\p{Mn}/u.test(each))[0] ?? "";

const unigramSpaces: Reasons = (text) => {
  if (/^ +$/.test(text)) return "llama.cpp puts no space before a text of spaces only";
  if (text.includes("\u2581")) return "the source takes U+2581 in a text for a space";
  return undefined;
};

/** New tokenizers of Llama put a space before a text once, and only where there is none. */
function prefix({ root, added }: Definition): Reasons {
  const metaspace = root.get("pre_tokenizer");
  if (metaspace.get("type").string !== "Metaspace") return () => undefined;
  const once = metaspace.get("prepend_scheme").string === "first";
  return (text) => {
    if (/^[ \u2581]/.test(text))
      return "the source puts no space before a text that begins with one, llama.cpp does";
    if (once && firstIn(added, text) !== undefined)
      return "the source puts no space behind a special token, llama.cpp does";
    return undefined;
  };
}
