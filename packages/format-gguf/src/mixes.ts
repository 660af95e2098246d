// llama.cpp's mixes as data: which roles of tensor leave the base type, when, and for what. The rules are those of
// release v0.5.0; earlier releases treated fused attn_qkv tensors differently under the same names.

/** What a rule may look at. */
export interface Place {
  /** Position among `count` tensors of the role: a layer number, or how many were visited before. */
  readonly index: number;
  readonly count: number;
  readonly headRatio: number;
  readonly experts: number;
  readonly falcon: boolean;
  /** Whether the model is quantized with an importance matrix. */
  readonly importance: boolean;
}

export interface Choice {
  readonly type: string;
  readonly reason: string;
}

/** Undefined: the base type. */
export type Rule = (at: Place) => Choice | undefined;

export interface Mix {
  /** `general.file_type` of the output. */
  readonly fileType: number;
  readonly base: string;
  readonly summary: string;
  /** The output tensor, and a token embedding that doubles as one. Q6_K unless said otherwise. */
  readonly output?: string;
  readonly embedding?: string;
  /** attn_v, and tensors that contain it: attn_qkv, attn_kv_b. */
  readonly values?: Rule;
  readonly keys?: Rule;
  readonly queries?: Rule;
  readonly attentionOutput?: Rule;
  readonly down?: Rule;
  /** ffn_gate and ffn_up. */
  readonly gateUp?: Rule;
  /** The types around 2 bits and below have rules of their own for models of 8 experts. */
  readonly lowBit?: true;
  /** Whether attention outputs of 8-expert models become Q5_K. */
  readonly widerOutputOfEight?: true;
  /** Schemes that llama.cpp makes without an importance matrix elsewhere, but not in this mix. */
  readonly needsImportance?: readonly string[];
}

const always =
  (type: string, reason: string): Rule =>
  () => ({ type, reason });

const not =
  (rule: (at: Place) => boolean, then: Rule): Rule =>
  (at) =>
    rule(at) ? undefined : then(at);

const when =
  (test: (at: Place) => boolean, then: Rule, otherwise?: Rule): Rule =>
  (at) =>
    test(at) ? then(at) : otherwise?.(at);

const inFirst =
  (part: 8 | 16) =>
  ({ index, count }: Place): boolean =>
    index < Math.floor(count / part);

/** The first and the last eighth, and every third in between. */
export const moreBits = ({ index, count }: Place): boolean =>
  index < Math.floor(count / 8) ||
  index >= Math.floor((7 * count) / 8) ||
  (index - Math.floor(count / 8)) % 3 === 2;

const sharedValues = ({ headRatio }: Place): boolean => headRatio >= 4;
const falcon = (at: Place): boolean => at.falcon;
const importance = (at: Place): boolean => at.importance;

const SHARED = "attention values are small where 4 or more query heads share them";
const VALUES = "attention values are sensitive";
const DOWN = "the feed-forward's down projection is sensitive";
const SPREAD = "more bits in the first and last eighth of the layers and every third between";
const OUTPUT = "the attention's output is sensitive";
const KEYS = "attention keys and queries bear fewer bits";
const EARLY8 = "the first eighth of the layers is sensitive";
const EARLY16 = "the first sixteenth of the layers is sensitive";

const shared = (type: string): Rule => when(sharedValues, always(type, SHARED));
const early = (type: string, otherwise?: Rule): Rule => when(inFirst(8), always(type, EARLY8), otherwise);
const spread = (type: string): Rule => when(moreBits, always(type, SPREAD));

/** IQ1 and IQ2: `wider` is what sensitive tensors get. */
const low = (wider: "Q2_K" | "IQ3_S", attentionOutput?: "IQ2_XXS" | "IQ3_S") => ({
  output: "Q5_K",
  embedding: wider,
  lowBit: true as const,
  values: when(
    (at) => at.headRatio >= 4 || at.experts >= 4,
    always("Q4_K", "attention values are small where heads or experts share them"),
    always(wider, VALUES),
  ),
  keys: when((at) => at.experts === 8, always("Q4_K", "keys are shared by 8 experts")),
  down: early(wider),
  attentionOutput: when(
    (at) => at.experts === 8,
    always("Q5_K", "the attention's output is shared by 8 experts"),
    attentionOutput && always(attentionOutput, OUTPUT),
  ),
});

const mixed = { widerOutputOfEight: true } as const;

