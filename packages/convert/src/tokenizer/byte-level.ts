// Byte-level BPE, and WordPiece: vocabularies whose tokens are numbered by a table.
import type { Config } from "@fewbit/core";
import type { AddedToken, Definition } from "./definition.js";
import type { Encoder } from "./encoder.js";
import type { Json } from "./json.js";
import { looksSpecial, type TokenType, tokenType, Vocabulary, visible } from "./vocabulary.js";

/** @throws `E_TOKENIZER` */
export function tableVocabulary(
  definition: Definition,
  config: Config,
  encoder: Encoder | undefined,
): Vocabulary {
  const table = readTable(definition.root.get("model").get("vocab"));
  const added = new Map(definition.added.map((token) => [token.id, token]));
  const ids = [...table.keys(), ...added.keys()];
  const largest = ids.reduce((a, b) => Math.max(a, b), -1);
  const size = vocabularySize(config, new Set(ids).size);
  if (largest >= size) {
    const at = added.get(largest)?.at ?? table.get(largest)!.at;
    throw at.error(
      `Token ${largest} is beyond the vocabulary: config.json says that it has ${size} tokens.`,
      "The tokenizer and the weights belong to different models: download both from the same place.",
    );
  }
  const vocabulary = new Vocabulary(size);
  for (const [id, { text }] of table) vocabulary.set(id, text, tokenType.normal);
  for (const token of added.values()) vocabulary.set(token.id, ...addedToken(token, encoder));
  return vocabulary;
}

/** What llama.cpp compares with a text: spelled as it is there, not as the vocabulary spells it. */
function addedToken(token: AddedToken, encoder: Encoder | undefined): [text: string, type: TokenType] {
  const text =
    token.normalized || encoder === undefined || token.content === ""
      ? token.content
      : roundTrip(token.content, encoder);
  return token.special || looksSpecial(text)
    ? [text, tokenType.control]
    : [visible(text), tokenType.userDefined];
}

function roundTrip(content: string, encoder: Encoder): string {
  const ids = encoder.encode(content, false);
  return ids.length === 0 ? content : encoder.decode(ids);
}

/** Larger ones are nobody's: they would be made of fillings. */
const MAX_SIZE = 2 ** 24;

/**
 * Rows of the embedding.
 * @throws `E_CHECKPOINT`
 */
export function vocabularySize(config: Config, otherwise: number): number {
  // Gemma 3n has tables of two sizes.
  const key = config.has("vocab_size_per_layer_input") ? "vocab_size_per_layer_input" : "vocab_size";
  const size = config.integer(key, otherwise);
  if (size > MAX_SIZE)
    throw config.error(
      key,
      `A vocabulary of ${size} tokens is larger than any; at most ${MAX_SIZE} are read.`,
    );
  return size;
}

/** @throws `E_TOKENIZER` where a number is given twice */
export function readTable(vocabulary: Json): Map<number, { readonly text: string; readonly at: Json }> {
  const table = new Map<number, { readonly text: string; readonly at: Json }>();
  for (const [text, at] of vocabulary.entries()) {
    const id = at.id();
    const other = table.get(id);
    if (other !== undefined)
      throw at.error(
        `${JSON.stringify(other.text)} and ${JSON.stringify(text)} have the same number, ${id}.`,
      );
    if (/\p{Surrogate}/u.test(text)) throw at.error("The token holds half of a surrogate pair.");
    table.set(id, { text, at });
  }
  if (table.size === 0) throw vocabulary.error("The vocabulary is empty.");
  return table;
}

/**
 * `a b`, by rank, whichever way the file spells them.
 * @throws `E_TOKENIZER`
 */
export const readMerges = (merges: Json): string[] =>
  merges.items().map((merge) => {
    if (merge.list !== undefined) {
      const [left, right, ...more] = merge.list;
      if (left === undefined || right === undefined || more.length > 0)
        throw merge.wrong("two tokens to merge");
      // A space in a token would end it: it is spelled as byte-level vocabularies do.
      return [left, right].map((token) => token.text().replaceAll(" ", "\u0120")).join(" ");
    }
    const text = merge.text();
    if (text.indexOf(" ", 1) < 0) throw merge.wrong("two tokens to merge");
    return text;
  });
