import { type Config, FewbitError, isFewbitError, type MetadataEntry } from "@fewbit/core";
import type { CheckpointFiles } from "../checkpoint.js";
import { readMerges, tableVocabulary } from "./byte-level.js";
import { type Definition, readDefinition } from "./definition.js";
import { createEncoder, type Encoder } from "./encoder.js";
import { type Json, REMEDY, readJson } from "./json.js";
import { type Found, findPreTokenizer, namedPreTokenizer } from "./pre-tokenizer/find.js";
import { knownName, PROBE } from "./pre-tokenizer/known.js";
import { pieceType, readSentencePiece, type SentencePiece } from "./sentencepiece.js";
import { characterVocabulary, pieceVocabulary, unigramVocabulary } from "./sentencepiece-vocabulary.js";
import { specialTokens } from "./special-tokens.js";
import type { ReadTokenizer, TokenizerMetadata, TokenizerOptions } from "./types.js";
import { tokenType, type Vocabulary } from "./vocabulary.js";

/** Names that a SentencePiece vocabulary has. */
const MODELS = ["tokenizer.model", "spiece.model"];

/** Families whose converter takes a tokenizer.model, where there is one, before a tokenizer.json. */
const MODEL_FIRST = ["llama", "gemma", "qwen", "phi3", "t5"];

/** See `ReadTokenizer`. */
export const tokenizerMetadata: ReadTokenizer = async (files, config, options) => {
  const reading: Reading = { files, config, options, warnings: [] };
  const tokenizerConfig = await readJson(files, "tokenizer_config.json");
  const modelFirst =
    MODEL_FIRST.some((family) => options.architecture.startsWith(family)) &&
    !(options.architecture === "phi3" && tokenizerConfig.get("tokenizer_class").string === "GPT2Tokenizer");
  const model = await findModel(files);
  const definition = await readDefinition(files);
  const asModel = model !== undefined && (modelFirst || definition === undefined);
  if (!asModel && definition === undefined) throw await noTokenizer(files);
  if (options.preTokenizer !== undefined && (asModel || kindOf(definition!.root) !== "bytes"))
    reading.warnings.push(
      `Only byte-level vocabularies have pre-tokenizers, and this is none: ${JSON.stringify(options.preTokenizer)} is not used.`,
    );
  const { entries, vocabulary } = asModel
    ? await ofModel(reading, model, tokenizerConfig)
    : await ofDefinition(reading, definition!);
  return {
    entries: adjusted(entries, options, config, tokenizerConfig),
    vocabulary,
    warnings: reading.warnings,
  };
};

interface Reading {
  readonly files: CheckpointFiles;
  readonly config: Config;
  readonly options: TokenizerOptions;
  readonly warnings: string[];
}

type Read = Pick<TokenizerMetadata, "entries" | "vocabulary">;

interface ModelFile {
  readonly file: string;
  readonly model: SentencePiece;
}

async function findModel(files: CheckpointFiles): Promise<ModelFile | undefined> {
  for (const name of MODELS) {
    const bytes = await files.read(name);
    if (bytes === undefined) continue;
    const file = files.path(name);
    return { file, model: readSentencePiece(bytes, file) };
  }
  return undefined;
}

async function noTokenizer(files: CheckpointFiles): Promise<FewbitError> {
  const tekken = (await files.read("tekken.json")) !== undefined;
  return new FewbitError(
    "E_TOKENIZER",
    `The checkpoint has no tokenizer that can be read: neither tokenizer.json nor tokenizer.model, vocab.json with merges.txt, or vocab.txt${tekken ? "; tekken.json is for Mistral's own programs" : ""}.`,
    { file: files.path("tokenizer.json") },
    tekken ? "Take the version of the model that is made for the transformers library." : REMEDY,
  );
}

async function ofModel(reading: Reading, { file, model }: ModelFile, tokenizerConfig: Json): Promise<Read> {
  const { files, config, options, warnings } = reading;
  const raw = options.architecture === "phi3";
  const vocabulary = await pieceVocabulary(model, files, config, warnings, { raw });
  const special = await specialTokens(
    {
      files,
      root: await readJson(files, "tokenizer.json"),
      config: tokenizerConfig,
      vocabulary: vocabulary.size,
    },
    warnings,
  );
  if (model.algorithm === "bpe") {
    warnWithoutBytes(vocabulary, warnings);
    return read(vocabulary, [...vocabulary.entries("llama", "default", file, true), ...special]);
  }
  const encoderDecoder = options.architecture === "t5";
  return read(vocabulary, [
    ...vocabulary.entries("t5", "default", file, true),
    ...unigramSettings(model),
    ...withDefaults(special, [
      unknownId(model.pieces.findIndex(({ type }) => type === pieceType.unknown)),
      // What the transformers library does where no file says more.
      flag("add_bos_token", !encoderDecoder),
      flag("add_eos_token", encoderDecoder),
    ]),
  ]);
}

