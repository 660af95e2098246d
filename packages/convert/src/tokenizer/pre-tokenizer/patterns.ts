// How llama.cpp's pre-tokenizers split texts into words (llama-vocab.cpp of v0.5.0): regular expressions, one after
// another, each applied to what the ones before it left; what one matches is a word, and so is what lies between.

/** One that llama.cpp has, under some names. */
export interface PreTokenizer {
  /** The first is the one to write. */
  readonly names: readonly string[];
  readonly patterns: readonly string[];
  /**
   * The patterns that tokenizer.json has for it, where llama.cpp's are made to do nearly the same: it cannot tell
   * capital letters from small ones beyond ASCII.
   */
  readonly original?: readonly string[];
  /** Whether a word that is a token is taken whole, whatever merges say. */
  readonly ignoresMerges?: boolean;
  /** Whether texts begin with a token unless the file says otherwise. */
  readonly addsBos?: boolean;
}

const CONTRACTION = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";
const REST = String.raw`\s*[\r\n]+|\s+(?!\S)|\s+`;
const SYMBOLS = String.raw` ?[^\s\p{L}\p{N}]+[\r\n]*`;
const GPT2 = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)`;
const LETTERS = String.raw`[^\r\n\p{L}\p{N}]?\p{L}+`;
const LLAMA3 = String.raw`${CONTRACTION}|${LETTERS}|\p{N}{1,3}|${SYMBOLS}|${REST}`;
const QWEN2 = String.raw`${CONTRACTION}|${LETTERS}|\p{N}|${SYMBOLS}|${REST}`;
const DEEPSEEK3_LETTERS = String.raw`[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_${"`"}{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+`;
const KANA = String.raw`[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+`;
const BLOOM = String.raw` ?[^(\s|.,!?…。，、।۔،)]+`;

/** Words whose letters are capital first and small then: `ABCdef`. Beyond ASCII any `letter` is both. */
const cased = (letter: string, before: string, after: string): string =>
  `${before}((?=[${letter}])([^a-z]))*((?=[${letter}])([^A-Z]))+${after}|` +
  `${before}((?=[${letter}])([^a-z]))+((?=[${letter}])([^A-Z]))*${after}`;
const BEFORE = String.raw`[^\r\n\p{L}\p{N}]?`;
const SLASHED = String.raw` ?[^\s\p{L}\p{N}]+[\r\n/]*|${REST}`;
/** llama.cpp does not tell capital letters from small ones in these. */
const UNCASED = String.raw`[\p{L}\p{M}]`;
const UNICODE_CASED =
  `${BEFORE}${UNCASED}*${UNCASED}+${CONTRACTION}?|` + `${BEFORE}${UNCASED}+${UNCASED}*${CONTRACTION}?`;

const CAPITALS = String.raw`[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`;
const SMALLS = String.raw`[\p{Ll}\p{Lm}\p{Lo}\p{M}]`;

/** Words with capitals first, as the originals have them. */
const casedOriginal = (after: string): string =>
  `${BEFORE}${CAPITALS}*${SMALLS}+${after}|${BEFORE}${CAPITALS}+${SMALLS}*${after}`;
const ANY_CASE = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const GPT4O = String.raw`${casedOriginal(`${ANY_CASE}?`)}|\p{N}{1,3}|${SLASHED}`;

/** Letters of alphabets with capitals, as one of DeepSeek's first tokenizers lists them. */
const CASED_ALPHABETS = String.raw`A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\u{10400}-\u{1044f}\u{104b0}-\u{104d3}\u{104d8}-\u{104fb}\u{10c80}-\u{10cb2}\u{10cc0}-\u{10cf2}\u{118a0}-\u{118df}\u{1e900}-\u{1e943}`;
const EAST_ASIAN = String.raw`[\u4e00-\u9fff\u3400-\u4dbf\u8c48-\ufaff\u3040-\u309f\u30a0-\u30ff\uff65-\uff9f\u2f00-\u2fdf\u0e40-\u0e7f\u0e80-\u0eff\u1780-\u17ff\u1000-\u109f\uaa60-\uaa7f\ua9e0-\ua9ff\uac00-\ud7af\u1100-\u11ff]+`;
const CJK = String.raw`[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+`;
/** Digits in threes, counted from the last; what stands before them comes with the first. */
const THREES = String.raw`\P{N}*\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))`;

const DEEPSEEK3_FIRST = [String.raw`\p{N}{1,3}`, KANA];

/** All that split texts into words and then bytes. The kinds that read tokens of whole characters are not among them. */
export const preTokenizers: readonly PreTokenizer[] = [
  {
    names: [
      "gpt-2",
      "phi-2",
      "jina-es",
      "jina-de",
      "gigachat",
      "jina-v2-es",
      "jina-v2-de",
      "a.x-4.0",
      "mellum",
      "modern-bert",
      "jina-v1-en",
      "jina-v2-code",
      "roberta-bpe",
      "exaone4",
      "mpt",
      "olmo",
      "jais",
      "trillion",
      "granite-docling",
    ],
    patterns: [GPT2],
  },
  {
    names: [
      "llama-bpe",
      "llama3",
      "llama-v3",
      "falcon3",
      "falcon-h1",
      "pixtral",
      "midm-2.0",
      "lfm2",
      "jina-v5-nano",
    ],
    patterns: [LLAMA3],
    ignoresMerges: true,
    addsBos: true,
  },
  { names: ["smaug-bpe", "dbrx", "glm4", "chatglm-bpe"], patterns: [LLAMA3] },
  {
    names: [
      "qwen2",
      "stablelm2",
      "deepseek-r1-qwen",
      "kormo",
      "f2llmv2",
      "megrez",
      "hunyuan",
      "solar-open",
      "grok-2",
    ],
    patterns: [QWEN2],
  },
  {
    names: ["qwen35"],
    patterns: [
      String.raw`${CONTRACTION}|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|${REST}`,
    ],
  },
  {
    names: ["starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2"],
    patterns: [String.raw`\p{N}`, GPT2],
  },
  {
    names: ["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"],
    original: [GPT4O],
    patterns: [`${cased(String.raw`\p{L}`, BEFORE, `${CONTRACTION}?`)}|\\p{N}{1,3}|${SLASHED}`],
  },
  {
    names: ["granite-embed-multi-97m"],
    patterns: [`${cased(String.raw`\p{L}\p{M}`, BEFORE, `${CONTRACTION}?`)}|\\p{N}{1,3}|${SLASHED}`],
    ignoresMerges: true,
  },
  {
    names: ["tekken"],
    original: [String.raw`${casedOriginal("")}|\p{N}|${SLASHED}`],
    patterns: [`${cased(String.raw`\p{L}`, BEFORE, "")}|\\p{N}|${SLASHED}`],
    ignoresMerges: true,
    addsBos: true,
  },
  {
    names: ["deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"],
    patterns: [...DEEPSEEK3_FIRST, String.raw`${DEEPSEEK3_LETTERS}| ?[\p{P}\p{S}]+[\r\n]*|${REST}`],
  },
  {
    names: ["deepseek-llm"],
    patterns: [
      String.raw`[\r\n]`,
      String.raw`\s?[${CASED_ALPHABETS}]+`,
      String.raw`\s?[!-\/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+`,
      String.raw`\s+$`,
      CJK,
      String.raw`\p{N}+`,
    ],
  },
  {
    names: ["deepseek-coder"],
    patterns: [String.raw`[\r\n]`, String.raw`\s?\p{L}+`, String.raw`\s?\p{P}+`, CJK, String.raw`\p{N}`],
  },
  {
    names: ["spark2_5"],
    patterns: [
      ...DEEPSEEK3_FIRST,
      String.raw`${DEEPSEEK3_LETTERS}| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+`,
      String.raw`\p{N}`,
    ],
  },
  {
    names: ["youtu"],
    patterns: [
      String.raw`[\uac00-\ud7a3\u3131-\u318e]+|[\uff01\u2026\u201c\u201d\u2018\u2019\u2014\uff1a\uff1b\uff0c\u3001-\u303f\ufe30-\ufe4f]+|[\u3105-\u312f]+|${KANA}`,
      String.raw`${UNICODE_CASED}|\p{N}|${SLASHED}`,
    ],
    ignoresMerges: true,
  },
  {
    names: ["falcon"],
    patterns: [String.raw`[\p{P}$+<=>^~\|${"`"}]+`, GPT2, "[0-9][0-9][0-9]"],
  },
  { names: ["bloom", "poro-chat", "gpt3-finnish"], patterns: [BLOOM] },
  { names: ["viking"], patterns: [BLOOM, String.raw`\p{N}`] },
  {
    names: ["jais-2"],
    patterns: [
      String.raw`${CONTRACTION}|${LETTERS}|\p{N}{1,3}|${SYMBOLS}|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}`,
    ],
  },
  {
    names: ["chameleon"],
    patterns: [
      "<sentinel:[0-9]+>",
      "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z",
      String.raw`([\t\n]|    |  )`,
      String.raw`\p{N}`,
      String.raw`[\p{P}!-\/:-@\[-${"`"}\{-~]`,
      GPT2,
    ],
    addsBos: true,
  },
  {
    names: ["tiny_aya", "cohere2moe"],
    original: [String.raw`\d{1,3}(?=(?:\d{3})*\b)`, GPT4O],
    patterns: [THREES, String.raw`${UNICODE_CASED}|\p{N}{1,3}|${SLASHED}`],
  },
  { names: ["superbpe"], patterns: [String.raw`\p{N}+`, "(?=([0-9]{3})+(?![0-9]))"] },
  {
    names: ["bailingmoe", "bailingmoe2", "llada-moe"],
    patterns: [
      String.raw`'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|${LETTERS}|\p{N}|${SYMBOLS}|\s*[\r\n]|\s+(?!\S)|\s+`,
    ],
  },
  {
    names: ["seed-coder"],
    patterns: [String.raw`${CONTRACTION}|${LETTERS}|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|${REST}`],
  },
  { names: ["ufakzeka"], patterns: [String.raw`${LETTERS}|\p{N}|${SYMBOLS}|${REST}`] },
  {
    names: ["afmoe"],
    patterns: [THREES, EAST_ASIAN, String.raw`${DEEPSEEK3_LETTERS}| ?[\p{P}\p{S}]+[\r\n]*|${REST}`],
  },
  { names: ["laguna"], patterns: [String.raw`[^\n]+|[\n]+`, QWEN2] },
  {
    names: ["exaone-moe"],
    patterns: [
      String.raw`${CONTRACTION}|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n\/]?|\s*[\r\n]|\s+(?!\S)|\s+`,
    ],
  },
  {
    names: ["minicpm5"],
    original: [String.raw`\p{N}{1,3}`, String.raw`${ANY_CASE}|${LETTERS}|\p{N}+|${SYMBOLS}|${REST}`],
    patterns: [String.raw`\p{N}{1,3}`, String.raw`${CONTRACTION}|${LETTERS}|\p{N}+|${SYMBOLS}|${REST}`],
    ignoresMerges: true,
  },
  {
    names: ["default"],
    patterns: [String.raw`[\p{P}$+<=>^~\|]+`, GPT2, String.raw`\p{N}+`, "[0-9][0-9][0-9]"],
  },
];

/** Names that llama.cpp knows besides: they read tokens of whole characters, or need more than patterns. */
const others = ["gemma4", "granite-embed-multi-311m", "sarvam-moe", "whitespace", "kimi-k2"];

/** Every name that a file may hold. */
export const preTokenizerNames: readonly string[] = [
  ...preTokenizers.flatMap(({ names }) => names),
  ...others,
].sort();
