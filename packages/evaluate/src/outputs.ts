import type { Engine } from "@fewbit/core";
import type { CandidateSums, CompareInput, CompareStep, Percentiles, Rounding } from "./compare-task.js";
import type { LoadedModel } from "./loaded-model.js";
import { type ProtocolOptions, settingsOf } from "./protocol.js";
import {
  addSums,
  type Estimate,
  exponentialOf,
  meanOf,
  NO_SUMS,
  rootOf,
  type Sums,
  shareOf,
} from "./statistics.js";

/** A model, other versions of it, a text, and who computes. */
export interface OutputRequest extends ProtocolOptions {
  readonly engine: Engine;
  /** Path of a file that the engine loads; the first where there are several. */
  readonly reference: string;
  readonly candidates: readonly string[];
  readonly text: string;
  /** `none` when absent. */
  readonly rounding?: Rounding;
  readonly signal?: AbortSignal;
}

/** How far it is. */
export interface OutputProgress {
  /** The model that is loaded or was computed last. */
  readonly file: string;
  /** Chunks that are done, times models, and all of them; 0 of 0 while models are loaded. */
  readonly done: number;
  readonly total: number;
  /** Mean so far of the candidate that was computed last. */
  readonly kld?: number;
}

/** From the reference's next-token distribution to the candidate's, in nats per token. */
export interface Divergence extends Percentiles {
  readonly mean: number;
  /** Standard error of `mean`. */
  readonly error: number;
}

/** Of the probability of the text's own next token, candidate less reference: from -1 to 1. */
export interface ProbabilityChange extends Percentiles {
  readonly mean: number;
  readonly error: number;
  /** Root of the mean square, and its standard error. */
  readonly rms: number;
  readonly rmsError: number;
}

/** One chunk of the text, by itself. */
export interface ChunkOutput {
  /** Means of -ln p of its scored tokens, in nats. */
  readonly loss: number;
  readonly referenceLoss: number;
  readonly kld: number;
  readonly deltaPRms: number;
  readonly sameTop: number;
}

/** A model's answers to the text. */
export interface ModelOutput {
  readonly file: string;
  readonly model: LoadedModel;
  readonly perplexity: Estimate;
}

/** What became of a candidate's answers. */
export interface CandidateOutput extends ModelOutput {
  /** Candidate's perplexity ÷ reference's, less it, and the logarithm of the first. */
  readonly perplexityRatio: Estimate;
  readonly perplexityDifference: Estimate;
  readonly logRatio: Estimate;
  /** Of both models' -ln p: from -1 to 1. NaN where one of them never changes. */
  readonly correlation: number;
  readonly kld: Divergence;
  readonly deltaP: ProbabilityChange;
  /** For which share of tokens both hold the same one the most probable. */
  readonly sameTop: Estimate;
  readonly chunks: readonly ChunkOutput[];
}

/** What `compareOutputs` found. */
export interface OutputComparison {
  readonly reference: ModelOutput;
  readonly candidates: readonly CandidateOutput[];
  /** Tokens of the text, those of a chunk, and those that were scored. */
  readonly tokens: number;
  readonly context: number;
  readonly scored: number;
  readonly chunks: number;
  /** Such as `llama.cpp v0.5.0 (haswell)`. */
  readonly engine: string;
}

/**
 * What candidates answer to a text, against what the reference answers: the figures of llama-perplexity
 * --kl-divergence, without its file of base logits. The models are loaded side by side, and the reference computes once
 * for all. Progress on the way, the result as the generator's value.
 *
 * @throws `E_USAGE`; `E_TEXT` where the text has fewer tokens than two chunks; `E_MODEL_MISMATCH` where vocabularies
 * differ; `E_LOGITS`; what the engine throws
 */
