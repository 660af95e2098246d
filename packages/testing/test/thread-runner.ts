// The smallest runner with a thread of its own: one worker, one job at a time.
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { FewbitError, fromFailure, type Job, type Receipt, type RunContext, type Runner } from "@fewbit/core";
import type { Answer } from "@fewbit/core/worker";

export const threadRunner: Runner = {
  id: "thread",
  isolated: true,
  async *run(jobs: Iterable<Job>, { modules, signal }: RunContext): AsyncGenerator<Receipt> {
    const worker = new Worker(new URL("./thread-runner-worker.mjs", import.meta.url), {
      workerData: modules,
    });
    const ended = once(worker, "exit");
    try {
      for (const job of jobs) {
        if (signal?.aborted) throw new FewbitError("E_ABORTED", "The run was stopped.");
        worker.postMessage(job);
        const answer = await Promise.race([
          once(worker, "message").then(([message]) => message as Answer),
          ended.then(() => Promise.reject(died(job))),
        ]);
        if ("failure" in answer) throw fromFailure(answer.failure);
        yield answer;
      }
    } finally {
      await worker.terminate();
    }
  },
};

const died = ({ tensor, firstRow, scheme }: Job): FewbitError =>
  new FewbitError("E_WORKER_DIED", `The thread of ${scheme?.plugin}:${scheme?.id} ended.`, {
    tensor,
    row: firstRow,
  });
