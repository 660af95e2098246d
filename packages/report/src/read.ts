// Reads saved documents: the only place where values of unknown shape are looked at. Whatever the types in data.ts do not
// know is left out, so that documents of later versions can be read.
import type {
  Candidate,
  Codes,
  Distribution,
  Divergence,
  Estimate,
  Histogram,
  Percentiles,
  ProbabilityChange,
  Reference,
  ReportData,
  Speed,
  StoredTensor,
  TensorError,
  Text,
  WeightError,
} from "./data.js";

/** A document is not what it should be: the message says where, as `candidates[2].kld.mean`, and what was found there. */
export class DocumentError extends Error {
  override readonly name = "DocumentError";
}

type Reader<T> = (value: unknown, at: string) => T;

/** Fields of an object; `undefined` is what is absent. */
type Fields<T> = { readonly [K in keyof Required<T>]: Reader<T[K]> };

const found = (value: unknown): string =>
  value === undefined
    ? "is missing"
    : value === null
      ? "is null"
      : Array.isArray(value)
        ? "is a list"
        : typeof value === "object"
          ? "is an object"
          : `is ${JSON.stringify(value).slice(0, 60)}`;

const refuse = (value: unknown, at: string, wanted: string): never => {
  throw new DocumentError(`${at === "" ? "The document" : at} ${found(value)}; it should be ${wanted}.`);
};

const number: Reader<number> = (value, at) => {
  if (typeof value === "number") return value;
  // As `fewbit --json` writes numbers that JSON cannot hold.
  if (value === "Infinity") return Number.POSITIVE_INFINITY;
  if (value === "-Infinity") return Number.NEGATIVE_INFINITY;
  return value === "NaN" ? Number.NaN : refuse(value, at, "a number");
};

const count: Reader<number> = (value, at) =>
  typeof value === "number" && Number.isFinite(value) && value >= 0
    ? value
    : refuse(value, at, "a number that is not negative");

const text: Reader<string> = (value, at) => (typeof value === "string" ? value : refuse(value, at, "a text"));

const list =
  <T>(item: Reader<T>): Reader<readonly T[]> =>
  (value, at) =>
    Array.isArray(value) ? value.map((each, i) => item(each, `${at}[${i}]`)) : refuse(value, at, "a list");

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const object =
  <T>(fields: Fields<T>): Reader<T> =>
  (value, at) => {
    if (!isObject(value)) return refuse(value, at, "an object");
    const entries = Object.entries(fields) as [string, Reader<unknown>][];
    const read: Record<string, unknown> = {};
    for (const [key, reader] of entries) {
      const own = Object.hasOwn(value, key) ? value[key] : undefined;
      const result = reader(own, at === "" ? key : `${at}.${key}`);
      if (result !== undefined) read[key] = result;
    }
    return read as T;
  };

/** Null stands for absent as well. */
const optional =
  <T>(reader: Reader<T>): Reader<T | undefined> =>
  (value, at) =>
    value === undefined || value === null ? undefined : reader(value, at);

const dictionary: Reader<Readonly<Record<string, string>>> = (value, at) =>
  isObject(value)
    ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key, text(item, `${at}.${key}`)]))
    : refuse(value, at, "an object");

const estimate = object<Estimate>({ value: number, error: optional(number) } as Fields<Estimate>);

const percentiles = {
  max: optional(number),
  p999: optional(number),
  p99: optional(number),
  p95: optional(number),
  p90: optional(number),
  p75: optional(number),
  median: optional(number),
  p25: optional(number),
  p10: optional(number),
  p5: optional(number),
  p1: optional(number),
  p01: optional(number),
  min: optional(number),
} as Fields<Percentiles>;

const divergence = object<Divergence>({
  mean: number,
  error: optional(number),
  ...percentiles,
} as Fields<Divergence>);

const probabilityChange = object<ProbabilityChange>({
  mean: number,
  error: optional(number),
  rms: number,
  rmsError: optional(number),
  ...percentiles,
} as Fields<ProbabilityChange>);

const speed = object<Speed>({ prompt: optional(estimate), generate: optional(estimate) } as Fields<Speed>);

const weightErrorFields = {
  sqnr: number,
  rmse: number,
  maxError: number,
  cosine: number,
  weightedSqnr: optional(number),
} as Fields<WeightError>;

const weightError = object<WeightError>(weightErrorFields);
const storedTensor = object<StoredTensor>({ dtype: text, bytes: count });