export async function* compareOutputs(
  request: OutputRequest,
): AsyncGenerator<OutputProgress, OutputComparison> {
  const { engine, reference, candidates, text, rounding = "none", signal, ...options } = request;
  const settings = settingsOf(options);
  const input: CompareInput = { reference, candidates, text, settings, rounding };
  const task = { url: new URL("./compare-task.js", import.meta.url).href };
  const losses: Sums[] = [];
  const rows = candidates.map((): CandidateSums[] => []);
  let start: Extract<CompareStep, { kind: "start" }> | undefined;
  let end: Extract<CompareStep, { kind: "end" }> | undefined;
  let done = 0;
  for await (const step of engine.run<CompareStep>(task, input, signal === undefined ? {} : { signal })) {
    const total = (start?.chunks ?? 0) * (1 + candidates.length);
    switch (step.kind) {
      case "loading":
        yield { file: step.file, done, total };
        break;
      case "start":
        start = step;
        break;
      case "reference":
        losses.push(...step.sums.map(({ loss }) => loss));
        done += step.sums.length;
        yield { file: reference, done, total };
        break;
      case "candidate": {
        const own = rows[step.candidate]!;
        own.push(...step.sums);
        done += step.sums.length;
        const { sum, count } = own.map(({ divergence }) => divergence).reduce(addSums);
        yield { file: candidates[step.candidate]!, done, total, kld: sum / count };
        break;
      }
      case "end":
        end = step;
    }
  }
  const all = losses.reduce(addSums, NO_SUMS);
  return {
    reference: { file: reference, model: start!.reference, perplexity: exponentialOf(meanOf(all)) },
    candidates: candidates.map((file, i) => ({
      file,
      model: start!.candidates[i]!,
      ...figuresOf(rows[i]!, losses, end!.candidates[i]!),
    })),
    tokens: start!.tokens,
    context: settings.context,
    scored: all.count,
    chunks: start!.chunks,
    engine: start!.engine,
  };
}

function figuresOf(
  rows: readonly CandidateSums[],
  losses: readonly Sums[],
  percentiles: { readonly divergence: Percentiles; readonly change: Percentiles },
): Omit<CandidateOutput, "file" | "model"> {
  const sumsOf = (pick: (row: CandidateSums) => Sums): Sums => rows.map(pick).reduce(addSums, NO_SUMS);
  const expected = meanOf(losses.reduce(addSums, NO_SUMS));
  const lossSums = sumsOf(({ loss }) => loss);
  const { count } = lossSums;
  const loss = meanOf(lossSums);
  const product = rows.reduce((sum, row) => sum + row.product, 0);
  const covariance = count > 1 ? (product / count - loss.value * expected.value) / (count - 1) : 0;
  /** Of a difference of two that vary together. */
  const errorOfDifference = (a: number, b: number, covariance: number): number =>
    Math.sqrt(Math.max(0, a * a + b * b - 2 * covariance));
  const logRatio = {
    value: loss.value - expected.value,
    error: errorOfDifference(loss.error, expected.error, covariance),
  };
  const perplexity = exponentialOf(loss);
  const reference = exponentialOf(expected);
  const kld = meanOf(sumsOf(({ divergence }) => divergence));
  const change = meanOf(sumsOf(({ change }) => change));
  const rms = rootOf(meanOf(sumsOf(({ squaredChange }) => squaredChange)));
  return {
    perplexity,
    perplexityRatio: exponentialOf(logRatio),
    perplexityDifference: {
      value: perplexity.value - reference.value,
      error: errorOfDifference(
        perplexity.error,
        reference.error,
        perplexity.value * reference.value * covariance,
      ),
    },
    logRatio,
    correlation: covariance / (loss.error * expected.error),
    kld: { mean: kld.value, error: kld.error, ...percentiles.divergence },
    deltaP: {
      mean: change.value,
      error: change.error,
      rms: rms.value,
      rmsError: rms.error,
      ...percentiles.change,
    },
    sameTop: shareOf(
      rows.reduce((sum, { sameTop }) => sum + sameTop, 0),
      count,
    ),
    chunks: rows.map((row, i) => ({
      loss: row.loss.sum / row.loss.count,
      referenceLoss: losses[i]!.sum / losses[i]!.count,
      kld: row.divergence.sum / row.divergence.count,
      deltaPRms: Math.sqrt(row.change.squares / row.change.count),
      sameTop: row.sameTop / row.loss.count,
    })),
  };
}
