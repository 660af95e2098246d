import type { Engine } from "@fewbit/core";
import type { Collected, Collection } from "@fewbit/format-gguf";
import type { Moment } from "./moments.js";
import type { Losses } from "./perplexity.js";
import type { TensorRange } from "./ranges.js";
import { type Making, readRecord, recordOf } from "./record.js";
import { type CalibrationOptions, settingsOf } from "./settings.js";
import type { CalibrationInput, CalibrationStep } from "./task.js";

/** A model, a text, and who computes. */
export interface CalibrationRequest extends CalibrationOptions {
  readonly engine: Engine;
  /** Path of a file that the engine loads; the first where there are several. */
  readonly model: string;
  readonly text: string;
  /** What the text is called in the importance matrix; more than one name where it was put together. */
  readonly datasets: readonly string[];
  /** What to collect; the importance matrix when absent. */
  readonly collect?: readonly ("importance" | "ranges" | "moments")[];
  /** Whose second moments are collected: a regular expression searched in the names of weights; all when absent. */
  readonly momentsOf?: string;
  /** A snapshot after this many chunks; 10 when absent. */
  readonly saveEvery?: number;
  /** An importance matrix that `calibrate` made of the same model and text, to go on from. */
  readonly before?: Collection;
  readonly signal?: AbortSignal;
}

/** How far it is. */
export interface CalibrationProgress {
  /** Chunks that were read, with those of `before`, and all of them. */
  readonly done: number;
  readonly chunks: number;
  /** Of what was read; NaN before the first chunk, and where it is not computed. */
  readonly perplexity: number;
  /** What was collected up to here, once in a while: a complete importance matrix of `done` chunks. */
  readonly snapshot?: Collection;
  /** Sentences for the user, once. */
  readonly warnings?: readonly string[];
}

/** What `calibrate` collected. */
export interface Calibration {
  /** Without entries where no importance matrix was asked for. */
  readonly importance: Collection;
  /** Of the chunks of this run. */
  readonly ranges: ReadonlyMap<string, TensorRange>;
  readonly moments: ReadonlyMap<string, Moment>;
  /** Tokens of the text, and of a chunk. */
  readonly tokens: number;
  readonly contextSize: number;
  readonly done: number;
  /** Chunks that were there before. */
  readonly resumedAt: number;
  readonly perplexity: number;
  /** What the engine says of the model and of itself. */
  readonly model: string;
  readonly engine: string;
  /** Sentences for the user, with those that came on the way. */
  readonly warnings: readonly string[];
}

/**
 * Lets a model read a text and collects the inputs of its matrix products: the importance matrix as llama-imatrix
 * computes it, ranges and histograms, second moments. Progress on the way, the result as the generator's value.
 *
 * @throws `E_USAGE`; `E_TEXT` where the text is shorter than a chunk; `E_ACTIVATION`, `E_LOGITS` where the model computes
 *   NaN or infinity; `E_IMATRIX_SHAPE` where `before` is of another model; what the engine throws
 */
export async function* calibrate(
  request: CalibrationRequest,
): AsyncGenerator<CalibrationProgress, Calibration> {
  const { engine, model, text, datasets, collect = ["importance"], momentsOf = "", signal } = request;
  const { saveEvery = 10, before, ...options } = request;
  const input: CalibrationInput = {
    model,
    text,
    settings: settingsOf(options),
    saveEvery,
    collect: {
      importance: collect.includes("importance"),
      ranges: collect.includes("ranges"),
      ...(collect.includes("moments") ? { moments: momentsOf } : {}),
    },
    ...(before === undefined ? {} : { before: { ...readRecord(before), entries: before.entries } }),
  };
  let started: Extract<CalibrationStep, { step: "started" }> | undefined;
  let ended: Extract<CalibrationStep, { step: "ended" }> | undefined;
  let done = 0;
  let losses: Losses | undefined;
  const collection = (making: Making, entries: ReadonlyMap<string, Collected>): Collection => ({
    entries,
    datasets,
    chunks: done,
    chunkSize: making.contextSize,
    metadata: [recordOf(making, { done, ...(losses === undefined ? {} : { losses }) })],
  });
  const task = { url: new URL("./task.js", import.meta.url).href };
  for await (const step of engine.run<CalibrationStep>(task, input, signal === undefined ? {} : { signal })) {
    if (step.step === "ended") {
      ended = step;
      continue;
    }
    if (step.step === "started") {
      started = step;
      losses = input.before?.progress.losses;
    }
    if (step.step === "read") losses = step.losses;
    if (step.step !== "snapshot") done = step.done;
    yield {
      done,
      chunks: started!.chunks,
      perplexity: perplexityOf(losses),
      ...(step.step === "started" ? { warnings: warningsOf(step) } : {}),
      ...(step.step === "snapshot" ? { snapshot: collection(started!.making, step.entries) } : {}),
    };
  }
  const { making, tokens, engine: version, model: description } = started!;
  const importance = collection(making, ended!.entries);
  return {
    importance,
    ranges: ended!.ranges,
    moments: ended!.moments,
    tokens,
    contextSize: making.contextSize,
    done,
    resumedAt: started!.done,
    perplexity: perplexityOf(losses),
    model: description,
    engine: version,
    warnings: [...warningsOf(started!), ...gapsOf(importance)],
  };
}

const perplexityOf = (losses: Losses | undefined): number =>
  losses === undefined || losses.count === 0 ? Number.NaN : Math.exp(losses.sum / losses.count);

function warningsOf({
  model,
  quantized,
  trainedContext,
  making,
}: Extract<CalibrationStep, { step: "started" }>) {
  return [
    ...(quantized
      ? [`The model is quantized already (${model}): activations of the original are better.`]
      : []),
    ...(making.contextSize > trainedContext
      ? [`The model was trained on contexts of ${trainedContext} tokens; chunks have ${making.contextSize}.`]
      : []),
  ];
}

/** One sentence for each entry with experts that no token reached. */
function gapsOf({ entries }: Collection): string[] {
  return [...entries].flatMap(([name, { counts }]) => {
    const unused = [...counts.keys()].filter((expert) => counts[expert] === 0);
    if (unused.length === 0) return [];
    const list = unused.length > 8 ? `${unused.slice(0, 8).join(", ")} …` : unused.join(", ");
    return [
      `${name}: ${unused.length} of ${counts.length} experts were never used (${list}). All their columns will count ` +
        "the same when they are quantized, as in llama.cpp; more text, or text of other kinds, may reach them.",
    ];
  });
}