const tensorError = object<TensorError>({
  name: text,
  shape: list(count),
  original: storedTensor,
  quantized: storedTensor,
  ...weightErrorFields,
} as Fields<TensorError>);

const modelFields = {
  name: text,
  file: text,
  bytes: count,
  bitsPerWeight: optional(number),
  type: optional(text),
  perplexity: optional(estimate),
  speed: optional(speed),
};

const reference = object<Reference>({ ...modelFields, parameters: optional(count) } as Fields<Reference>);

const candidate = object<Candidate>({
  ...modelFields,
  perplexityRatio: optional(estimate),
  kld: optional(divergence),
  deltaP: optional(probabilityChange),
  sameTop: optional(estimate),
  weights: optional(weightError),
  tensors: optional(list(tensorError)),
} as Fields<Candidate>);

const textFacts = object<Text>({ name: text, tokens: count, context: count, chunks: count });

const histogram = object<Histogram>({
  from: number,
  to: number,
  counts: list(count),
  below: optional(count),
  above: optional(count),
} as Fields<Histogram>);

const codes = object<Codes>({ meaning: text, first: number, counts: list(count) });

const distribution = object<Distribution>({
  tensor: text,
  shape: optional(list(count)),
  original: histogram,
  candidates: list(
    object({ file: text, dtype: text, decoded: histogram, codes: optional(codes) } as Fields<
      Distribution["candidates"][number]
    >),
  ),
} as Fields<Distribution>);

const report = object<ReportData>({
  title: optional(text),
  reference,
  text: optional(textFacts),
  candidates: list(candidate),
  distributions: optional(list(distribution)),
  commands: optional(list(text)),
  versions: optional(dictionary),
  date: optional(text),
} as Fields<ReportData>);

interface ErrorDocument {
  readonly original: readonly string[];
  readonly quantized: readonly string[];
  readonly total: WeightError & {
    readonly count: number;
    readonly originalBytes: number;
    readonly quantizedBytes: number;
    readonly originalBitsPerWeight?: number;
    readonly quantizedBitsPerWeight?: number;
  };
  readonly tensors: readonly TensorError[];
}

const errorDocument = object<ErrorDocument>({
  original: list(text),
  quantized: list(text),
  total: object<ErrorDocument["total"]>({
    ...weightErrorFields,
    count,
    originalBytes: count,
    quantizedBytes: count,
    originalBitsPerWeight: optional(number),
    quantizedBitsPerWeight: optional(number),
  } as Fields<ErrorDocument["total"]>),
  tensors: list(tensorError),
} as Fields<ErrorDocument>);

interface BenchDocument {
  readonly models: readonly {
    readonly model: string;
    readonly tests: readonly {
      readonly kind: string;
      readonly depth: number;
      readonly tokensPerSecond: {
        readonly mean: number;
        readonly deviation: number;
        readonly samples: readonly number[];
      };
    }[];
  }[];
}

const benchDocument = object<BenchDocument>({
  models: list(
    object<BenchDocument["models"][number]>({
      model: text,
      tests: list(
        object<BenchDocument["models"][number]["tests"][number]>({
          kind: text,
          depth: count,
          tokensPerSecond: object<BenchDocument["models"][number]["tests"][number]["tokensPerSecond"]>({
            mean: number,
            deviation: number,
            samples: list(number),
          }),
        }),
      ),
    }),
  ),
});

/** Speeds by the names of files, without folders. */
export type Speeds = ReadonlyMap<string, Speed>;

/**
 * What `fewbit bench --json` prints: of each model, the first test of each kind with an empty context. Undefined for a
 * document of another kind.
 * @throws DocumentError
 */
export function readSpeeds(document: unknown): Speeds | undefined {
  if (!isObject(document) || !("models" in document)) return undefined;
  return new Map(
    benchDocument(document, "").models.map(({ model, tests }) => {
      const speedOf = (kind: string): Estimate | undefined => {
        const found = tests.find((test) => test.kind === kind && test.depth === 0)?.tokensPerSecond;
        return (
          found && {
            value: found.mean,
            error: found.deviation / Math.sqrt(Math.max(found.samples.length, 1)),
          }
        );
      };
      const [prompt, generate] = [speedOf("prompt"), speedOf("generate")];
      return [withoutFolder(model), { ...(prompt && { prompt }), ...(generate && { generate }) }];
    }),
  );
}

/**
 * The same report, with the speeds of its models.
 * @throws DocumentError where none is of a model of the report
 */
