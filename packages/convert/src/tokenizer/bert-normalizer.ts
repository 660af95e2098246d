// What the tokenizers library (the original, in Rust) does to texts before it looks words up in BERT's vocabularies.
// Its JavaScript version does not separate ideographs beyond U+FFFF, and makes letters small as a whole text.
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
}

/** Ideographs that are words of their own, as BERT's authors list them. */
const IDEOGRAPH =
  /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/gu;

/** Lets a normalizer, or those that it is made of, work as the original. */
export function correctNormalizer(normalizer: Normalizer | null): void {
  if (normalizer === null) return;
  const { config, normalizers = [] } = normalizer;
  if (config?.type === "BertNormalizer") normalizer.normalize = (text) => normalize(text, config);
  for (const inner of normalizers) correctNormalizer(inner);
}

function normalize(text: string, settings: Settings): string {
  const { clean_text = true, handle_chinese_chars = true, lowercase = true, strip_accents } = settings;
  let result = text;
  if (clean_text)
    result = result.replaceAll(/[\0\ufffd]|(?![\t\n\r])\p{C}/gu, "").replaceAll(/\p{White_Space}/gu, " ");
  if (handle_chinese_chars) result = result.replaceAll(IDEOGRAPH, " $& ");
  if (strip_accents ?? lowercase) result = result.normalize("NFD").replaceAll(/\p{Mn}/gu, "");
  if (lowercase) result = Array.from(result, (letter) => letter.toLowerCase()).join("");
  return result;
}
