import { availableParallelism } from "node:os";
import { type Engine, FewbitError } from "@fewbit/core";
import { type Command, Option } from "commander";
import type { BenchInput, BenchStep, Sample, Trial } from "../bench-task.js";
import { parseThreads, wholeNumber } from "../choices.js";
import { openRunnable } from "../measuring.js";
import { engineOf } from "../plugins.js";
import { ProgressLine } from "../progress.js";
import { type Column, escapeControls, formatBytes, formatCount, formatDuration, table } from "../render.js";
import {
  type CommonOptions,
  examples,
  openSession,
  type Session,
  type Surroundings,
  withCommonOptions,
} from "../session.js";

interface BenchOptions extends CommonOptions {
  readonly prompt: readonly number[];
  readonly generate: readonly number[];
  readonly contextDepth: readonly number[];
  readonly repetitions: number;
  readonly threads?: number;
  readonly batch: number;
  readonly microBatch: number;
  readonly gpuLayers: number;
}

/** What was measured of one model. */
interface Result {
  readonly model: string;
  readonly loaded: Extract<BenchStep, { step: "loaded" }>;
  readonly measured: readonly Extract<BenchStep, { step: "measured" }>[];
  readonly peakMemory: number;
}

const HELP = `
Tests are called as llama-bench calls them: pp512 reads a prompt of 512 tokens, tg128 generates 128 tokens one by
one; @ d1024 says that 1024 others come first. Each is run once to warm up, then --repetitions times; figures are
means ± standard deviations. Memory is the most that the engine's process ever had, with the pages of the model's file.
J/TOKEN is the energy of the whole machine's processors, where it has counters that may be read (RAPL on Linux).
${examples(
  "fewbit bench model-Q4_K_M.gguf",
  "fewbit bench model-Q8_0.gguf model-Q4_K_M.gguf --threads 4",
  "fewbit bench model-Q4_K_M.gguf --prompt 128,512 --generate 0",
  "fewbit bench model-Q4_K_M.gguf --context-depth 0,4096 --json",
)}`;

/** `512,1024` → numbers of tokens; 0 leaves the test out. */
const tokenList = (option: string) => (text: string) =>
  text.split(",").map((part) => wholeNumber(option, 0)(part.trim()));

export function addBench(program: Command, world: Surroundings): void {
  const count = (flags: string, least: number, preset: number, what: string): Option => {
    const option = new Option(flags, what);
    return option.argParser(wholeNumber(option.long!, least)).default(preset);
  };
  const list = (flags: string, preset: number, what: string): Option => {
    const option = new Option(flags, what);
    return option.argParser(tokenList(option.long!)).default([preset], String(preset));
  };
  const command = program
    .command("bench")
    .description("Measure how fast models are: prompt and generation speed, load time, memory and energy.")
    .argument("<model...>", "GGUF files (of a split model the first)")
    .addOption(list("-p, --prompt <tokens>", 512, "prompts to read; 0 for none"))
    .addOption(list("-n, --generate <tokens>", 128, "tokens to generate; 0 for none"))
    .addOption(list("-d, --context-depth <tokens>", 0, "tokens that come before those measured"))
    .addOption(count("-r, --repetitions <count>", 1, 5, "how often each test is repeated"))
    .option("-t, --threads <count>", "threads of the engine (default: half of the machine's)", parseThreads)
    .addOption(count("--batch <tokens>", 1, 2048, "tokens given to the engine at once"))
    .addOption(count("--micro-batch <tokens>", 1, 512, "tokens computed at once"))
    .addOption(count("--gpu-layers <count>", 0, 0, "layers on the GPU"));
  withCommonOptions(command)
    .addHelpText("after", HELP)
    .action(async (models: readonly string[], options: BenchOptions) => {
      await bench(models, options, openSession(world, options));
    });
}