export function addSpeeds(report: ReportData, speeds: Speeds): ReportData {
  const { reference, candidates } = report;
  if (![reference, ...candidates].some(({ file }) => speeds.has(file)))
    throw new DocumentError(
      `Its models are ${[...speeds.keys()].join(", ")}, and none of them is in the other results.`,
    );
  const faster = <T extends { readonly file: string }>(model: T): T => {
    const speed = speeds.get(model.file);
    return speed === undefined ? model : { ...model, speed };
  };
  return { ...report, reference: faster(reference), candidates: candidates.map(faster) };
}

/**
 * A saved document as report: what `fewbit compare --json` prints, or `fewbit error --json`, which knows one candidate
 * and no text.
 * @throws DocumentError
 */
export function readReport(document: unknown): ReportData {
  if (isObject(document) && "reference" in document && "candidates" in document) return report(document, "");
  if (isObject(document) && "quantized" in document && "tensors" in document)
    return reportOfError(errorDocument(document, ""));
  throw new DocumentError(
    isObject(document)
      ? `It has neither "reference" and "candidates", as fewbit compare prints them, nor "original", "quantized" and "tensors", as fewbit error does, nor "models", as fewbit bench does.`
      : `The document ${found(document)}; it should be an object.`,
  );
}

function reportOfError({ original, quantized, total, tensors }: ErrorDocument): ReportData {
  const { sqnr, rmse, maxError, cosine, weightedSqnr } = total;
  const facts = (files: readonly string[], bytes: number, bitsPerWeight: number | undefined) => {
    const file = files[0] ?? "unnamed";
    return {
      name: nameOfFile(file),
      file: withoutFolder(file),
      bytes,
      ...(bitsPerWeight === undefined ? {} : { bitsPerWeight }),
    };
  };
  const [from, to] = [mostly(tensors, "original"), mostly(tensors, "quantized")];
  return {
    reference: {
      ...facts(original, total.originalBytes, total.originalBitsPerWeight),
      ...(from === undefined ? {} : { type: from }),
      parameters: total.count,
    },
    candidates: [
      {
        ...facts(quantized, total.quantizedBytes, total.quantizedBitsPerWeight),
        ...(to === undefined ? {} : { type: to }),
        weights: {
          sqnr,
          rmse,
          maxError,
          cosine,
          ...(weightedSqnr === undefined ? {} : { weightedSqnr }),
        },
        tensors,
      },
    ],
  };
}

/** The type that most weights are stored as. */
function mostly(tensors: readonly TensorError[], side: "original" | "quantized"): string | undefined {
  const weights = new Map<string, number>();
  for (const { shape, [side]: stored } of tensors)
    weights.set(stored.dtype, (weights.get(stored.dtype) ?? 0) + shape.reduce((a, b) => a * b, 1));
  return [...weights].sort(([, a], [, b]) => b - a)[0]?.[0];
}

const withoutFolder = (path: string): string => path.split(/[/\\]/).at(-1) || path;
const nameOfFile = (path: string): string => withoutFolder(path).replace(/\.(gguf|safetensors)$/i, "");

/**
 * Two documents of one reference as one report. A candidate that occurs in both, known by its file's name, gets what
 * each knows of it; where they differ, the first counts.
 * @throws DocumentError where the references are not the same file
 */
export function mergeReports(first: ReportData, second: ReportData): ReportData {
  if (first.reference.file !== second.reference.file)
    throw new DocumentError(
      `Its reference is ${second.reference.file}, and that of the results before is ${first.reference.file}.`,
    );
  const others = new Map(second.candidates.map((candidate) => [candidate.file, candidate]));
  const known = new Set(first.candidates.map(({ file }) => file));
  const distributions = [...(first.distributions ?? []), ...(second.distributions ?? [])];
  const commands = [...new Set([...(first.commands ?? []), ...(second.commands ?? [])])];
  const versions = { ...second.versions, ...first.versions };
  return {
    ...second,
    ...first,
    reference: { ...second.reference, ...first.reference },
    candidates: [
      ...first.candidates.map((candidate) => ({ ...others.get(candidate.file), ...candidate })),
      ...second.candidates.filter(({ file }) => !known.has(file)),
    ],
    ...(distributions.length === 0 ? {} : { distributions }),
    ...(commands.length === 0 ? {} : { commands }),
    ...(Object.keys(versions).length === 0 ? {} : { versions }),
  };
}
