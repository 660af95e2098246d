// A tokenizer as tokenizer.json defines it; where a checkpoint has older files only, what they would be there.
import type { CheckpointFiles } from "../checkpoint.js";
import { LONGEST_RULES } from "./exact-normalizers.js";
import { Json, readJson, readText } from "./json.js";
import { type Piece, pieceType, readSentencePiece, type SentencePiece } from "./sentencepiece.js";

export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  /** Whether it is looked for after the text was normalized. */
  readonly normalized: boolean;
  readonly at: Json;
}

export interface Definition {
  /** tokenizer.json. */
  readonly root: Json;
  /** tokenizer_config.json; missing where there is none. */
  readonly config: Json;
  /** special_tokens_map.json; missing where there is none. */
  readonly map: Json;
  /** By the order of their numbers. */
  readonly added: readonly AddedToken[];
}

/** Names of roles, as settings spell them: `bos_token`. */
const ROLES = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"] as const;

/**
 * tokenizer.json, or what vocab.json with merges.txt or vocab.txt would be; undefined where there is none of them.
 * @throws `E_TOKENIZER`
 */
export async function readDefinition(files: CheckpointFiles): Promise<Definition | undefined> {
  const root = await readJson(files, "tokenizer.json");
  if (!root.missing) return complete(files, root);
  const made = (await fromMerges(files)) ?? (await fromWords(files));
  return made === undefined ? undefined : complete(files, made);
}

/**
 * What a tokenizer.model would be as a tokenizer.json: to encode with, not to take a vocabulary from.
 * @throws `E_TOKENIZER`
 */
export async function definitionOfModel(
  files: CheckpointFiles,
  name: string,
): Promise<Definition | undefined> {
  const bytes = await files.read(name);
  if (bytes === undefined) return undefined;
  const file = files.path(name);
  return complete(files, new Json(fromSentencePiece(readSentencePiece(bytes, file)), file));
}

async function complete(files: CheckpointFiles, root: Json): Promise<Definition> {
  const config = await readJson(files, "tokenizer_config.json");
  const map = await readJson(files, "special_tokens_map.json");
  const byId = new Map<number, AddedToken>();
  const contents = new Set<string>();
  const add = (token: AddedToken): void => {
    const other = byId.get(token.id);
    if (other !== undefined && other.content !== token.content)
      throw token.at.error(
        `Token ${token.id} is ${JSON.stringify(token.content)} here and ${JSON.stringify(other.content)} in ${other.at.path} of ${other.at.file}.`,
      );
    byId.set(token.id, token);
    contents.add(token.content);
  };
  for (const at of root.get("added_tokens").items()) add(addedToken(at.get("id").id(), at));
  if (!config.get("added_tokens_decoder").missing)
    for (const [key, at] of config.get("added_tokens_decoder").entries()) {
      const token = addedToken(tokenNumber(key, at), at);
      if (!contents.has(token.content)) add(token);
    }
  const vocabulary = root.get("model").get("vocab");
  for (const content of namedTokens({ config, map })) {
    const known = vocabulary.get(content);
    if (!contents.has(content) && !Array.isArray(vocabulary.value) && !known.missing)
      add({ id: known.id(), content, special: true, normalized: false, at: known });
  }
  return { root, config, map, added: [...byId.values()].sort((a, b) => a.id - b.id) };
}

function addedToken(id: number, at: Json): AddedToken {
  const special = at.get("special").boolean ?? false;
  return {
    id,
    content: at.get("content").text(),
    special,
    normalized: at.get("normalized").boolean ?? !special,
    at,
  };
}

function tokenNumber(key: string, at: Json): number {
  const id = Number(key);
  if (!/^\d{1,10}$/.test(key)) throw at.error(`${JSON.stringify(key)} is no token's number.`);
  return id;
}

/** The token of a role, such as `bos`, wherever the settings name it. */
export function namedToken(
  { config, map }: Pick<Definition, "config" | "map">,
  role: string,
): string | undefined {
  for (const file of [config, map]) {
    const entry = file.get(`${role}_token`);
    const content = entry.string ?? entry.get("content").string;
    if (content !== undefined) return content;
  }
  return undefined;
}

/** Every token that the settings name for a role. */
export function namedTokens(definition: Pick<Definition, "config" | "map">): Set<string> {
  const named = ROLES.map((role) => namedToken(definition, role));
  const more = [definition.config, definition.map].flatMap((file) =>
    (file.get("additional_special_tokens").list ?? []).map(
      (entry) => entry.string ?? entry.get("content").string,
    ),
  );
  return new Set([...named, ...more].filter((content) => content !== undefined));
}

async function fromMerges(files: CheckpointFiles): Promise<Json | undefined> {
  const vocabulary = await readJson(files, "vocab.json");
  const merges = await readText(files, "merges.txt");
  if (vocabulary.missing || merges === undefined) return undefined;
  const lines = merges
    .split("\n")
    .map((line, i) => ({ line: line.trim(), number: i + 1 }))
    .filter(({ line, number }) => line !== "" && !(number === 1 && line.startsWith("#")));
  const added = await readJson(files, "added_tokens.json");
  const extra = added.missing
    ? []
    : [...added.entries()].map(([content, id]) => ({ id: id.id(), content, special: false }));
  const end = "<|endoftext|>";
  const known = vocabulary.get(end);
  const special = known.missing ? [] : [{ id: known.id(), content: end, special: true }];
  return new Json(
    {
      added_tokens: [...extra, ...special],
      normalizer: null,
      pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: true },
      post_processor: null,
      decoder: { type: "ByteLevel" },
      model: {
        type: "BPE",
        vocab: vocabulary.value,
        merges: lines.map(({ line, number }) => {
          const parts = line.split(/\s+/);
          if (parts.length !== 2)
            throw new Json(line, files.path("merges.txt"), `line ${number}`).wrong("two tokens to merge");
          return parts;
        }),
      },
    },
    vocabulary.file,
  );
}

