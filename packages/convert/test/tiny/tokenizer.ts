// Tiny tokenizers in the shapes that real checkpoints have: byte-level BPE, SentencePiece, WordPiece.
import { PbfWriter } from "pbf";

/** File name → content. */
export type Files = Readonly<Record<string, string | Uint8Array>>;

/** Tokens that carry no text, in the order of their ids. */
export interface Specials {
  readonly tokens: readonly string[];
  readonly bos?: string;
  readonly eos: string;
  readonly pad?: string;
  readonly unk?: string;
}

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

const MERGES = [
  "h e",
  "i n",
  "r e",
  "o n",
  "e r",
  "a n",
  "Ġ t",
  "Ġ a",
  "Ġt he",
  "an d",
  "Ġ s",
  "Ġa nd",
  "o u",
  "Ġ w",
  "l l",
  "in g",
  "Ġ b",
  "e d",
  "Ġ he",
  "1 2",
];

/** The printable stand-ins of bytes in byte-level BPE, by the order of their ids in GPT-2's vocabulary. */
export function byteLetters(): string[] {
  const printable = (byte: number): boolean =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  const bytes = Array.from({ length: 256 }, (_, i) => i);
  return [
    ...bytes.filter(printable).map((byte) => String.fromCodePoint(byte)),
    ...bytes.filter((byte) => !printable(byte)).map((_, i) => String.fromCodePoint(256 + i)),
  ];
}

