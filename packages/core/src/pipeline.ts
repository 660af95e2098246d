import { FewbitError } from "./error.js";
import type { Io } from "./execute.js";
import { splitJobs } from "./plan.js";
import type { Registry } from "./registry.js";
import type {
  ImportanceMatrix,
  Job,
  Locator,
  Model,
  Nonfinite,
  Observer,
  Plan,
  PlannedTensor,
  Runner,
} from "./types.js";

/** A plan, with everything that is needed to carry it out. */
export interface RunRequest {
  readonly plan: Plan;
  readonly model: Model;
  readonly registry: Registry;
  readonly runner: Runner;
  /** Output files, already of full size, by the plan's file numbers. */
  readonly to: readonly Locator[];
  readonly io: Io;
  readonly importance?: ImportanceMatrix;
  readonly nonfinite?: Nonfinite;
  readonly threads?: number;
  readonly signal?: AbortSignal;
}

/** How far a run is. Counters only grow. */
export interface Progress {
  /** The tensor of the chunk that has just ended. */
  readonly tensor: string;
  readonly weights: number;
  readonly totalWeights: number;
  /** Bytes read and written so far. */
  readonly read: number;
  readonly written: number;
  /** Weights replaced under `nonfinite: "zero"`. */
  readonly zeroed: number;
}

/**
 * Runs a plan: observe where schemes need it, then encode. The headers are not written here: sealing is the caller's.
 * Ends early, with `E_ABORTED`, when the signal fires.
 */
export async function* runPlan(request: RunRequest): AsyncGenerator<Progress> {
  const { plan, model, registry, runner, to, io, signal } = request;
  const context = {
    modules: registry.modules(),
    ...(request.threads === undefined ? {} : { threads: request.threads }),
    ...(signal === undefined ? {} : { signal }),
  };
  const common = {
    plan,
    from: model.files,
    to,
    ...(request.importance ? { importance: request.importance } : {}),
    ...(request.nonfinite ? { nonfinite: request.nonfinite } : {}),
  };
  const observed = twoPass(plan, registry);
  const totalWeights = plan.tensors.reduce(
    (sum, tensor) => sum + tensor.shape.reduce((a, b) => a * b, 1) * (observed.has(tensor.name) ? 2 : 1),
    0,
  );
  const counters = { weights: 0, read: 0, written: 0, zeroed: 0 };

  async function* follow(
    jobs: Iterable<Job>,
    keep?: (job: number, state: unknown) => void,
  ): AsyncGenerator<Progress> {
    // By bytes, because a piece of a very long row counts as well.
    const perByte = new Map(
      plan.tensors.map(({ name, shape, from }) => [
        name,
        shape.reduce((a, b) => a * b, 1) / Math.max(from.bytes, 1),
      ]),
    );
    for await (const receipt of runner.run(jobs, context)) {
      counters.weights += Math.round(receipt.read * perByte.get(receipt.tensor)!);
      counters.read += receipt.read;
      counters.written += receipt.written;
      counters.zeroed += receipt.zeroed ?? 0;
      keep?.(receipt.job, receipt.state);
      yield { tensor: receipt.tensor, totalWeights, ...counters };
    }
    // A runner that stops early for the signal's sake has not finished.
    if (signal?.aborted)
      throw new FewbitError("E_ABORTED", "The run was stopped.", {}, undefined, signal.reason);
  }

  const parameters = new Map<string, unknown>();
  if (observed.size > 0) {
    const jobs = [...splitJobs({ ...common, pass: "observe", observed: new Set(observed.keys()) })];
    const states: unknown[] = [];
    yield* follow(jobs, (job, state) => {
      states[job] = state;
    });
    for (const [name, { tensor, observer }] of observed) {
      // In row order, so that sums do not depend on which worker was faster.
      const mine = jobs.filter((job) => job.tensor === name).map((job) => states[job.id]);
      if (mine.length === 0) continue; // A tensor without rows: its parts stay zero.
      const sees = await observer();
      const { parameters: concluded, parts } = sees.finish(mine.reduce((a, b) => sees.merge(a, b)));
      parameters.set(name, concluded);
      const whole = tensor.to.parts.filter((part) => part.per === "tensor");
      for (const [i, part] of whole.entries()) await io.write(to[part.file]!, part.offset, parts[i]!);
    }
  }
  yield* follow(splitJobs({ ...common, pass: "encode", parameters }));
}

/** Tensors whose scheme must see them whole before encoding. */
function twoPass(
  plan: Plan,
  registry: Registry,
): Map<string, { tensor: PlannedTensor; observer: () => Promise<Observer> }> {
  const found = new Map<string, { tensor: PlannedTensor; observer: () => Promise<Observer> }>();
  for (const tensor of plan.tensors) {
    if (tensor.to.plugin === undefined) continue;
    const { value: scheme } = registry.scheme(`${tensor.to.plugin}:${tensor.to.dtype}`);
    if (scheme.passes === 1) continue;
    found.set(tensor.name, { tensor, observer: async () => (await scheme.load()).observer! });
  }
  return found;
}
