// Runs in the engine's process: a reference and its candidates side by side, so that nothing but the logits of one
// batch has to be kept.
import {
  type EngineContext,
  type EngineHost,
  type EngineModel,
  type EngineTask,
  FewbitError,
} from "@fewbit/core";
import { type LoadedModel, loadedModel } from "./loaded-model.js";
import { badLogits, boundBatch, type Chunk, contextOptions, Reading, type Settings } from "./protocol.js";
import { RoundedScorer } from "./rounded-scorer.js";
import { type Expected, exactScorer, multiply, type Scorer } from "./scorer.js";
import { Softmax } from "./softmax.js";
import type { Sums } from "./statistics.js";

/** What the task is given. */
export interface CompareInput {
  readonly reference: string;
  readonly candidates: readonly string[];
  readonly text: string;
  readonly settings: Settings;
  readonly rounding: Rounding;
}

/** `none`: from the logits as they are. `llama-perplexity`: as its file of base logits has them, in 16 bits. */
export type Rounding = "none" | "llama-perplexity";

/** Sums of one chunk. */
export interface ReferenceSums {
  /** Of -ln p of the token that follows in the text. */
  readonly loss: Sums;
}

/** Sums of one chunk, against the reference. */
export interface CandidateSums extends ReferenceSums {
  /** Σ of both models' -ln p multiplied. */
  readonly product: number;
  /** Of the Kullback-Leibler divergence. */
  readonly divergence: Sums;
  /** Of the change of p of the token that follows in the text, and of its squares. */
  readonly change: Sums;
  readonly squaredChange: Sums;
  /** For how many tokens both hold the same one the most probable. */
  readonly sameTop: number;
}

/** Percentiles over all scored tokens: `p999` is the 99.9th, `p01` the 0.1th. */
export interface Percentiles {
  readonly max: number;
  readonly p999: number;
  readonly p99: number;
  readonly p95: number;
  readonly p90: number;
  readonly p75: number;
  readonly median: number;
  readonly p25: number;
  readonly p10: number;
  readonly p5: number;
  readonly p1: number;
  readonly p01: number;
  readonly min: number;
}

/** Models as they are loaded, what will be read, the sums of every batch and model, and the percentiles. */
export type CompareStep =
  | { readonly kind: "loading"; readonly file: string }
  | {
      readonly kind: "start";
      readonly engine: string;
      readonly reference: LoadedModel;
      readonly candidates: readonly LoadedModel[];
      readonly tokens: number;
      readonly chunks: number;
    }
  | { readonly kind: "reference"; readonly sums: readonly ReferenceSums[] }
  | { readonly kind: "candidate"; readonly candidate: number; readonly sums: readonly CandidateSums[] }
  | {
      readonly kind: "end";
      readonly candidates: readonly { readonly divergence: Percentiles; readonly change: Percentiles }[];
    };

/** Contexts of all candidates are kept open while their logits are smaller than this, in bytes. */
const KEEP_OPEN = 2 ** 28;