async function bench(models: readonly string[], options: BenchOptions, session: Session): Promise<void> {
  const { prompt, generate, contextDepth, repetitions, batch, microBatch, gpuLayers } = options;
  const trials = contextDepth.flatMap((depth): Trial[] => [
    ...prompt.map((tokens): Trial => ({ kind: "prompt", tokens, depth })),
    ...generate.map((tokens): Trial => ({ kind: "generate", tokens, depth })),
  ]);
  const wanted = trials.filter(({ tokens }) => tokens > 0);
  if (wanted.length === 0)
    throw new FewbitError(
      "E_USAGE",
      "There is nothing to measure: --prompt and --generate are both 0.",
      {},
      "Leave one of them out, or give it a number of tokens.",
    );
  const registry = await session.registry(...models);
  const engine = engineOf(registry);
  // Threads of one core take turns at the same arithmetic: half of them are as many as help.
  const threads = options.threads ?? Math.max(1, availableParallelism() >> 1);
  const inputs: BenchInput[] = [];
  // All of them before minutes go into the first.
  for (const model of models) {
    const { path } = await openRunnable(model, registry, session);
    inputs.push({ path, trials: wanted, ...{ repetitions, threads, gpuLayers, batch, microBatch } });
  }

  const results: Result[] = [];
  const progress = new Progress(session, inputs);
  try {
    for (const input of inputs) results.push(await measure(input, engine, session.signal, progress));
  } catch (error) {
    // Minutes may have gone into the models before.
    if (results.length > 0) session.print(toText(results, threads));
    throw error;
  }
  if (gpuLayers > 0 && results[0]!.loaded.devices.length === 1)
    session.note("warning: the engine has no GPU here: all layers were on the processor");
  session.document(toDocument(results, { threads, repetitions, batch, microBatch, gpuLayers }));
  session.print(toText(results, threads));
}

/** In a process of its own, so that its memory is that of this model alone. */
async function measure(
  input: BenchInput,
  engine: Engine,
  signal: AbortSignal,
  progress: Progress,
): Promise<Result> {
  const task = { url: new URL("./bench-task.js", import.meta.url).href };
  const measured: Result["measured"][number][] = [];
  let loaded: Result["loaded"] | undefined;
  let peakMemory = 0;
  try {
    for await (const step of engine.run<BenchStep>(task, input, { signal })) {
      if (step.step === "loaded") loaded = step;
      else if (step.step === "measured") measured.push(step);
      else if (step.step === "ended") peakMemory = step.peakMemory;
      else progress.begin(input, step.trial, step.repetition);
    }
  } finally {
    progress.clear();
  }
  return { model: input.path, loaded: loaded!, measured, peakMemory };
}

/** Reading a token takes about this much less time than generating one: near enough for the time left. */
const READING = 5;

/** What a run costs, in tokens that are generated; run 0 warms up. */
const costOf = ({ kind, tokens, depth }: Trial, run: number): number => {
  if (run === 0) return kind === "prompt" ? tokens / READING : 1;
  return depth / READING + (kind === "prompt" ? tokens / READING : tokens);
};

class Progress {
  readonly #line: ProgressLine;
  readonly #total: number;
  #done = 0;
  /** Cost of the run that has begun. */
  #running = 0;

  constructor({ stderr, quiet }: Session, inputs: readonly BenchInput[]) {
    this.#line = new ProgressLine(stderr, { quiet });
    this.#total = inputs
      .flatMap(({ trials, repetitions }) =>
        trials.map((trial) => costOf(trial, 0) + repetitions * costOf(trial, 1)),
      )
      .reduce((sum, cost) => sum + cost, 0);
  }

  begin({ path, repetitions }: BenchInput, trial: Trial, run: number): void {
    this.#done += this.#running;
    this.#running = costOf(trial, run);
    const what = run === 0 ? "warming up" : `run ${run} of ${repetitions}`;
    this.#line.show({ done: this.#done, total: this.#total, label: `${path}: ${nameOf(trial)}, ${what}` });
  }

  clear(): void {
    this.#line.clear();
  }
}

