// Runs in the engine's process: what `fewbit bench` measures of one model.
import type { EngineContext, EngineHost, EngineModel } from "@fewbit/core";
import { openEnergy } from "./energy.js";

/** What to measure of a model. */
export interface BenchInput {
  readonly path: string;
  readonly trials: readonly Trial[];
  readonly repetitions: number;
  readonly threads: number;
  readonly gpuLayers: number;
  readonly batch: number;
  readonly microBatch: number;
}

/** One of llama-bench's tests: tokens read, or tokens written one by one, after `depth` others. */
export interface Trial {
  readonly kind: "prompt" | "generate";
  readonly tokens: number;
  readonly depth: number;
}

export interface Sample {
  readonly seconds: number;
  /** Of the whole machine. */
  readonly joules?: number;
}

export type BenchStep =
  | {
      readonly step: "loaded";
      readonly engine: string;
      readonly devices: readonly string[];
      readonly description: string;
      readonly bytes: number;
      readonly weights: number;
      readonly loadSeconds: number;
      /** Why no energy is measured. */
      readonly noEnergy?: string;
    }
  | { readonly step: "running"; readonly trial: Trial; readonly repetition: number }
  | { readonly step: "measured"; readonly trial: Trial; readonly samples: readonly Sample[] }
  | {
      readonly step: "ended";
      /** Bytes: the most that the process ever had in memory, the pages of the model's file included. */
      readonly peakMemory: number;
    };

/** The same tokens in every run, as random as those of llama-bench. */
function random(): (below: number) => number {
  let state = 1;
  return (below) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

export default function* bench(host: EngineHost, input: BenchInput): Generator<BenchStep> {
  const { path, trials, repetitions, threads, gpuLayers } = input;
  const start = performance.now();
  const model = host.load(path, { gpuLayers });
  const loadSeconds = (performance.now() - start) / 1000;
  const energy = openEnergy();
  const { description, bytes, parameters: weights } = model;
  yield {
    step: "loaded",
    engine: host.version,
    devices: host.devices,
    ...{ description, bytes, weights, loadSeconds },
    ...("unavailable" in energy ? { noEnergy: energy.unavailable } : {}),
  };
  for (const trial of trials) {
    yield { step: "running", trial, repetition: 0 };
    const size = trial.depth + trial.tokens;
    const batch = Math.min(input.batch, size);
    const microBatch = Math.min(input.microBatch, batch);
    const context = model.context({ size, batch, microBatch, threads });
    const run = new Run(model, context, batch);
    if (trial.kind === "prompt") run.read(trial.tokens);
    else run.write(1);
    const samples: Sample[] = [];
    for (let repetition = 1; repetition <= repetitions; repetition++) {
      yield { step: "running", trial, repetition };
      context.clear();
      run.read(trial.depth);
      if ("meter" in energy) energy.meter.lap();
      const before = performance.now();
      if (trial.kind === "prompt") run.read(trial.tokens);
      else run.write(trial.tokens);
      const seconds = (performance.now() - before) / 1000;
      samples.push({ seconds, ...("meter" in energy ? { joules: energy.meter.lap() } : {}) });
    }
    context.close();
    yield { step: "measured", trial, samples };
  }
  yield { step: "ended", peakMemory: process.resourceUsage().maxRSS * 1024 };
}

class Run {
  readonly #model: EngineModel;
  readonly #context: EngineContext;
  readonly #batch: number;
  readonly #random = random();

  constructor(model: EngineModel, context: EngineContext, batch: number) {
    this.#model = model;
    this.#context = context;
    this.#batch = batch;
  }

  /** Batch by batch, the last token's logits of each. */
  read(count: number): void {
    for (let done = 0; done < count; done += this.#batch) {
      const tokens = Int32Array.from({ length: Math.min(this.#batch, count - done) }, () => this.#any());
      if (done === 0) tokens[0] = this.#first();
      this.#context.decode({ tokens });
    }
  }

  /** One by one. */
  write(count: number): void {
    let token = this.#first();
    for (let done = 0; done < count; done++) {
      this.#context.decode({ tokens: Int32Array.of(token) });
      token = this.#any();
    }
  }

  #any(): number {
    return this.#random(this.#model.vocabulary);
  }

  #first(): number {
    const { addsBos, bos } = this.#model;
    return addsBos && bos !== undefined ? bos : this.#any();
  }
}
