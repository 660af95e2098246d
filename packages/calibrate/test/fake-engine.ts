// An engine of this process that multiplies as it is told: what the task asks of it can be seen.
import type { Activation, ContextOptions, Engine, EngineHost, EngineModel, TokenBatch } from "@fewbit/core";
import type { CalibrationInput } from "../src/task.js";
import task from "../src/task.js";

export const BOS = 1;
export const VOCABULARY = 50;

export interface FakeModel {
  readonly description?: string;
  readonly parameters?: number;
  readonly addsBos?: boolean;
  /** Products of one batch, whose inputs are seen. */
  readonly products: (batch: TokenBatch) => readonly Activation[];
  readonly logits?: (token: number) => Float32Array;
  /** Of the text; every character is one when absent. */
  readonly tokenize?: (text: string) => number[];
}

export interface FakeEngine extends Engine {
  readonly batches: TokenBatch[];
  readonly contexts: ContextOptions[];
  /** How many times everything was forgotten before each batch. */
  readonly clears: number[];
  readonly asked: string[];
}

/** Uniform, so that the perplexity is the size of the vocabulary. */
const uniform = new Float32Array(VOCABULARY);

export function fakeEngine(fake: FakeModel): FakeEngine {
  const engine: FakeEngine = {
    id: "fake",
    summary: "",
    batches: [],
    contexts: [],
    clears: [],
    asked: [],
    async *run<Output>(_: unknown, input: unknown) {
      const host: EngineHost = {
        version: "fake 1",
        devices: [],
        load: (path) => load(engine, path, fake),
      };
      for await (const step of task(host, structuredClone(input) as CalibrationInput))
        yield structuredClone(step) as Output;
    },
  };
  return engine;
}

function load(engine: FakeEngine, path: string, fake: FakeModel): EngineModel {
  const {
    description = "fake F16",
    parameters = 10,
    addsBos = true,
    products,
    logits = () => uniform,
  } = fake;
  return {
    path,
    description,
    parameters,
    bytes: 20,
    vocabulary: VOCABULARY,
    trainedContext: 64,
    embedding: 4,
    layers: 1,
    addsBos,
    addsEos: false,
    bos: BOS,
    eos: 2,
    token: String,
    tokenize: (text) =>
      Int32Array.from(
        fake.tokenize?.(text) ?? [...text].map((c) => 3 + (c.charCodeAt(0) % (VOCABULARY - 3))),
      ),
    detokenize: () => "",
    applyTemplate: () => undefined,
    close() {},
    context(options) {
      engine.contexts.push(options);
      let clears = 0;
      let last: TokenBatch | undefined;
      return {
        size: options.size,
        decode(batch) {
          last = batch;
          engine.batches.push(batch);
          engine.clears.push(clears);
          for (const activation of products(batch)) {
            const { weight, columns, experts, values, vectors } = activation;
            engine.asked.push(weight);
            const about = { weight, columns, rows: 8, experts, vectors: vectors ?? values.length / columns };
            if (options.observe!.wants(about)) options.observe!.see(activation);
          }
        },
        logits: (index) => logits(last!.tokens[index]!),
        clear() {
          clears++;
        },
        close() {},
      };
    },
  };
}