const task: EngineTask<CompareInput, CompareStep> = async function* (host, input) {
  yield { kind: "loading", file: input.reference };
  const reference = load(host, input.reference, input.settings);
  const settings = boundBatch(input.settings, reference.vocabulary);
  // Before the others are loaded: the text may be too short.
  const reading = new Reading(reference, input.text, settings);
  const candidates: EngineModel[] = [];
  for (const file of input.candidates) {
    yield { kind: "loading", file };
    candidates.push(load(host, file, settings));
  }
  refuseOtherVocabularies(reference, candidates);
  const options = contextOptions(settings);
  const context = reference.context(options);
  yield {
    kind: "start",
    engine: host.version,
    reference: loadedModel(reference),
    candidates: candidates.map(loadedModel),
    tokens: reading.tokens.length,
    chunks: reading.count,
  };

  const { vocabulary } = reference;
  const softmax = await Softmax.create(vocabulary);
  const scorer = input.rounding === "none" ? exactScorer(softmax) : new RoundedScorer(vocabulary);
  const room = reading.count * reading.scored;
  const measured = candidates.map((model) => ({
    model,
    divergence: new Float32Array(room),
    change: new Float32Array(room),
  }));
  const logitBytes = 4 * vocabulary * reading.scored * (options.sequences ?? 1);
  const keepOpen = candidates.length === 1 || candidates.length * logitBytes <= KEEP_OPEN;
  const open = new Map<EngineModel, EngineContext>();
  for (const { batch, chunks } of reading.batches()) {
    context.clear();
    context.decode(batch);
    const expected = chunks.map((chunk) => rowsOf(reading, chunk, reference, context, softmax, scorer));
    yield {
      kind: "reference",
      sums: expected.map((rows) => ({
        loss: sumsOf(
          rows.map(({ loss }) => loss),
          scorer.multiply,
        ),
      })),
    };
    for (const [candidate, { model, divergence, change }] of measured.entries()) {
      const other = open.get(model) ?? model.context(options);
      if (keepOpen) open.set(model, other);
      other.clear();
      other.decode(batch);
      const sums = chunks.map((chunk, c): CandidateSums => {
        const rows = expected[c]!;
        const at = chunk.index * reading.scored;
        const part = (values: Float32Array): Float32Array => values.subarray(at, at + reading.scored);
        const own = new Float64Array(reading.scored);
        let product = 0;
        let sameTop = 0;
        chunk.targets.forEach((target, i) => {
          const logits = reading.row(other, chunk, i);
          const q = softmax.distribution(logits);
          if (q === undefined) throw badLogits(model.path, chunk, reading.from + i + 1);
          const row = rows[i]!;
          own[i] = scorer.loss(q, logits[target]!);
          product += scorer.multiply(own[i]!, row.loss);
          part(divergence)[i] = scorer.divergence(reading.row(context, chunk, i), row, logits, q);
          part(change)[i] = scorer.change(own[i]!, row.loss);
          if (row.top === q.top) sameTop++;
        });
        return {
          loss: sumsOf(own, scorer.multiply),
          product,
          divergence: sumsOf(part(divergence)),
          change: sumsOf(part(change), scorer.multiply),
          squaredChange: sumsOf(part(change).map((x) => scorer.multiply(x, x))),
          sameTop,
        };
      });
      if (!keepOpen) other.close();
      yield { kind: "candidate", candidate, sums };
    }
  }
  yield {
    kind: "end",
    candidates: measured.map(({ divergence, change }) => ({
      divergence: percentilesOf(divergence, scorer),
      change: percentilesOf(change, scorer),
    })),
  };
  for (const model of [reference, ...candidates]) model.close();
};

export default task;

const load = (host: EngineHost, file: string, { gpuLayers }: Settings): EngineModel =>
  host.load(file, gpuLayers === undefined ? {} : { gpuLayers });

/** @throws `E_MODEL_MISMATCH` with the first difference */
function refuseOtherVocabularies(reference: EngineModel, candidates: readonly EngineModel[]): void {
  const spellings = Array.from({ length: reference.vocabulary }, (_, id) => reference.token(id));
  const remedy = "Compare versions of one model.";
  for (const model of candidates) {
    const shared = Math.min(model.vocabulary, spellings.length);
    for (let id = 0; id < shared; id++) {
      const spelling = model.token(id);
      if (spelling !== spellings[id])
        throw new FewbitError(
          "E_MODEL_MISMATCH",
          `Token ${id} is ${JSON.stringify(spelling)} here and ${JSON.stringify(spellings[id])} in the reference, ${reference.path}.`,
          { file: model.path },
          remedy,
        );
    }
    if (model.vocabulary !== spellings.length)
      throw new FewbitError(
        "E_MODEL_MISMATCH",
        `It has ${model.vocabulary} tokens, and the reference, ${reference.path}, has ${spellings.length}.`,
        { file: model.path },
        remedy,
      );
  }
}

/** What the reference makes of a chunk, once for all candidates. */
function rowsOf(
  reading: Reading,
  chunk: Chunk,
  model: EngineModel,
  context: EngineContext,
  softmax: Softmax,
  scorer: Scorer,
): Expected[] {
  return Array.from(chunk.targets, (target, i) => {
    const logits = reading.row(context, chunk, i);
    const p = softmax.distribution(logits);
    if (p === undefined) throw badLogits(model.path, chunk, reading.from + i + 1);
    return scorer.expect(logits, p, target);
  });
}

function sumsOf(
  values: Iterable<number> & { readonly length: number },
  product: Scorer["multiply"] = multiply,
): Sums {
  let sum = 0;
  let squares = 0;
  for (const value of values) {
    sum += value;
    squares += product(value, value);
  }
  return { count: values.length, sum, squares };
}

/** Sorts the values. */
function percentilesOf(values: Float32Array, scorer: Scorer): Percentiles {
  values.sort();
  const at = (fraction: number): number => scorer.percentile(values, fraction);
  return {
    max: values.at(-1)!,
    p999: at(0.999),
    p99: at(0.99),
    p95: at(0.95),
    p90: at(0.9),
    p75: at(0.75),
    median: at(0.5),
    p25: at(0.25),
    p10: at(0.1),
    p5: at(0.05),
    p1: at(0.01),
    p01: at(0.001),
    min: values[0]!,
  };
}