const nameOf = ({ kind, tokens, depth }: Trial): string =>
  `${kind === "prompt" ? "pp" : "tg"}${tokens}${depth === 0 ? "" : ` @ d${depth}`}`;

/** Small models are mapped into memory within milliseconds. */
const formatLoad = (milliseconds: number): string =>
  milliseconds < 1000 ? `${milliseconds.toPrecision(3)} ms` : formatDuration(milliseconds);

interface Figure {
  readonly mean: number;
  /** Of the samples, with n - 1; 0 for one sample. */
  readonly deviation: number;
}

export function figureOf(samples: readonly number[]): Figure {
  const mean = samples.reduce((sum, x) => sum + x, 0) / samples.length;
  const squares = samples.reduce((sum, x) => sum + (x - mean) ** 2, 0);
  return { mean, deviation: samples.length < 2 ? 0 : Math.sqrt(squares / (samples.length - 1)) };
}

const speeds = ({ tokens }: Trial, samples: readonly Sample[]): number[] =>
  samples.map(({ seconds }) => tokens / seconds);

const energies = ({ tokens }: Trial, samples: readonly Sample[]): number[] =>
  samples.flatMap(({ joules }) => (joules === undefined ? [] : [joules / tokens]));

function toText(results: readonly Result[], threads: number): string {
  const right = (title: string): Column => ({ title, align: "right" });
  const withEnergy = results.some(({ loaded }) => loaded.noEnergy === undefined);
  const models = table(
    [{ title: "MODEL" }, { title: "KIND" }, ...["SIZE", "WEIGHTS", "LOAD", "MEMORY"].map(right)],
    results.map(({ model, loaded, peakMemory }) => [
      model,
      loaded.description,
      formatBytes(loaded.bytes),
      formatCount(loaded.weights),
      formatLoad(loaded.loadSeconds * 1000),
      formatBytes(peakMemory),
    ]),
  );
  const tests = table(
    [
      { title: "MODEL" },
      { title: "TEST" },
      ...["TOKENS/S", "± SD"].map(right),
      ...(withEnergy ? [right("J/TOKEN")] : []),
    ],
    results.flatMap(({ model, measured }) =>
      measured.map(({ trial, samples }) => {
        const { mean, deviation } = figureOf(speeds(trial, samples));
        const energy = energies(trial, samples);
        return [
          model,
          nameOf(trial),
          mean.toFixed(2),
          deviation.toFixed(2),
          ...(withEnergy ? [energy.length === 0 ? "-" : figureOf(energy).mean.toPrecision(3)] : []),
        ];
      }),
    ),
  );
  const [{ loaded }] = results as [Result];
  const on = `${loaded.engine} on ${loaded.devices.join(", ")}, ${threads} ${threads === 1 ? "thread" : "threads"}`;
  return [
    models,
    tests,
    [
      escapeControls(on),
      ...(loaded.noEnergy === undefined ? [] : [`energy per token: not available, ${loaded.noEnergy}`]),
    ].join("\n"),
  ].join("\n\n");
}

function toDocument(
  results: readonly Result[],
  settings: Pick<BenchInput, "threads" | "repetitions" | "batch" | "microBatch" | "gpuLayers">,
) {
  const [{ loaded }] = results as [Result];
  return {
    engine: loaded.engine,
    devices: loaded.devices,
    ...settings,
    energy: loaded.noEnergy === undefined ? { available: true } : { available: false, why: loaded.noEnergy },
    models: results.map(({ model, loaded, measured, peakMemory }) => ({
      model,
      description: loaded.description,
      bytes: loaded.bytes,
      weights: loaded.weights,
      loadSeconds: loaded.loadSeconds,
      peakMemory,
      tests: measured.map(({ trial, samples }) => {
        const energy = energies(trial, samples);
        return {
          test: nameOf(trial),
          ...trial,
          tokensPerSecond: { ...figureOf(speeds(trial, samples)), samples: speeds(trial, samples) },
          joulesPerToken: energy.length === 0 ? null : { ...figureOf(energy), samples: energy },
        };
      }),
    })),
  };
}