const split = (pattern: string): object => ({
  type: "Sequence",
  pretokenizers: [
    { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false },
    { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
  ],
});

/** How real checkpoints cut text before merging, by llama.cpp's name of it. */
const PRE_TOKENIZERS: Readonly<Record<string, object>> = {
  "gpt-2": { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
  starcoder: {
    type: "Sequence",
    pretokenizers: [
      { type: "Digits", individual_digits: true },
      { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
    ],
  },
  qwen2: split(
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  ),
  "llama-bpe": split(
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  ),
  "gpt-4o": split(
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  ),
};

/** 276 tokens and the special ones. */
export function byteLevel(pre: keyof typeof PRE_TOKENIZERS & string, specials: Specials): Files {
  const letters = byteLetters();
  const vocabulary = [...letters, ...MERGES.map((merge) => merge.replace(" ", ""))];
  const vocab = Object.fromEntries(vocabulary.map((token, id) => [token, id]));
  const added = specials.tokens.map((content, i) => ({ id: vocabulary.length + i, ...flags(content) }));
  return {
    "tokenizer.json": json({
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: added,
      normalizer: pre === "qwen2" ? { type: "NFC" } : null,
      pre_tokenizer: PRE_TOKENIZERS[pre],
      post_processor: { type: "ByteLevel", add_prefix_space: true, trim_offsets: false, use_regex: true },
      decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
      model: {
        type: "BPE",
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: "",
        end_of_word_suffix: "",
        fuse_unk: false,
        byte_fallback: false,
        vocab,
        merges: MERGES,
      },
    }),
    ...settings("GPT2Tokenizer", specials, added),
  };
}

const flags = (content: string) => ({
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
});

function settings(
  kind: string,
  specials: Specials,
  added: readonly { readonly id: number; readonly content: string }[],
  more: Readonly<Record<string, unknown>> = {},
): Files {
  return {
    "tokenizer_config.json": json({
      added_tokens_decoder: Object.fromEntries(added.map(({ id, content }) => [id, flags(content)])),
      ...(specials.bos === undefined ? {} : { bos_token: specials.bos }),
      eos_token: specials.eos,
      ...(specials.pad === undefined ? {} : { pad_token: specials.pad }),
      ...(specials.unk === undefined ? {} : { unk_token: specials.unk }),
      model_max_length: 2048,
      tokenizer_class: kind,
      ...more,
    }),
  };
}

const PIECES = ["▁t", "he", "▁the", "in", "▁a", "er", "▁s", "on", "an", "▁an", "▁and", "ing", "re", "▁w"];
const LETTERS = "▁etaoinshrdlcumwfgypbvkjxqz0123456789.,!?'\"-ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/** Piece types of SentencePiece. */
const NORMAL = 1;
const UNKNOWN = 2;
const CONTROL = 3;
const BYTE = 6;

/** The special tokens, 256 bytes, some pieces and letters: at most 342 tokens. */
export function sentencePiece(specials: Specials, kind: string): Files {
  const unknown = specials.unk ?? "<unk>";
  const pieces: { readonly piece: string; readonly score: number; readonly type: number }[] = [
    ...specials.tokens.map((piece) => ({ piece, score: 0, type: piece === unknown ? UNKNOWN : CONTROL })),
    ...Array.from({ length: 256 }, (_, byte) => ({
      piece: `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`,
      score: 0,
      type: BYTE,
    })),
    ...[...PIECES, ...LETTERS].map((piece, i) => ({ piece, score: -i, type: NORMAL })),
  ];
  const out = new PbfWriter();
  for (const each of pieces)
    out.writeMessage(
      1,
      (it, pbf) => {
        pbf.writeStringField(1, it.piece);
        pbf.writeFloatField(2, it.score);
        pbf.writeVarintField(3, it.type);
      },
      each,
    );
  const idOf = (token: string | undefined): number => specials.tokens.indexOf(token ?? "");
  out.writeMessage(
    2,
    (_, pbf) => {
      pbf.writeVarintField(3, 2); // BPE
      pbf.writeVarintField(4, pieces.length);
      pbf.writeBooleanField(35, true); // bytes stand for letters that are no pieces
      pbf.writeVarintField(40, idOf(unknown));
      pbf.writeVarintField(41, idOf(specials.bos));
      pbf.writeVarintField(42, idOf(specials.eos));
      pbf.writeVarintField(43, idOf(specials.pad));
    },
    undefined,
  );
  out.writeMessage(
    3,
    (_, pbf) => {
      pbf.writeStringField(1, "identity");
      pbf.writeBooleanField(3, kind !== "GemmaTokenizer"); // a space before the text
      pbf.writeBooleanField(4, false);
      pbf.writeBooleanField(5, true);
    },
    undefined,
  );
  const added = specials.tokens.map((content, id) => ({ id, content }));
  return {
    "tokenizer.model": out.finish().slice(),
    ...settings(kind, specials, added, { add_bos_token: true, add_eos_token: false }),
  };
}

const WORDS = [
  "the",
  "and",
  "he",
  "she",
  "it",
  "was",
  "once",
  "upon",
  "time",
  "little",
  "##ing",
  "##ed",
  "##s",
];

/** As BERT's: lower-cased words and their parts. */
export function wordPiece(): Files {
  const specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
  const letters = [..."abcdefghijklmnopqrstuvwxyz0123456789"];
  const vocabulary = [
    ...specials,
    ...letters,
    ...letters.map((letter) => `##${letter}`),
    ...".,!?'\"-",
    ...WORDS,
  ];
  const part = (id: string, type_id: number) => ({ SpecialToken: { id, type_id } });
  const text = (id: string, type_id: number) => ({ Sequence: { id, type_id } });
  const token = (id: string) => [id, { id, ids: [specials.indexOf(id)], tokens: [id] }];
  const added = specials.map((content, id) => ({ id, ...flags(content) }));
  return {
    "vocab.txt": `${vocabulary.join("\n")}\n`,
    "tokenizer.json": json({
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: added,
      normalizer: {
        type: "BertNormalizer",
        clean_text: true,
        handle_chinese_chars: true,
        strip_accents: null,
        lowercase: true,
      },
      pre_tokenizer: { type: "BertPreTokenizer" },
      post_processor: {
        type: "TemplateProcessing",
        single: [part("[CLS]", 0), text("A", 0), part("[SEP]", 0)],
        pair: [part("[CLS]", 0), text("A", 0), part("[SEP]", 0), text("B", 1), part("[SEP]", 1)],
        special_tokens: Object.fromEntries(["[CLS]", "[SEP]"].map(token)),
      },
      decoder: { type: "WordPiece", prefix: "##", cleanup: true },
      model: {
        type: "WordPiece",
        unk_token: "[UNK]",
        continuing_subword_prefix: "##",
        max_input_chars_per_word: 100,
        vocab: Object.fromEntries(vocabulary.map((word, id) => [word, id])),
      },
    }),
    ...settings("BertTokenizer", { tokens: specials, eos: "[SEP]", pad: "[PAD]", unk: "[UNK]" }, added, {
      cls_token: "[CLS]",
      sep_token: "[SEP]",
      mask_token: "[MASK]",
      do_lower_case: true,
    }),
  };
}
