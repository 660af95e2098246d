// An engine of this process, whose models are functions: what the tasks ask of it can be seen.
import type {
  ContextOptions,
  Engine,
  EngineContext,
  EngineModel,
  EngineTask,
  TokenBatch,
} from "@fewbit/core";
import compareTask from "../src/compare-task.js";
import perplexityTask from "../src/perplexity-task.js";

export interface FakeModel {
  readonly vocabulary: number;
  readonly addsBos?: boolean;
  readonly spelling?: (id: number) => string;
  /** After this token at this place of its chunk. */
  readonly logits: (token: number, position: number) => Float32Array;
}

export const BOS = 1;

/** Pseudo-random logits that depend on all arguments. */
export function noise(vocabulary: number, seed: number, token: number, position: number): Float32Array {
  let state = Math.imul(seed + 1, 2654435761) ^ Math.imul(token + 7, 40503) ^ Math.imul(position + 3, 97);
  return Float32Array.from({ length: vocabulary }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return ((state >>> 0) / 2 ** 32) * 12 - 6;
  });
}

/** Every character is a token, after the two special ones. */
export const tokensOf = (text: string, vocabulary: number): number[] =>
  [...text].map((character) => 2 + (character.charCodeAt(0) % (vocabulary - 2)));

export interface Decoded {
  readonly model: string;
  readonly batch: TokenBatch;
}

export interface FakeEngine extends Engine {
  readonly decoded: Decoded[];
  readonly options: ContextOptions[];
  /** Contexts that are open, and the most that ever were. */
  open: number;
  mostOpen: number;
}

const tasks: Readonly<Record<string, EngineTask>> = {
  "perplexity-task.js": perplexityTask as EngineTask,
  "compare-task.js": compareTask as EngineTask,
};

export function fakeEngine(models: Readonly<Record<string, FakeModel>>): FakeEngine {
  const engine: FakeEngine = {
    id: "fake",
    summary: "",
    decoded: [],
    options: [],
    open: 0,
    mostOpen: 0,
    async *run<Output>({ url }: { readonly url: string }, input: unknown) {
      const task = tasks[url.split("/").at(-1)!]!;
      yield* task(
        { version: "fake 1", devices: [], load: (path) => load(engine, path, models[path]!) },
        input,
      ) as AsyncIterable<Output>;
    },
  };
  return engine;
}

function load(engine: FakeEngine, path: string, fake: FakeModel): EngineModel {
  const { vocabulary, addsBos = true, spelling = (id) => `<${id}>` } = fake;
  return {
    path,
    description: "fake",
    parameters: 1,
    bytes: 2,
    vocabulary,
    trainedContext: 64,
    embedding: 1,
    layers: 1,
    addsBos,
    addsEos: false,
    bos: BOS,
    eos: 0,
    token: spelling,
    tokenize: (text, special) =>
      Int32Array.from([...(special && addsBos ? [BOS] : []), ...tokensOf(text, vocabulary)]),
    detokenize: () => "",
    applyTemplate: () => undefined,
    context: (options) => context(engine, path, fake, options),
    close: () => {},
  };
}

function context(engine: FakeEngine, path: string, fake: FakeModel, options: ContextOptions): EngineContext {
  engine.options.push(options);
  engine.mostOpen = Math.max(engine.mostOpen, ++engine.open);
  let last: TokenBatch | undefined;
  return {
    size: options.size,
    decode(batch) {
      if (last !== undefined) throw new Error("The chunks before were not forgotten.");
      last = batch;
      engine.decoded.push({ model: path, batch });
    },
    logits(index) {
      if (last?.logits?.[index] !== 1) throw new Error(`No logits were asked for after token ${index}.`);
      return fake.logits(last.tokens[index]!, last.positions![index]!);
    },
    clear() {
      last = undefined;
    },
    close() {
      engine.open--;
    },
  };
}

/** The value of a generator, and what it yielded. */
export async function finish<S, T>(
  work: AsyncGenerator<S, T>,
): Promise<{ readonly steps: S[]; readonly value: T }> {
  const steps: S[] = [];
  for (;;) {
    const step = await work.next();
    if (step.done) return { steps, value: step.value };
    steps.push(step.value);
  }
}

/** In float64, one after another: what the kernel must come near to. */
export function logSoftmax(logits: Float32Array): Float64Array {
  const peak = logits.reduce((a, b) => Math.max(a, b));
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - peak);
  return Float64Array.from(logits, (logit) => logit - peak - Math.log(sum));
}
