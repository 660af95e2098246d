// What the tokenizers library (the original, in Rust) does to texts before it cuts them. Of its JavaScript version,
// BERT's normalizer does not separate ideographs beyond U+FFFF, makes letters small as a whole text and keeps unassigned
// characters; compiled rules are taken for NFKC; something is put even before an empty text.
import { CharsMap, normalizeGraphemes, normalizeLongest } from "./chars-map.js";

/** As the library makes them. */
export interface Normalizer {
  normalize(text: string): string;
  readonly config?: Settings;
  readonly normalizers?: readonly Normalizer[];
}

interface Settings {
  readonly type?: string;
  readonly clean_text?: boolean;
  readonly handle_chinese_chars?: boolean;
  readonly lowercase?: boolean;
  readonly strip_accents?: boolean | null;
  readonly prepend?: string;
  /** In base64. */
  readonly precompiled_charsmap?: string | null;
  /** Whether rules are applied as SentencePiece does, whose file they are from; nothing that a file says. */
  readonly [LONGEST_RULES]?: boolean;
}

/** Marks settings that come from a SentencePiece model. */
export const LONGEST_RULES: unique symbol = Symbol("longest rules");

/** Lets a normalizer, or those that it is made of, work as the original. */
export function correctNormalizer(normalizer: Normalizer | null): void {
  if (normalizer === null) return;
  const { config, normalizers = [] } = normalizer;
  if (config?.type === "BertNormalizer") normalizer.normalize = (text) => normalizeWords(text, config);
  if (config?.type === "Prepend")
    normalizer.normalize = (text) => (text === "" ? "" : (config.prepend ?? "") + text);
  if (config?.type === "Precompiled" && typeof config.precompiled_charsmap === "string") {
    const map = new CharsMap(
      Uint8Array.from(atob(config.precompiled_charsmap), (character) => character.charCodeAt(0)),
    );
    const apply = config[LONGEST_RULES] === true ? normalizeLongest : normalizeGraphemes;
    normalizer.normalize = (text) => apply(text, map);
  }
  for (const inner of normalizers) correctNormalizer(inner);
}

/** Ideographs that are words of their own, as BERT's authors list them. */
const IDEOGRAPH =
  /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/gu;

function normalizeWords(text: string, settings: Settings): string {
  const { clean_text = true, handle_chinese_chars = true, lowercase = true, strip_accents } = settings;
  let result = text;
  if (clean_text)
    result = result.replaceAll(/[\0\ufffd]|(?![\t\n\r])\p{C}/gu, "").replaceAll(/\p{White_Space}/gu, " ");
  if (handle_chinese_chars) result = result.replaceAll(IDEOGRAPH, " $& ");
  if (strip_accents ?? lowercase) result = result.normalize("NFD").replaceAll(/\p{Mn}/gu, "");
  if (lowercase) result = Array.from(result, (letter) => letter.toLowerCase()).join("");
  return result;
}
