import { codecCache } from "./codecs.js";
import { type Failure, FewbitError, isFewbitError, toFailure } from "./error.js";
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
      const place = { tensor: job.tensor, row: job.firstRow };
      return { failure: toFailure(isFewbitError(thrown) ? thrown : unforeseen(job, thrown), place) };
    }
  };
}

/** Codecs are other people's code: what they throw of their own is told as theirs, with the stack that helps them. */
function unforeseen(job: Job, thrown: unknown): FewbitError {
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  // Of two that decode, either may be the one that failed.
  const schemes = job.scheme
    ? [job.scheme]
    : [job.read.scheme, job.against?.scheme].filter((s) => s !== undefined);
  const either = (names: readonly string[]): string => [...new Set(names)].join(" or ");
  const error =
    schemes.length === 0
      ? new FewbitError(
          "E_INTERNAL",
          `The ${job.pass} pass failed on ${job.tensor}: ${message}`,
          {},
          undefined,
          thrown,
        )
      : new FewbitError(
          "E_PLUGIN_FAILED",
          `${either(schemes.map(({ plugin, id }) => `${plugin}:${id}`))} failed on ${job.tensor}, row ${job.firstRow} and after: ${message}`,
          {},
          `Try fewer --threads if memory is short; otherwise report it to the authors of ${either(schemes.map(({ plugin }) => plugin))}.`,
          thrown,
        );
  if (thrown instanceof Error && thrown.stack !== undefined) error.stack = thrown.stack;
  return error;
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
