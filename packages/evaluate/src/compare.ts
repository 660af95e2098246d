import {
  addSums,
  FewbitError,
  type MetricSums,
  metricsOf,
  type Progress,
  type Runner,
  type TensorMetrics,
} from "@fewbit/core";
import { chunkCount, measureJobs } from "./jobs.js";
import { type Pair, type Pairing, type PairRequest, pairTensors } from "./pair.js";

/** Two models, and who does the work. */
export interface CompareRequest extends PairRequest {
  readonly runner: Runner;
  /** Take NaN and infinite weights for zero, on either side, and count them; otherwise they are an error. */
  readonly nonfinite?: "refuse" | "zero";
  readonly threads?: number;
  readonly signal?: AbortSignal;
}

/** What became of one tensor. */
export interface TensorComparison {
  readonly name: string;
  readonly shape: readonly number[];
  readonly original: { readonly dtype: string; readonly bytes: number };
  readonly quantized: { readonly dtype: string; readonly bytes: number };
  readonly metrics: TensorMetrics;
}

/** Several tensors as if they were one. */
export interface Total {
  readonly tensors: number;
  /** Tensor bytes before and after. */
  readonly originalBytes: number;
  readonly quantizedBytes: number;
  /** `weightedSqnr` is that of the tensors with importance. */
  readonly metrics: TensorMetrics;
}

/** What became of a model. */
export interface Comparison extends Omit<Pairing, "pairs"> {
  /** In the order of the original. */
  readonly tensors: readonly TensorComparison[];
  /** All tensors that were compared. */
  readonly total: Total;
  /** Those of each type in the quantized model, in the order in which types occur. */
  readonly types: ReadonlyMap<string, Total>;
  /** Tensors without an entry in the importance matrix; empty where there is no matrix. */
  readonly unweighted: readonly string[];
  /** Weights taken for zero under `nonfinite: "zero"`. */
  readonly zeroed: number;
}

/**
 * Holds every tensor of one model against the same tensor of another, decoded to float32, chunk by chunk on the threads
 * of any runner. Progress on the way, the result as the generator's value. Sums are added in the order of rows, so
 * that no figure depends on the number of threads.
 *
 * @throws what `pairTensors` and the runner throw; `E_NONFINITE`, `E_ABORTED`
 */
export async function* compareModels(request: CompareRequest): AsyncGenerator<Progress, Comparison> {
  const { registry, runner, threads, signal, importance } = request;
  const { pairs, ...leftover } = pairTensors(request);
  const totalWeights = pairs.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  const counters = { weights: 0, read: 0, written: 0, zeroed: 0 };
  const sums = new RowOrder(pairs);
  const run = runner.run(measureJobs(pairs, request.nonfinite), {
    modules: registry.modules(),
    ...(threads === undefined ? {} : { threads }),
    ...(signal === undefined ? {} : { signal }),
  });
  const columns = new Map(pairs.map(({ name, shape }) => [name, shape.at(-1) ?? 1]));
  for await (const receipt of run) {
    sums.add(receipt.tensor, receipt.job, receipt.state as MetricSums);
    counters.weights += receipt.rows * columns.get(receipt.tensor)!;
    counters.read += receipt.read;
    counters.zeroed += receipt.zeroed ?? 0;
    yield { tensor: receipt.tensor, totalWeights, ...counters };
  }
  // A runner that stops early for the signal's sake has not finished.
  if (signal?.aborted)
    throw new FewbitError("E_ABORTED", "The run was stopped.", {}, undefined, signal.reason);

  const measured = pairs.map((pair) => ({ pair, sums: sums.of(pair.name) }));
  const types = new Map<string, typeof measured>();
  for (const each of measured) {
    const { dtype } = each.pair.quantized;
    types.set(dtype, [...(types.get(dtype) ?? []), each]);
  }
  return {
    ...leftover,
    tensors: measured.map(({ pair, sums }) => ({
      name: pair.name,
      shape: pair.shape,
      original: { dtype: pair.original.dtype, bytes: pair.original.bytes },
      quantized: { dtype: pair.quantized.dtype, bytes: pair.quantized.bytes },
      metrics: metricsOf(sums),
    })),
    total: totalOf(measured),
    types: new Map([...types].map(([dtype, group]) => [dtype, totalOf(group)])),
    unweighted: importance ? pairs.filter((pair) => !pair.importance).map(({ name }) => name) : [],
    zeroed: counters.zeroed,
  };
}

const NOTHING: MetricSums = { count: 0, signal: 0, decoded: 0, product: 0, noise: 0, maxError: 0 };

/** Sums of chunks arrive in any order and are added in one. Only chunks of unfinished tensors are kept. */
class RowOrder {
  readonly #open = new Map<
    string,
    { readonly firstJob: number; left: number; readonly chunks: MetricSums[] }
  >();
  readonly #done = new Map<string, MetricSums>();

  constructor(pairs: readonly Pair[]) {
    let firstJob = 0;
    for (const pair of pairs) {
      const left = chunkCount(pair);
      if (left === 0) this.#done.set(pair.name, NOTHING);
      else this.#open.set(pair.name, { firstJob, left, chunks: [] });
      firstJob += left;
    }
  }

  add(tensor: string, job: number, sums: MetricSums): void {
    const open = this.#open.get(tensor)!;
    open.chunks[job - open.firstJob] = sums;
    if (--open.left > 0) return;
    this.#done.set(tensor, open.chunks.reduce(addSums));
    this.#open.delete(tensor);
  }

  of(tensor: string): MetricSums {
    return this.#done.get(tensor)!;
  }
}

function totalOf(measured: readonly { readonly pair: Pair; readonly sums: MetricSums }[]): Total {
  return {
    tensors: measured.length,
    originalBytes: measured.reduce((sum, { pair }) => sum + pair.original.bytes, 0),
    quantizedBytes: measured.reduce((sum, { pair }) => sum + pair.quantized.bytes, 0),
    metrics: metricsOf(measured.reduce((all, { sums }) => addSums(all, sums), NOTHING)),
  };
}
