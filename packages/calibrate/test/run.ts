import { existsSync } from "node:fs";
import type { Engine } from "@fewbit/core";
import { llama as engine } from "@fewbit/engine-llama";

/** What a generator yields, and what it returns. */
export async function drain<S, T>(work: AsyncGenerator<S, T>): Promise<{ steps: S[]; result: T }> {
  const steps: S[] = [];
  for (;;) {
    const step = await work.next();
    if (step.done) return { steps, result: step.value };
    steps.push(step.value);
  }
}

const task = new URL("../dist/task.js", import.meta.url);

/** llama.cpp, with the task as it is built: its process reads no TypeScript. */
export const llama: Engine = {
  ...engine,
  run(_, input, options) {
    if (!existsSync(task)) throw new Error("This package is not built: run its build before its tests.");
    return engine.run({ url: task.href }, input, options);
  },
};
