import { FewbitError, fromFailure } from "./error.js";
import type { Io } from "./execute.js";
import type { Job, Plugin, Receipt, RunContext, Runner } from "./types.js";
import { amongst, worker } from "./worker.js";

/** Runs jobs one after another on the calling thread: for tests, small models and pages without workers. */
export function inlineRunner(plugins: readonly Plugin[], io: Io): Runner {
  return {
    id: "inline",
    async *run(jobs: Iterable<Job>, { signal }: RunContext): AsyncGenerator<Receipt> {
      const work = worker(amongst(plugins), io);
      for (const job of jobs) {
        if (signal?.aborted)
          throw new FewbitError("E_ABORTED", "The run was stopped.", {}, undefined, signal.reason);
        const answer = await work(job);
        if ("failure" in answer) throw fromFailure(answer.failure);
        yield answer;
      }
    },
  };
}
