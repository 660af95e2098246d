// The source's own tokenizer, by the library of Hugging Face: what the GGUF file's tokenizer is measured by.
import { Tokenizer } from "@huggingface/tokenizers";
import { type Definition, namedToken } from "./definition.js";
import { correctNormalizer } from "./exact-normalizers.js";
import { Json } from "./json.js";
import { refuseUnfitPatterns } from "./unfit-patterns.js";

export interface Encoder {
  /** Token numbers, with those that texts begin and end with unless `special` is false. */
  encode(text: string, special?: boolean): readonly number[];
  decode(ids: readonly number[]): string;
  /** The text as the normalizer leaves it. */
  normalize(text: string): string;
  /** The words that tokens never reach beyond, each byte as one character. */
  split(text: string): readonly string[];
  /** The tokens that words are cut into. */
  cut(words: readonly string[]): readonly string[];
}

/** GPT-2's, which `ByteLevel` means where it says no other. */
const WORDS = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;

const SIGNS = String.raw`[\p{P}\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e]`;

/** @throws `E_TOKENIZER` where the library cannot work with the tokenizer */
export function createEncoder(definition: Definition): Encoder {
  refuseUnfitPatterns(definition.root);
  const { root, config } = definition;
  const part = (name: string): unknown => root.get(name).value ?? null;
  let tokenizer: Tokenizer;
  try {
    tokenizer = new Tokenizer(
      {
        added_tokens: definition.added.map(({ at, id, content, special, normalized }) => ({
          id,
          content,
          special,
          normalized,
          lstrip: at.get("lstrip").boolean ?? false,
          rstrip: at.get("rstrip").boolean ?? false,
        })),
        normalizer: part("normalizer"),
        pre_tokenizer: exactSteps(part("pre_tokenizer")),
        post_processor: flaggedTemplate(definition) ?? part("post_processor"),
        decoder: part("decoder"),
        model: part("model"),
      },
      { ...(config.value as object | undefined), clean_up_tokenization_spaces: false },
    );
    correctNormalizer(tokenizer.normalizer);
  } catch (cause) {
    throw refused(root, cause);
  }
  const guarded =
    <In extends unknown[], Out>(call: (...input: In) => Out) =>
    (...input: In): Out => {
      try {
        return call(...input);
      } catch (cause) {
        throw refused(root, cause);
      }
    };
  return {
    encode: guarded(
      (text: string, special = true) => tokenizer.encode(text, { add_special_tokens: special }).ids,
    ),
    decode: guarded((ids: readonly number[]) => tokenizer.decode([...ids])),
    normalize: guarded((text: string) => (tokenizer.normalizer === null ? text : tokenizer.normalizer(text))),
    split: guarded((text: string) =>
      tokenizer.pre_tokenizer === null ? [text] : tokenizer.pre_tokenizer(text, { section_index: 0 }),
    ),
    cut: guarded((words: readonly string[]) => tokenizer.model!([...words])),
  };
}

const refused = (root: Json, cause: unknown): Error =>
  root.error(`The tokenizer does not work: ${cause instanceof Error ? cause.message : String(cause)}.`);

/** Classes of the transformers library that go by flags of their settings, whatever template tokenizer.json has. */
const FLAGGED = /^(?:Code)?(?:Llama|Gemma)Tokenizer(?:Fast)?$/;

/** The template that such flags ask for; undefined where there are none, and a template. */
function flaggedTemplate(definition: Definition): object | undefined {
  const { root, config, added } = definition;
  if (!FLAGGED.test(config.get("tokenizer_class").string ?? "")) return undefined;
  const flags = (["bos", "eos"] as const).map((role) => {
    // Without any word on it these classes begin texts with a token.
    const silent = role === "bos" && root.get("post_processor").missing ? true : undefined;
    const adds = config.get(`add_${role}_token`).boolean ?? silent;
    const token = added.find(({ content }) => content === namedToken(definition, role));
    return { adds, token };
  });
  if (flags.every(({ adds }) => adds === undefined)) return undefined;
  const [first, last] = flags.map(({ adds, token }) =>
    adds === true && token !== undefined ? [{ SpecialToken: { id: token.content, type_id: 0 } }] : [],
  );
  return {
    type: "TemplateProcessing",
    single: [...first!, { Sequence: { id: "A", type_id: 0 } }, ...last!],
    pair: [],
    special_tokens: Object.fromEntries(
      flags.flatMap(({ token }) =>
        token === undefined
          ? []
          : [[token.content, { id: token.content, ids: [token.id], tokens: [token.content] }]],
      ),
    ),
  };
}

const isolated = (pattern: string): object => ({
  type: "Split",
  pattern: { Regex: pattern },
  behavior: "Isolated",
  invert: false,
});

/**
 * Steps that the library splits texts with, where it differs from the original: its `ByteLevel` takes JavaScript's
 * `\s`, which has U+FEFF and lacks U+0085; its `Digits` knows those of ASCII only; its `Punctuation` never parts signs.
 */
function exactSteps(part: unknown): unknown {
  const json = new Json(part, "");
  const behavior = json.get("behavior").string;
  switch (json.get("type").string) {
    case "Sequence":
      return {
        ...(part as object),
        pretokenizers: (json.get("pretokenizers").list ?? []).map(({ value }) => exactSteps(value)),
      };
    case "ByteLevel":
      // One that puts a space first as well cannot be taken apart.
      if (json.get("use_regex").boolean === false || json.get("add_prefix_space").boolean === true)
        return part;
      return {
        type: "Sequence",
        pretokenizers: [isolated(WORDS), { ...(part as object), use_regex: false }],
      };
    case "Digits":
      return isolated(
        json.get("individual_digits").boolean === true ? String.raw`\p{N}` : String.raw`\p{N}+`,
      );
    case "Punctuation":
      if (behavior === "Removed" || behavior?.startsWith("Merged")) return part;
      return isolated(behavior === "Contiguous" ? `${SIGNS}+` : SIGNS);
    default:
      return part;
  }
}
