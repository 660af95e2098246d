// Runs in the engine's process.
import { createHash } from "node:crypto";
import {
  type Activation,
  type ActivationObserver,
  type EngineModel,
  type EngineTask,
  FewbitError,
} from "@fewbit/core";
import type { Collected } from "@fewbit/format-gguf";
import { isCollected } from "./activation.js";
import { ImportanceCollector } from "./importance.js";
import { type Moment, MomentCollector } from "./moments.js";
import { type Losses, lossesOf } from "./perplexity.js";
import { RangeCollector, type TensorRange } from "./ranges.js";
import { type Portion, Reading } from "./reading.js";
import { type Making, type Recorded, refuseOther } from "./record.js";
import { contextOptions, type Settings } from "./settings.js";

/** What the engine's process is told. */
export interface CalibrationInput {
  readonly model: string;
  readonly text: string;
  readonly settings: Settings;
  /** A snapshot after this many chunks. */
  readonly saveEvery: number;
  readonly collect: {
    readonly importance: boolean;
    readonly ranges: boolean;
    /** A regular expression searched in the names of weights. */
    readonly moments?: string;
  };
  /** What was collected before, to go on from. */
  readonly before?: Recorded & { readonly entries: ReadonlyMap<string, Collected> };
}

/** What it answers, in this order: started, then read and snapshot by turns, and ended. */
export type CalibrationStep =
  | {
      readonly step: "started";
      readonly engine: string;
      readonly model: string;
      readonly quantized: boolean;
      readonly trainedContext: number;
      readonly making: Making;
      readonly tokens: number;
      readonly done: number;
      readonly chunks: number;
    }
  | { readonly step: "read"; readonly done: number; readonly losses?: Losses }
  | { readonly step: "snapshot"; readonly entries: ReadonlyMap<string, Collected> }
  | {
      readonly step: "ended";
      readonly entries: ReadonlyMap<string, Collected>;
      readonly ranges: ReadonlyMap<string, TensorRange>;
      readonly moments: ReadonlyMap<string, Moment>;
    };

const task: EngineTask<CalibrationInput, CalibrationStep> = function* (host, input) {
  const { settings, before } = input;
  const model = host.load(input.model, { gpuLayers: settings.gpuLayers });
  const reading = new Reading(model, input.text, settings);
  const making = makingOf(model, reading.tokens, settings);
  if (before !== undefined) refuseOther(before.making, making);
  const start = Math.min(before?.progress.done ?? 0, reading.count);
  yield {
    step: "started",
    engine: host.version,
    model: model.description,
    quantized: !/\b(F32|F16|BF16)\b/.test(model.description),
    trainedContext: model.trainedContext,
    making,
    tokens: reading.tokens.length,
    done: before?.progress.done ?? 0,
    chunks: reading.count,
  };

  const observer = new Observer(input);
  const context = model.context({ ...contextOptions(settings), observe: observer });
  const none: Losses = { count: 0, sum: 0 };
  let losses = settings.perplexity ? (before?.progress.losses ?? none) : none;
  let saved = start;
  for (const portion of reading.portions(start)) {
    if (portion.fresh) context.clear();
    observer.portion = portion;
    context.decode(portion.batch);
    if (settings.perplexity) {
      const more = lossesOf(context, reading, portion, settings.contextSize);
      if (more === undefined) throw badLogits(model, portion);
      losses = { count: losses.count + more.count, sum: losses.sum + more.sum };
    }
    if (portion.from + portion.length < settings.contextSize) continue;
    const done = portion.chunk + portion.chunks;
    yield { step: "read", done, ...(losses.count === 0 ? {} : { losses }) };
    if (done - saved < input.saveEvery || done === reading.count || !input.collect.importance) continue;
    saved = done;
    yield { step: "snapshot", entries: observer.importance.entries };
  }
  yield {
    step: "ended",
    entries: input.collect.importance ? observer.importance.entries : new Map(),
    ranges: observer.ranges?.ranges ?? new Map(),
    moments: observer.moments?.moments ?? new Map(),
  };
  context.close();
  model.close();
};

export default task;

function makingOf(model: EngineModel, tokens: Int32Array, settings: Settings): Making {
  const { contextSize, fromChunk, processOutput } = settings;
  const { description, parameters, bytes } = model;
  return {
    model: `${description}, ${parameters} weights, ${bytes} bytes`,
    tokens: createHash("sha256")
      .update(new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength))
      .digest("hex"),
    contextSize,
    fromChunk,
    processOutput,
  };
}

class Observer implements ActivationObserver {
  /** What is being computed. */
  portion: Portion | undefined;
  readonly importance: ImportanceCollector;
  readonly ranges: RangeCollector | undefined;
  readonly moments: MomentCollector | undefined;
  readonly #input: CalibrationInput;

  constructor(input: CalibrationInput) {
    const { collect, before } = input;
    this.#input = input;
    this.importance = new ImportanceCollector(before?.entries);
    if (collect.ranges) this.ranges = new RangeCollector();
    if (collect.moments !== undefined) this.moments = new MomentCollector(collect.moments);
  }

  wants(product: Parameters<ActivationObserver["wants"]>[0]): boolean {
    if (!isCollected(product, this.#input.settings.processOutput)) return false;
    const { importance, ranges, moments } = this.#input.collect;
    return importance || ranges || (moments !== undefined && this.moments!.wants(product.weight));
  }

  see(activation: Activation): void {
    const { values, weight } = activation;
    if (this.#input.collect.importance) {
      if (!this.importance.see(activation)) throw this.#bad(weight, values);
    } else if (!values.every(Number.isFinite)) throw this.#bad(weight, values);
    this.ranges?.see(activation);
    this.moments?.see(activation);
  }

  #bad(tensor: string, values: Float32Array): FewbitError {
    const found = values.find((value) => !Number.isFinite(value));
    const what =
      found === undefined
        ? `squares of the input of ${tensor} add up to more than float32 holds`
        : `the input of ${tensor} is ${found}`;
    return new FewbitError(
      "E_ACTIVATION",
      `In ${chunksOf(this.portion!)} ${what}.`,
      { file: this.#input.model, tensor },
      "The model is damaged, or its type cannot hold its activations: convert it again, or to BF16 or F32.",
    );
  }
}

const chunksOf = ({ chunk, chunks }: Portion): string =>
  chunks === 1 ? `chunk ${chunk + 1}` : `chunks ${chunk + 1} to ${chunk + chunks}`;

const badLogits = (model: EngineModel, portion: Portion): FewbitError =>
  new FewbitError(
    "E_LOGITS",
    `The logits of ${chunksOf(portion)} are NaN or infinite.`,
    { file: model.path },
    "The model is damaged, or its conversion went wrong: make it again.",
  );
