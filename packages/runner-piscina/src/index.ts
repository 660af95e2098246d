import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import {
  definePlugin,
  FewbitError,
  fromFailure,
  isFewbitError,
  type Job,
  type Plugin,
  type Receipt,
  type RunContext,
  type Runner,
} from "@fewbit/core";
import type { Answer } from "@fewbit/core/worker";
import { Piscina } from "piscina";
import manifest from "../package.json" with { type: "json" };

/** Jobs alive per thread: one running, one waiting. This is the backpressure and the bound on memory. */
const JOBS_PER_THREAD = 2;

/**
 * Runs jobs on a pool of worker threads, one per core unless told otherwise. Receipts come in the order of
 * completion; leaving the loop, or the signal, stops the pool.
 *
 * @throws `E_ABORTED` when the signal fires, `E_WORKER_DIED` naming tensor and rows when a thread ends by
 * itself, `E_PLUGIN_INVALID` for options that cannot cross threads, and whatever a job throws
 */
export const piscinaRunner: Runner = {
  id: "piscina",
  isolated: true,
  async *run(jobs: Iterable<Job>, { modules, threads, signal }: RunContext): AsyncGenerator<Receipt> {
    refuseUncloneable(modules);
    if (signal?.aborted) throw aborted(signal);
    const size = Math.max(1, threads ?? availableParallelism());
    const pool = new Piscina<Job, Answer>({
      filename: fileURLToPath(new URL("./worker.js", import.meta.url)),
      minThreads: 1,
      maxThreads: size,
      idleTimeout: Number.POSITIVE_INFINITY,
      workerData: modules,
    });
    // Without a listener, an error that belongs to no job would end the process: a thread that breaks between two
    // jobs, or an answer from one that is being ended, which nobody waits for any more.
    const broken = new Promise<never>((_, reject) => {
      pool.on("error", (cause) => reject(signal?.aborted ? aborted(signal) : brokenBetween(cause)));
    });
    broken.catch(() => {});
    const running = new Map<number, Promise<Receipt>>();
    const source = jobs[Symbol.iterator]();
    try {
      for (;;) {
        while (running.size < size * JOBS_PER_THREAD) {
          const next = source.next();
          if (next.done) break;
          running.set(next.value.id, runJob(pool, next.value, signal));
        }
        if (running.size === 0) return;
        const receipt = await Promise.race([...running.values(), broken]);
        running.delete(receipt.job);
        yield receipt;
      }
    } finally {
      // Whatever ended the loop has been reported; what it cancels need not be.
      for (const job of running.values()) job.catch(() => {});
      await pool.destroy();
    }
  },
};

async function runJob(
  pool: Piscina<Job, Answer>,
  job: Job,
  signal: AbortSignal | undefined,
): Promise<Receipt> {
  let answer: Answer;
  try {
    answer = await pool.run(job, signal ? { signal } : {});
  } catch (cause) {
    throw signal?.aborted ? aborted(signal) : died(job, cause);
  }
  if ("failure" in answer) throw fromFailure(answer.failure);
  return answer;
}

const aborted = (signal: AbortSignal): FewbitError =>
  isFewbitError(signal.reason)
    ? signal.reason
    : new FewbitError("E_ABORTED", "The run was stopped.", {}, undefined, signal.reason);

function died(job: Job, cause: unknown): FewbitError {
  const who = job.scheme ? ` in ${job.scheme.plugin}:${job.scheme.id}` : "";
  const why = cause instanceof Error ? `: ${cause.message}` : "";
  return new FewbitError(
    "E_WORKER_DIED",
    `A worker died on ${job.tensor}, rows ${job.firstRow} to ${job.firstRow + job.rows - 1}${who}${why}`,
    { tensor: job.tensor, row: job.firstRow },
    job.scheme
      ? `Try fewer --threads if memory is short; otherwise report it to the authors of ${job.scheme.plugin}.`
      : "Try fewer --threads if memory is short.",
    cause,
  );
}

const brokenBetween = (cause: unknown): FewbitError =>
  new FewbitError(
    "E_WORKER_DIED",
    `A worker died between two jobs: ${cause instanceof Error ? cause.message : cause}`,
    {},
    "Report it to the authors of the plugins that were used.",
    cause,
  );

/** Options reach workers by structured clone; what cannot be cloned is refused before the first thread starts. */
function refuseUncloneable(modules: RunContext["modules"]): void {
  for (const [name, ref] of Object.entries(modules))
    try {
      structuredClone(ref);
    } catch (cause) {
      throw new FewbitError(
        "E_PLUGIN_INVALID",
        `The options of ${name} cannot be sent to worker threads: ${cause instanceof Error ? cause.message : cause}.`,
        {},
        "Use plain data: no functions, no class instances.",
        cause,
      );
    }
}

const plugin: Plugin = definePlugin({
  api: 1,
  name: manifest.name,
  version: manifest.version,
  module: import.meta.url,
  runners: [piscinaRunner],
});

export default plugin;
