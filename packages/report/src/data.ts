// What a report is made of: plain JSON, written by `fewbit compare --json` and read back by `fewbit report`. Whatever was
// not measured is absent; nothing is invented for it. Numbers that JSON cannot hold (`fewbit` writes them as
// "Infinity", "-Infinity" and "NaN") are numbers again after `readReport`.

/** A measured figure and its standard error, in the same unit. */
export interface Estimate {
  readonly value: number;
  /** One standard error; absent where it was not estimated. */
  readonly error?: number;
}

/** Percentiles over all scored tokens; those that were not measured are absent. `p999` is the 99.9th, `p01` the 0.1th. */
export interface Percentiles {
  readonly max?: number;
  readonly p999?: number;
  readonly p99?: number;
  readonly p95?: number;
  readonly p90?: number;
  readonly p75?: number;
  readonly median?: number;
  readonly p25?: number;
  readonly p10?: number;
  readonly p5?: number;
  readonly p1?: number;
  readonly p01?: number;
  readonly min?: number;
}

/** The Kullback-Leibler divergence from the reference's next-token distribution to the candidate's, in nats per token. */
export interface Divergence extends Percentiles {
  readonly mean: number;
  /** Standard error of `mean`. */
  readonly error?: number;
}

/** The change of the probability of the text's own next token, candidate minus reference: fractions from -1 to 1. */
export interface ProbabilityChange extends Percentiles {
  readonly mean: number;
  readonly error?: number;
  /** Root of the mean square, and its standard error. */
  readonly rms: number;
  readonly rmsError?: number;
}

/** Tokens per second. */
export interface Speed {
  readonly prompt?: Estimate;
  readonly generate?: Estimate;
}

/** What quantization did to weights: those of one tensor, or of a whole model as if it were one. */
export interface WeightError {
  /** Decibels; Infinity where nothing was lost. */
  readonly sqnr: number;
  readonly rmse: number;
  readonly maxError: number;
  readonly cosine: number;
  /** Decibels, each column counted by its importance. */
  readonly weightedSqnr?: number;
}

/** A tensor of one candidate against the reference's: a row of `fewbit error --json`. */
export interface TensorError extends WeightError {
  readonly name: string;
  /** Row-major. */
  readonly shape: readonly number[];
  readonly original: StoredTensor;
  readonly quantized: StoredTensor;
}

/** How a tensor is stored. */
export interface StoredTensor {
  readonly dtype: string;
  readonly bytes: number;
}

/** What the reference and the candidates have in common. */
export interface ModelFacts {
  /** For people: the `general.name` of the model, or what its files are called. */
  readonly name: string;
  /** The file name without a folder; that of the first file where there are several. */
  readonly file: string;
  /** Of all files; of all tensors where only weights were compared. */
  readonly bytes: number;
  /** Tensor bytes × 8 ÷ weights. */
  readonly bitsPerWeight?: number;
  /** What most weights are stored as, or the name of the recipe: `Q4_K_M`. */
  readonly type?: string;
  /** Of the text, by llama-perplexity's protocol. */
  readonly perplexity?: Estimate;
  readonly speed?: Speed;
}

/** The model that all candidates are held against. */
export interface Reference extends ModelFacts {
  /** Number of weights. */
  readonly parameters?: number;
}

/** One quantized version of the reference. */
export interface Candidate extends ModelFacts {
  /** Candidate's perplexity ÷ reference's. */
  readonly perplexityRatio?: Estimate;
  readonly kld?: Divergence;
  readonly deltaP?: ProbabilityChange;
  /** Fraction of tokens for which both models hold the same token the most probable. */
  readonly sameTop?: Estimate;
  /** All tensors together: the `total` of `fewbit error --json`. */
  readonly weights?: WeightError;
  readonly tensors?: readonly TensorError[];
}

/** The text on which the models were compared. */
export interface Text {
  readonly name: string;
  /** Tokens that were scored. */
  readonly tokens: number;
  /** Tokens of one chunk. */
  readonly context: number;
  readonly chunks: number;
}

/** Counts of values in bins of one width from `from` to `to`. */
export interface Histogram {
  readonly from: number;
  readonly to: number;
  readonly counts: readonly number[];
  /** Values below `from` and above `to`; 0 where absent. */
  readonly below?: number;
  readonly above?: number;
}

/** The weights of one tensor: in the reference, and decoded from each candidate that was looked at. */
export interface Distribution {
  readonly tensor: string;
  readonly shape?: readonly number[];
  readonly original: Histogram;
  readonly candidates: readonly {
    /** The `file` of a candidate. */
    readonly file: string;
    readonly dtype: string;
    /** Bins as those of `original`. */
    readonly decoded: Histogram;
    /** How often each code occurs in the stored bytes; absent where the type's codes cannot be told apart. */
    readonly codes?: Codes;
  }[];
}

/** Stored codes of a tensor. */
export interface Codes {
  /** What a code is, in a few words: "4-bit level", "index into the codebook of eights". */
  readonly meaning: string;
  /** Code of the first count; the others follow in steps of 1. */
  readonly first: number;
  readonly counts: readonly number[];
}

/** A report, complete: all that the page shows. */
export interface ReportData {
  readonly title?: string;
  readonly reference: Reference;
  /** Absent where only weights were compared. */
  readonly text?: Text;
  readonly candidates: readonly Candidate[];
  readonly distributions?: readonly Distribution[];
  /** Exact command lines, in order. */
  readonly commands?: readonly string[];
  /** Name → version of what measured: fewbit, llama.cpp, node. */
  readonly versions?: Readonly<Record<string, string>>;
  /** When it was measured, ISO 8601; absent where reports should be byte-identical from run to run. */
  readonly date?: string;
}