/** By llama.cpp's name of the file type. */
export const mixes: ReadonlyMap<string, Mix> = new Map<string, Mix>(
  Object.entries({
    F32: { fileType: 0, base: "F32", summary: "Single precision, 32 bits per weight." },
    F16: { fileType: 1, base: "F16", summary: "Half precision, 16 bits per weight." },
    BF16: { fileType: 32, base: "BF16", summary: "Brain float: 16 bits with the range of single precision." },
    Q8_0: {
      fileType: 7,
      base: "Q8_0",
      summary: "8-bit blocks of 32; hardly distinguishable from 16 bits.",
      output: "Q8_0",
    },
    Q6_K: { fileType: 18, base: "Q6_K", summary: "6-bit super-blocks; very close to 16 bits." },
    Q5_0: {
      fileType: 8,
      base: "Q5_0",
      summary: "5-bit blocks of 32, symmetric; for rows that no super-block fits.",
      down: when(importance, early("Q5_1")),
    },
    Q5_1: { fileType: 9, base: "Q5_1", summary: "5-bit blocks of 32 with a minimum." },
    Q5_K_S: { fileType: 16, base: "Q5_K", summary: "5-bit super-blocks throughout." },
    Q5_K_M: {
      fileType: 17,
      base: "Q5_K",
      summary: "5-bit super-blocks, 6 bits for half of the sensitive tensors.",
      values: spread("Q6_K"),
      down: spread("Q6_K"),
    },
    Q4_0: {
      fileType: 2,
      base: "Q4_0",
      summary: "4-bit blocks of 32, symmetric; fast on phones and ARM.",
      down: when(importance, early("Q4_1")),
    },
    Q4_1: { fileType: 3, base: "Q4_1", summary: "4-bit blocks of 32 with a minimum." },
    Q4_K_S: {
      ...mixed,
      fileType: 14,
      base: "Q4_K",
      summary: "4-bit super-blocks, 5 bits for a few sensitive tensors.",
      values: when(
        ({ index }) => index < 4,
        always("Q5_K", "the first 4 tensors of attention values are sensitive"),
      ),
      down: not(falcon, early("Q5_K")),
    },
    Q4_K_M: {
      ...mixed,
      fileType: 15,
      base: "Q4_K",
      summary: "4-bit super-blocks, 6 bits for half of the sensitive tensors; the usual choice.",
      values: spread("Q6_K"),
      down: when(
        falcon,
        when(
          inFirst(16),
          always("Q6_K", EARLY16),
          when(moreBits, always("Q5_K", SPREAD), always("Q4_K", DOWN)),
        ),
        spread("Q6_K"),
      ),
    },
    Q3_K_S: { ...mixed, fileType: 11, base: "Q3_K", summary: "3-bit super-blocks throughout." },
    Q3_K_M: {
      ...mixed,
      fileType: 12,
      base: "Q3_K",
      summary: "3-bit super-blocks, 4 and 5 bits for sensitive tensors.",
      values: when(({ index }) => index < 2, always("Q5_K", VALUES), always("Q4_K", VALUES)),
      down: when(
        inFirst(16),
        always("Q5_K", EARLY16),
        when((at) => !at.falcon || moreBits(at), always("Q4_K", DOWN), always("Q3_K", DOWN)),
      ),
      attentionOutput: not(falcon, always("Q4_K", OUTPUT)),
    },
    Q3_K_L: {
      fileType: 13,
      base: "Q3_K",
      summary: "3-bit super-blocks, 5 bits for sensitive tensors.",
      values: always("Q5_K", VALUES),
      down: when(falcon, always("Q4_K", DOWN), always("Q5_K", DOWN)),
      attentionOutput: when(
        falcon,
        always("Q4_K", OUTPUT),
        not(({ experts }) => experts === 8, always("Q5_K", OUTPUT)),
      ),
    },
    Q2_K: {
      ...mixed,
      fileType: 10,
      base: "Q2_K",
      summary: "2-bit super-blocks, 3 bits for sensitive tensors.",
      values: when(sharedValues, always("Q4_K", SHARED), always("Q3_K", VALUES)),
      down: always("Q3_K", DOWN),
      attentionOutput: not(falcon, always("Q3_K", OUTPUT)),
    },
    Q2_K_S: {
      fileType: 21,
      base: "Q2_K",
      summary: "2-bit super-blocks nearly throughout; needs an importance matrix.",
      values: shared("Q4_K"),
      down: early("Q4_K"),
      needsImportance: ["Q2_K"],
    },
    Q2_0: {
      fileType: 41,
      base: "Q2_0",
      summary: "2-bit blocks of 64 for models trained with levels -1 to 2.",
      embedding: "Q4_K",
    },
    Q1_0: { fileType: 40, base: "Q1_0", summary: "1-bit blocks of 128 for models trained with signs." },
    TQ2_0: {
      fileType: 37,
      base: "TQ2_0",
      summary: "Ternary, 2 bits each, for models trained so; fast.",
      embedding: "Q4_K",
    },
    TQ1_0: {
      fileType: 36,
      base: "TQ1_0",
      summary: "Ternary, 1.69 bits each, for models trained so; small.",
      embedding: "Q4_K",
    },
    IQ4_XS: {
      ...mixed,
      fileType: 30,
      base: "IQ4_XS",
      summary: "4-bit codebook super-blocks; smaller than Q4_K_S at like quality.",
      values: shared("Q5_K"),
      down: not(importance, early("Q5_K")),
    },
    IQ4_NL: {
      ...mixed,
      fileType: 25,
      base: "IQ4_NL",
      summary: "4-bit codebook blocks of 32; for rows that no super-block fits.",
      values: shared("Q5_K"),
      down: not(importance, early("Q5_K")),
    },
    IQ3_M: {
      ...mixed,
      fileType: 27,
      base: "IQ3_S",
      summary: "3-bit codebooks, 4 bits for sensitive tensors.",
      values: always("Q4_K", VALUES),
      down: when((at) => inFirst(8)(at) || (at.experts === 8 && moreBits(at)), always("Q4_K", DOWN)),
      attentionOutput: not(falcon, always("Q4_K", OUTPUT)),
    },
    IQ3_S: {
      ...mixed,
      fileType: 26,
      base: "IQ3_S",
      summary: "3-bit codebooks throughout.",
      values: shared("Q4_K"),
    },
    IQ3_XS: {
      ...mixed,
      fileType: 22,
      base: "IQ3_S",
      summary: "3-bit codebooks, fewer bits for keys, queries and the middle layers.",
      values: shared("Q4_K"),
      keys: always("IQ3_XXS", KEYS),
      queries: always("IQ3_XXS", KEYS),
      gateUp: when(
        ({ index, count }) => index >= Math.floor(count / 8) && index < Math.floor((7 * count) / 8),
        always("IQ3_XXS", "the middle layers bear fewer bits"),
      ),
    },
    IQ3_XXS: {
      ...mixed,
      fileType: 23,
      base: "IQ3_XXS",
      summary: "3.06-bit codebooks; needs an importance matrix.",
      output: "Q5_K",
      embedding: "IQ3_S",
      values: when(
        sharedValues,
        always("Q4_K", SHARED),
        when(importance, always("IQ3_XXS", VALUES), always("IQ3_S", VALUES)),
      ),
      keys: always("IQ2_S", KEYS),
      queries: always("IQ2_S", KEYS),
      down: not(importance, early("Q4_K", always("Q3_K", DOWN))),
      attentionOutput: not(falcon, always("IQ3_S", OUTPUT)),
    },
    IQ2_M: {
      ...low("IQ3_S", "IQ3_S"),
      fileType: 29,
      base: "IQ2_S",
      summary: "2.56-bit codebooks, 3 bits for sensitive tensors; needs an importance matrix.",
    },
    IQ2_S: {
      ...low("IQ3_S", "IQ3_S"),
      fileType: 28,
      base: "IQ2_XS",
      summary: "2.31-bit codebooks, 3 bits for sensitive tensors; needs an importance matrix.",
    },
    IQ2_XS: {
      ...low("Q2_K"),
      fileType: 20,
      base: "IQ2_XS",
      summary: "2.31-bit codebooks; needs an importance matrix.",
    },
    IQ2_XXS: {
      ...low("Q2_K"),
      fileType: 19,
      base: "IQ2_XXS",
      summary: "2.06-bit codebooks; needs an importance matrix.",
    },
    IQ1_M: {
      ...low("Q2_K", "IQ2_XXS"),
      fileType: 31,
      base: "IQ1_M",
      summary: "1.75-bit codebooks; needs an importance matrix.",
    },
    IQ1_S: {
      ...low("Q2_K", "IQ2_XXS"),
      fileType: 24,
      base: "IQ1_S",
      summary: "1.56-bit codebooks, the smallest; needs an importance matrix.",
    },
    MXFP4_MOE: {
      fileType: 38,
      base: "MXFP4",
      summary: "4-bit floats for the experts of a mixture, 8 bits for everything else.",
      output: "Q8_0",
    },
  } satisfies Record<string, Mix>),
);