async function ofDefinition(reading: Reading, definition: Definition): Promise<Read> {
  const { files, config, warnings } = reading;
  const { root } = definition;
  const model = root.get("model");
  const sources = { files, root, config: definition.config };
  switch (kindOf(root)) {
    case "unigram": {
      const vocabulary = unigramVocabulary(definition, config);
      return read(vocabulary, [
        ...vocabulary.entries("t5", "default", root.file, true),
        ...unigramSettings(normalizing(root)),
        ...withDefaults(await specialTokens({ ...sources, vocabulary: vocabulary.size }, warnings), [
          unknownId(model.get("unk_id").integer ?? -1),
          flag("add_bos_token", false),
          flag("add_eos_token", false),
        ]),
      ]);
    }
    case "characters": {
      const vocabulary = characterVocabulary(definition, config);
      warnWithoutBytes(vocabulary, warnings);
      return read(vocabulary, [
        ...vocabulary.entries("llama", "default", root.file, true),
        ...(await specialTokens({ ...sources, vocabulary: vocabulary.size }, warnings)),
        ...(normalizing(root).addsPrefix ? [] : [flag("add_space_prefix", false)]),
      ]);
    }
    case "words": {
      const encoder = createEncoder(definition);
      const vocabulary = tableVocabulary(definition, config, encoder);
      joinWords(vocabulary, model.get("continuing_subword_prefix").string ?? "##");
      // llama.cpp does not look at the name.
      const pre = (await knownName(encoder.encode(PROBE))) ?? "default";
      return read(vocabulary, [
        ...vocabulary.entries("bert", pre, root.file, false),
        ...withDefaults(
          await specialTokens({ ...sources, vocabulary: vocabulary.size }, warnings),
          wordSpecials(definition),
        ),
      ]);
    }
    case "bytes": {
      const { found, encoder } = await preTokenizer(reading, definition);
      warnings.push(...found.warnings);
      const vocabulary = tableVocabulary(definition, config, encoder);
      const merges = readMerges(model.get("merges"));
      return read(vocabulary, [
        ...vocabulary.entries("gpt2", found.name, root.file, false),
        ...withDefaults(
          await specialTokens({ ...sources, merges }, warnings),
          found.addsBos === undefined ? [] : [flag("add_bos_token", found.addsBos)],
        ),
      ]);
    }
  }
}

const read = (vocabulary: Vocabulary, entries: readonly MetadataEntry[]): Read => ({
  entries,
  vocabulary: vocabulary.size,
});

/** The name that users gave, which also spares them a tokenizer that the library cannot work with; or what is found. */
async function preTokenizer(
  { options }: Reading,
  definition: Definition,
): Promise<{ found: Found; encoder: Encoder | undefined }> {
  const { root } = definition;
  const { preTokenizer: wanted } = options;
  if (wanted === undefined) {
    const encoder = createEncoder(definition);
    const ignoresMerges = root.get("model").get("ignore_merges").boolean ?? false;
    return { found: await findPreTokenizer(encoder, ignoresMerges, root.get("pre_tokenizer")), encoder };
  }
  const encoder = usableEncoder(definition);
  return { found: namedPreTokenizer(wanted, encoder), encoder };
}

function usableEncoder(definition: Definition): Encoder | undefined {
  try {
    return createEncoder(definition);
  } catch (thrown) {
    if (!isFewbitError(thrown, "E_TOKENIZER")) throw thrown;
    return undefined;
  }
}

/** What tokens stand for, by what tokenizer.json says of its model. */
function kindOf(root: Json): "unigram" | "characters" | "words" | "bytes" {
  const model = root.get("model");
  const type = model.get("type").string;
  if (model.get("vocab").missing) throw model.error("The model has no vocabulary.");
  if (type === "Unigram" || (type === undefined && model.get("vocab").list !== undefined)) return "unigram";
  if (type === "WordPiece" || (type === undefined && model.get("merges").missing)) return "words";
  if (type !== "BPE" && type !== undefined)
    throw model
      .get("type")
      .error(
        `GGUF cannot hold a vocabulary of type ${JSON.stringify(type)}; it holds BPE, Unigram and WordPiece.`,
        "Only models with such a vocabulary can be converted.",
      );
  const isByteLevel = (part: Json): boolean => part.get("type").string === "ByteLevel";
  return parts(root.get("decoder")).some(isByteLevel) || parts(root.get("pre_tokenizer")).some(isByteLevel)
    ? "bytes"
    : "characters";
}

/** What becomes of a text before it is cut. */
function normalizing(root: Json): Pick<SentencePiece, "addsPrefix" | "removesExtraSpaces" | "charsMap"> {
  const steps = [...parts(root.get("normalizer")), ...parts(root.get("pre_tokenizer"))];
  const typed = (type: string): Json | undefined => steps.find((step) => step.get("type").string === type);
  const metaspace = typed("Metaspace");
  const scheme = metaspace?.get("prepend_scheme").string ?? "always";
  const map = typed("Precompiled")?.get("precompiled_charsmap");
  return {
    addsPrefix:
      typed("Prepend") !== undefined ||
      (metaspace !== undefined && scheme !== "never" && metaspace.get("add_prefix_space").boolean !== false),
    removesExtraSpaces:
      typed("WhitespaceSplit") !== undefined ||
      steps.some((step) => / \{2,\}|\\s\+/.test(step.get("pattern").get("Regex").string ?? "")),
    charsMap: map === undefined || map.missing ? new Uint8Array() : base64(map),
  };
}

