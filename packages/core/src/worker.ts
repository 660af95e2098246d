import { codecCache } from "./codecs.js";
import { type Failure, FewbitError, toFailure } from "./error.js";
import { execute, type Io } from "./execute.js";
import type { Job, Plugin, Receipt } from "./types.js";

/** What a worker answers: errors travel as data. */
export type Answer = Receipt | { readonly failure: Failure };

/** One thread's side of any runner: job in, receipt or failure out. Never rejects. */
export function worker(
  plugin: (name: string) => Plugin | Promise<Plugin>,
  io: Io,
): (job: Job) => Promise<Answer> {
  const load = codecCache(plugin);
  return async (job) => {
    try {
      return await execute(job, load, io);
    } catch (thrown) {
      return { failure: toFailure(thrown, { tensor: job.tensor, row: job.firstRow }, "E_PLUGIN_FAILED") };
    }
  };
}

/** `plugins` by npm name, for workers that import them statically, as bundlers need it. */
export const amongst =
  (plugins: readonly Plugin[]) =>
  (name: string): Plugin => {
    const plugin = plugins.find((p) => p.name === name);
    if (plugin === undefined)
      throw new FewbitError(
        "E_PLUGIN_NOT_FOUND",
        `The plugin ${name} is not part of this worker.`,
        {},
        "Add it to the worker's list.",
      );
    return plugin;
  };
