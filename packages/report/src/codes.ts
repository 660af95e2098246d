// Where the codes of llama.cpp's block types lie in their bytes. A decoder gives weights, which are codes times scales:
// how much use a type makes of its codes only its bytes tell. Types that are not listed here have no picture of codes.
import type { Codes } from "./data.js";

interface CodeLayout {
  /** Weights and bytes of a block. */
  readonly weights: number;
  readonly bytes: number;
  /** Weights that one code stands for. */
  readonly group: number;
  readonly meaning: string;
  /** Number of different codes, and the least of them. */
  readonly levels: number;
  readonly first: number;
  /** The code of group `i` of the block that begins at `at`. */
  code(bytes: Uint8Array, at: number, i: number): number;
}

/** The `i`-th of fields of `bits` bits, the lowest first: whole runs of `run` bytes hold the lowest field, then the next. */
const field = (bytes: Uint8Array, at: number, bits: 1 | 2 | 4, run: number, i: number): number => {
  const perRun = (run * 8) / bits;
  const within = i % perRun;
  return (
    (bytes[at + Math.floor(i / perRun) * run + (within % run)]! >> (Math.floor(within / run) * bits)) &
    ((1 << bits) - 1)
  );
};

const levels = (
  bits: number,
  first: number,
  weights: number,
  bytes: number,
  code: CodeLayout["code"],
): CodeLayout => ({
  weights,
  bytes,
  group: 1,
  meaning: `${bits}-bit levels`,
  levels: 2 ** bits,
  first,
  code,
});

const table = (bytes: number, group: number, bits: number, code: CodeLayout["code"]): CodeLayout => ({
  weights: 256,
  bytes,
  group,
  meaning: `entries of a codebook of ${group} weights each`,
  levels: 2 ** bits,
  first: 0,
  code,
});

/** Values of a codebook of single weights, in ascending order. */
const values = (weights: number, bytes: number, code: CodeLayout["code"]): CodeLayout => ({
  ...levels(4, 0, weights, bytes, code),
  meaning: "values of a codebook, ascending",
});

const layouts: Readonly<Record<string, CodeLayout>> = {
  Q8_0: levels(8, -128, 32, 2 + 32, (b, at, i) => (b[at + 2 + i]! << 24) >> 24),
  Q4_0: levels(4, -8, 32, 2 + 16, (b, at, i) => field(b, at + 2, 4, 16, i) - 8),
  Q4_1: levels(4, 0, 32, 4 + 16, (b, at, i) => field(b, at + 4, 4, 16, i)),
  Q5_0: levels(
    5,
    -16,
    32,
    2 + 4 + 16,
    (b, at, i) => field(b, at + 6, 4, 16, i) + 16 * ((b[at + 2 + (i >> 3)]! >> (i & 7)) & 1) - 16,
  ),
  Q5_1: levels(
    5,
    0,
    32,
    4 + 4 + 16,
    (b, at, i) => field(b, at + 8, 4, 16, i) + 16 * ((b[at + 4 + (i >> 3)]! >> (i & 7)) & 1),
  ),
  Q2_K: levels(2, 0, 256, 16 + 64 + 4, (b, at, i) => field(b, at + 16, 2, 32, i)),
  Q3_K: levels(
    3,
    -4,
    256,
    32 + 64 + 12 + 2,
    (b, at, i) => field(b, at + 32, 2, 32, i) + 4 * field(b, at, 1, 32, i) - 4,
  ),
  Q4_K: levels(4, 0, 256, 4 + 12 + 128, (b, at, i) => field(b, at + 16, 4, 32, i)),
  Q5_K: levels(
    5,
    0,
    256,
    4 + 12 + 32 + 128,
    (b, at, i) => field(b, at + 48, 4, 32, i) + 16 * field(b, at + 16, 1, 32, i),
  ),
  Q6_K: levels(
    6,
    -32,
    256,
    128 + 64 + 16 + 2,
    (b, at, i) => field(b, at, 4, 64, i) + 16 * field(b, at + 128, 2, 32, i) - 32,
  ),
  IQ4_NL: values(32, 2 + 16, (b, at, i) => field(b, at + 2, 4, 16, i)),
  IQ4_XS: values(256, 2 + 2 + 4 + 128, (b, at, i) => field(b, at + 8, 4, 16, i)),
  IQ2_XXS: table(2 + 64, 8, 8, (b, at, i) => b[at + 2 + (i >> 2) * 8 + (i & 3)]!),
  IQ2_XS: table(2 + 64 + 8, 8, 9, (b, at, i) => b[at + 2 + 2 * i]! | ((b[at + 3 + 2 * i]! & 1) << 8)),
  IQ2_S: table(
    2 + 64 + 8 + 8,
    8,
    10,
    (b, at, i) => b[at + 2 + i]! | (((b[at + 66 + (i >> 2)]! >> (2 * (i & 3))) & 3) << 8),
  ),
  IQ3_XXS: table(2 + 96, 4, 8, (b, at, i) => b[at + 2 + i]!),
  IQ3_S: table(
    2 + 64 + 8 + 32 + 4,
    4,
    9,
    (b, at, i) => b[at + 2 + i]! | (((b[at + 66 + (i >> 3)]! >> (i & 7)) & 1) << 8),
  ),
  IQ1_S: table(2 + 32 + 16, 8, 11, (b, at, i) => {
    const high = b[at + 34 + (i >> 2) * 2]! | (b[at + 35 + (i >> 2) * 2]! << 8);
    return b[at + 2 + i]! | (((high >> (3 * (i & 3))) & 7) << 8);
  }),
  IQ1_M: table(
    32 + 16 + 8,
    8,
    11,
    (b, at, i) => b[at + i]! | (((b[at + 32 + (i >> 1)]! >> (4 * (i & 1))) & 7) << 8),
  ),
};

/** Counts the codes of a tensor, of which whole blocks arrive in pieces. */
export class CodeCounter {
  readonly #layout: CodeLayout;
  readonly #counts: Float64Array;

  private constructor(layout: CodeLayout) {
    this.#layout = layout;
    this.#counts = new Float64Array(layout.levels);
  }

  /** Undefined for types whose codes cannot be told apart, or that have none. */
  static for(dtype: string): CodeCounter | undefined {
    const layout = Object.hasOwn(layouts, dtype) ? layouts[dtype] : undefined;
    return layout && new CodeCounter(layout);
  }

  /** Weights that one code stands for. */
  get group(): number {
    return this.#layout.group;
  }

  /** The codes of whole blocks, in the order of their weights. */
  *codes(bytes: Uint8Array): Generator<number> {
    const { weights, bytes: size, group, code } = this.#layout;
    for (let at = 0; at + size <= bytes.length; at += size)
      for (let i = 0; i < weights / group; i++) yield code(bytes, at, i);
  }

  add(bytes: Uint8Array): void {
    const { first } = this.#layout;
    for (const code of this.codes(bytes)) this.#counts[code - first]!++;
  }

  result(): Codes {
    const { meaning, first } = this.#layout;
    return { meaning, first, counts: [...this.#counts] };
  }
}