function base64(json: Json): Uint8Array {
  try {
    return Uint8Array.from(atob(json.text()), (character) => character.charCodeAt(0));
  } catch (thrown) {
    if (isFewbitError(thrown)) throw thrown;
    throw json.error("The rules of the normalizer are not in base64.");
  }
}

/** The steps of a sequence, however deep, or the one step. */
function parts(step: Json): readonly Json[] {
  if (step.missing) return [];
  for (const list of ["normalizers", "pretokenizers", "decoders"]) {
    const inner = step.get(list).list;
    if (inner !== undefined) return inner.flatMap(parts);
  }
  return [step];
}

function unigramSettings({
  addsPrefix,
  removesExtraSpaces,
  charsMap,
}: Pick<SentencePiece, "addsPrefix" | "removesExtraSpaces" | "charsMap">): MetadataEntry[] {
  return [
    flag("add_space_prefix", addsPrefix),
    flag("remove_extra_whitespaces", removesExtraSpaces),
    ...(charsMap.length === 0
      ? []
      : [{ key: "tokenizer.ggml.precompiled_charsmap", type: "array<u8>", value: charsMap }]),
  ];
}

const flag = (name: string, value: boolean): MetadataEntry => ({
  key: `tokenizer.ggml.${name}`,
  type: "bool",
  value,
});

const unknownId = (id: number): MetadataEntry | undefined =>
  id < 0 ? undefined : { key: "tokenizer.ggml.unknown_token_id", type: "u32", value: id };

/** Where no file names them, by the spellings that all of BERT's family share. */
const wordSpecials = ({ added }: Definition): (MetadataEntry | undefined)[] =>
  (
    [
      ["bos", "[CLS]"],
      ["eos", "[SEP]"],
      ["unknown", "[UNK]"],
      ["seperator", "[SEP]"],
      ["padding", "[PAD]"],
      ["mask", "[MASK]"],
    ] as const
  ).map(([role, spelling]) => {
    const token = added.find(({ content }) => content === spelling);
    return token === undefined
      ? undefined
      : { key: `tokenizer.ggml.${role}_token_id`, type: "u32", value: token.id };
  });

/** Entries that llama.cpp would otherwise take another value for. */
function withDefaults(
  entries: readonly MetadataEntry[],
  defaults: readonly (MetadataEntry | undefined)[],
): MetadataEntry[] {
  const keys = new Set(entries.map(({ key }) => key));
  return [
    ...entries,
    ...defaults.filter((entry) => entry !== undefined && !keys.has(entry.key)),
  ] as MetadataEntry[];
}

/** llama.cpp marks the beginnings of words, WordPiece what goes on within one. */
function joinWords({ tokens, types }: Vocabulary, prefix: string): void {
  for (const [id, token] of tokens.entries())
    if (types[id] !== tokenType.control)
      tokens[id] = token.startsWith(prefix) ? token.slice(prefix.length) : `\u2581${token}`;
}

/** llama.cpp ends its process at a character that it can spell neither as tokens nor as bytes. */
function warnWithoutBytes({ types }: Vocabulary, warnings: string[]): void {
  if (!types.includes(tokenType.byte))
    warnings.push(
      "The vocabulary has no tokens for single bytes: llama.cpp stops at any character that the vocabulary lacks.",
    );
}

/** What llama.cpp's converter adds for some models of a family. */
function adjusted(
  entries: readonly MetadataEntry[],
  { architecture }: TokenizerOptions,
  config: Config,
  tokenizerConfig: Json,
): readonly MetadataEntry[] {
  if (architecture !== "llama") return entries;
  const prefix = tokenizerConfig.get("add_prefix_space").boolean;
  const size = config.integer("vocab_size", 32000);
  const id = (name: string, value: number): MetadataEntry => ({
    key: `tokenizer.ggml.${name}_token_id`,
    type: "u32",
    value,
  });
  const added = [
    ...(prefix === undefined ? [] : [flag("add_space_prefix", prefix)]),
    ...entries.filter(({ key }) => prefix === undefined || key !== "tokenizer.ggml.add_space_prefix"),
    // Code Llama's tokens for filling in.
    ...(size === 32016
      ? [id("prefix", 32007), id("suffix", 32008), id("middle", 32009), id("eot", 32010)]
      : []),
    // Granite's small models.
    ...(size === 49152 ? [flag("add_bos_token", false)] : []),
  ];
  return [...new Map(added.map((entry) => [entry.key, entry])).values()];
}
