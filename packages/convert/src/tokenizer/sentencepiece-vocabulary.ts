// Vocabularies whose tokens have scores: of a tokenizer.model, or of a tokenizer.json that was made from one.
import type { Config } from "@fewbit/core";
import type { CheckpointFiles } from "../checkpoint.js";
import { readTable, vocabularySize } from "./byte-level.js";
import { type Definition, namedTokens } from "./definition.js";
import { type Json, readJson } from "./json.js";
import type { SentencePiece } from "./sentencepiece.js";
import { looksSpecial, type TokenType, tokenType, Vocabulary, visible } from "./vocabulary.js";

/** Of tokens that no text is cut into. */
const ADDED_SCORE = -1000;
const FILL_SCORE = -10000;
/** Of tokens that no merge makes: whatever else is possible comes first. */
const UNMADE_SCORE = -1e6;

export interface PieceOptions {
  /** Added tokens of tokenizer.json count as well, and keep their spelling: Phi-3's converter has it so. */
  readonly raw?: boolean;
}

/**
 * A tokenizer.model, with the tokens that other files add.
 * @throws `E_TOKENIZER`
 */
export async function pieceVocabulary(
  model: SentencePiece,
  files: CheckpointFiles,
  config: Config,
  warnings: string[],
  { raw = false }: PieceOptions = {},
): Promise<Vocabulary> {
  const size = vocabularySize(config, model.pieces.length);
  const vocabulary = new Vocabulary(size, FILL_SCORE);
  const ignored: number[] = [];
  const set = (id: number, token: string, type: TokenType, score: number): void => {
    if (id < size) vocabulary.set(id, token, type, score);
    else ignored.push(id);
  };
  // What users defined is like any other piece to llama.cpp's converter, unless another file says more.
  for (const [id, { text, score, type }] of model.pieces.entries())
    set(id, text, type === tokenType.userDefined ? tokenType.normal : (type as TokenType), score);
  const added = await readJson(files, "added_tokens.json");
  if (!added.missing)
    for (const [token, id] of added.entries()) set(id.id(), token, tokenType.userDefined, ADDED_SCORE);
  const override = (id: number, at: Json): void => {
    const token = at.get("content").text();
    const special = at.get("special").boolean === true || (!raw && looksSpecial(token));
    if (special) set(id, token, tokenType.control, ADDED_SCORE);
    else set(id, raw ? token : visible(token), tokenType.userDefined, ADDED_SCORE);
  };
  const decoder = (await readJson(files, "tokenizer_config.json")).get("added_tokens_decoder");
  if (!decoder.missing)
    for (const [key, at] of decoder.entries()) {
      if (!/^\d{1,10}$/.test(key)) throw at.error(`${JSON.stringify(key)} is no token's number.`);
      override(Number(key), at);
    }
  if (raw)
    for (const at of (await readJson(files, "tokenizer.json")).get("added_tokens").items())
      override(at.get("id").id(), at);
  if (ignored.length > 0)
    warnings.push(
      `${ignored.length === 1 ? `Token ${ignored[0]} is` : `${ignored.length} tokens, the first of them ${ignored[0]}, are`} beyond the ${size} tokens that config.json gives to the model, and left out.`,
    );
  return vocabulary;
}

/**
 * BPE of characters, of a tokenizer.json. SentencePiece merges any two tokens that are a third, by the third's score;
 * scores that follow from the merges make it cut texts as they do. (llama.cpp's converter gives all tokens one score.)
 *
 * @throws `E_TOKENIZER`
 */
export function characterVocabulary(definition: Definition, config: Config): Vocabulary {
  const vocabulary = filled(definition, config);
  const named = namedTokens(definition);
  const ranks = new Map<string, number>();
  for (const [rank, merge] of definition.root.get("model").get("merges").items().entries()) {
    const token = merged(merge);
    if (!ranks.has(token)) ranks.set(token, rank);
  }
  const table = readTable(definition.root.get("model").get("vocab"));
  for (const [id, { text }] of table) {
    const type = /^<0x[0-9A-Fa-f]{2}>$/.test(text) ? tokenType.byte : tokenType.normal;
    const rank = ranks.get(text);
    const single = [...text].length === 1;
    vocabulary.set(id, text, type, rank === undefined ? (single ? 0 : UNMADE_SCORE) : -rank - 1);
  }
  for (const { id, content, special } of definition.added) {
    // Blanks of a text are U+2581 only after added tokens were looked for: it is merges that make these tokens.
    if (content.includes("\u2581") && ranks.has(content)) continue;
    const score = table.has(id) ? vocabulary.scores[id]! : ADDED_SCORE;
    if (special || named.has(content) || looksSpecial(content))
      vocabulary.set(id, content, tokenType.control, score);
    else vocabulary.set(id, visible(content), tokenType.userDefined, score);
  }
  return vocabulary;
}

/** What a merge makes, whichever way the file spells it. */
function merged(merge: Json): string {
  if (merge.list !== undefined) return merge.list.map((token) => token.text()).join("");
  const text = merge.text();
  const space = text.indexOf(" ", 1);
  if (space < 0) throw merge.wrong("two tokens to merge");
  return text.slice(0, space) + text.slice(space + 1);
}

/**
 * Unigram, of a tokenizer.json.
 * @throws `E_TOKENIZER`
 */
export function unigramVocabulary(definition: Definition, config: Config): Vocabulary {
  const vocabulary = filled(definition, config);
  const model = definition.root.get("model");
  const named = namedTokens(definition);
  const added = new Map(definition.added.map((token) => [token.id, token]));
  const unknown = model.get("unk_id").integer;
  const fallsBack = model.get("byte_fallback").boolean === true;
  for (const [id, item] of model.get("vocab").items().entries()) {
    const [token, score, ...more] = item.list ?? [];
    if (token === undefined || score === undefined || more.length > 0)
      throw item.wrong("a token and its score");
    const text = token.text();
    const other = added.get(id);
    const type =
      id === unknown
        ? tokenType.unknown
        : named.has(text) || other?.special === true
          ? tokenType.control
          : other !== undefined
            ? tokenType.userDefined
            : fallsBack && /^<0x[0-9A-Fa-f]{2}>$/.test(text)
              ? tokenType.byte
              : tokenType.normal;
    vocabulary.set(id, text, type, score.number());
  }
  const size = model.get("vocab").items().length;
  for (const { id, content, special } of definition.added)
    if (id >= size)
      vocabulary.set(
        id,
        special ? content : visible(content),
        special ? tokenType.control : tokenType.userDefined,
        ADDED_SCORE,
      );
  return vocabulary;
}

/** Places for all tokens of a definition. */
function filled(definition: Definition, config: Config): Vocabulary {
  const vocab = definition.root.get("model").get("vocab");
  const ids = [
    ...(vocab.list === undefined ? readTable(vocab).keys() : vocab.list.keys()),
    ...definition.added.map(({ id }) => id),
  ];
  const largest = ids.reduce((a, b) => Math.max(a, b), -1);
  const size = vocabularySize(config, largest + 1);
  if (largest >= size)
    throw vocab.error(
      `Token ${largest} is beyond the vocabulary: config.json says that it has ${size} tokens.`,
      "The tokenizer and the weights belong to different models: download both from the same place.",
    );
  return new Vocabulary(size, FILL_SCORE);
}