async function fromWords(files: CheckpointFiles): Promise<Json | undefined> {
  const text = await readText(files, "vocab.txt");
  if (text === undefined) return undefined;
  const file = files.path("vocab.txt");
  const lines = text.split("\n").map((line) => line.replace(/\r$/, ""));
  if (lines.at(-1) === "") lines.pop();
  const vocabulary = new Map<string, number>();
  for (const [id, word] of lines.entries()) {
    const other = vocabulary.get(word);
    if (other !== undefined)
      throw new Json(word, file, `line ${id + 1}`).error(`Line ${other + 1} is the same token.`);
    vocabulary.set(word, id);
  }
  const config = await readJson(files, "tokenizer_config.json");
  const special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].filter((token) => vocabulary.has(token));
  const lowercase = config.get("do_lower_case").boolean ?? true;
  const entry = (id: string, type_id = 0): object => ({ SpecialToken: { id, type_id } });
  return new Json(
    {
      added_tokens: special.map((content) => ({ id: vocabulary.get(content), content, special: true })),
      normalizer: {
        type: "BertNormalizer",
        clean_text: true,
        handle_chinese_chars: config.get("tokenize_chinese_chars").boolean ?? true,
        strip_accents: config.get("strip_accents").boolean ?? null,
        lowercase,
      },
      pre_tokenizer: { type: "BertPreTokenizer" },
      post_processor:
        vocabulary.has("[CLS]") && vocabulary.has("[SEP]")
          ? {
              type: "TemplateProcessing",
              single: [entry("[CLS]"), { Sequence: { id: "A", type_id: 0 } }, entry("[SEP]")],
              pair: [
                entry("[CLS]"),
                { Sequence: { id: "A", type_id: 0 } },
                entry("[SEP]"),
                { Sequence: { id: "B", type_id: 1 } },
                entry("[SEP]", 1),
              ],
              special_tokens: Object.fromEntries(
                ["[CLS]", "[SEP]"].map((id) => [id, { id, ids: [vocabulary.get(id)], tokens: [id] }]),
              ),
            }
          : null,
      decoder: { type: "WordPiece", prefix: "##", cleanup: true },
      model: {
        type: "WordPiece",
        unk_token: "[UNK]",
        continuing_subword_prefix: "##",
        max_input_chars_per_word: 100,
        vocab: Object.fromEntries(vocabulary),
      },
    },
    file,
  );
}

/** Spaces as pieces spell them. */
const SPACE = "\u2581";

function fromSentencePiece(model: SentencePiece): object {
  const { pieces, algorithm } = model;
  const replace = { type: "Replace", pattern: { String: " " }, content: SPACE };
  const added = [...pieces.entries()].filter(
    ([, { type }]) => type !== pieceType.normal && type !== pieceType.unused && type !== pieceType.byte,
  );
  const byteFallback = pieces.some(({ type }) => type === pieceType.byte);
  const unknown = pieces.findIndex(({ type }) => type === pieceType.unknown);
  return {
    added_tokens: added.map(([id, { text, type }]) => ({
      id,
      content: text.replaceAll(SPACE, " "),
      special: type !== pieceType.userDefined,
      normalized: false,
    })),
    normalizer: {
      type: "Sequence",
      normalizers: [
        ...(model.charsMap.length === 0
          ? []
          : [
              {
                type: "Precompiled",
                precompiled_charsmap: btoa(
                  Array.from(model.charsMap, (byte) => String.fromCharCode(byte)).join(""),
                ),
                [LONGEST_RULES]: true,
              },
            ]),
        ...(model.removesExtraSpaces
          ? [
              { type: "Replace", pattern: { Regex: "\\A +| +\\z" }, content: "" },
              { type: "Replace", pattern: { Regex: " {2,}" }, content: " " },
            ]
          : []),
        ...(model.addsPrefix ? [{ type: "Prepend", prepend: SPACE }] : []),
        replace,
      ],
    },
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: SPACE }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
      ],
    },
    model:
      algorithm === "unigram"
        ? {
            type: "Unigram",
            unk_id: unknown,
            vocab: pieces.map(({ text, score }) => [text, score]),
            byte_fallback: byteFallback,
          }
        : {
            type: "BPE",
            unk_token: pieces[unknown]?.text ?? null,
            fuse_unk: true,
            byte_fallback: byteFallback,
            vocab: Object.fromEntries(pieces.map(({ text }, id) => [text, id])),
            merges: mergesOf(pieces),
          },
  };
}

/** SentencePiece keeps no merges: any two pieces merge that are a third, the one with the best score first. */
function mergesOf(pieces: readonly Piece[]): [string, string][] {
  const normal = pieces.filter(({ type }) => type === pieceType.normal || type === pieceType.unused);
  const known = new Set(normal.map(({ text }) => text));
  // A piece of a million characters has as many places to part it, few of them where pieces could meet.
  const lengths = new Set(normal.map(({ text }) => [...text].length));
  return normal
    .flatMap(({ text, score }) => {
      const characters = [...text];
      return characters.slice(1).flatMap((_, i) => {
        if (!lengths.has(i + 1) || !lengths.has(characters.length - i - 1)) return [];
        const left = characters.slice(0, i + 1).join("");
        const right = characters.slice(i + 1).join("");
        return known.has(left) && known.has(right)
          ? [{ pair: [left, right] as [string, string], score }]
          : [];
      });
    })
    .sort((a, b) => b.score - a.score)
    .map(({ pair }) => pair);
}
