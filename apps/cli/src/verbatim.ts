// Copies of a model that change nothing but the files it is in.
import {
  type AssignFiles,
  FewbitError,
  type Model,
  makePlan,
  type Plan,
  type Planned,
  type Recipe,
  type Registry,
} from "@fewbit/core";
import { outputNames, writeModel } from "@fewbit/core/node";
import { writer } from "@fewbit/format-gguf";
import type { Command } from "commander";
import { parseThreads } from "./choices.js";
import { runnerOf } from "./plugins.js";
import { follow } from "./progress.js";
import { formatBytes, formatDuration, table } from "./render.js";
import type { CommonOptions, Session } from "./session.js";

export interface CopyOptions extends CommonOptions {
  readonly output?: string;
  readonly threads?: number;
  readonly dryRun?: boolean;
  readonly force?: boolean;
}

export const withCopyOptions = (command: Command, output: string): Command =>
  command
    .option("-o, --output <file>", output)
    .option("--dry-run", "print what would be written, and write nothing")
    .option("--force", "replace existing files")
    .option("--threads <count>", "worker threads (default: one per core)", parseThreads);

/** @throws `E_FORMAT_UNSUPPORTED` */
export function refuseOther({ format }: Model, file: string, doing: string): void {
  if (format !== writer.id)
    throw new FewbitError(
      "E_FORMAT_UNSUPPORTED",
      `The model is in the ${format} format; only GGUF can be ${doing}.`,
      { file },
      "Give a GGUF file.",
    );
}

/** A plan of copies only: every byte goes from its file to its new place. */
export const planCopy = (
  model: Model,
  registry: Registry,
  recipe: Recipe,
  assignFiles: AssignFiles,
): Planned => makePlan({ model, recipe, registry, writer, assignFiles, context: { options: {} } });

interface Copy {
  readonly model: Model;
  readonly registry: Registry;
  readonly planned: Planned;
  readonly path: string;
}

/** Writes the copy, or prints what it would be, and says which files came of it. */
export async function copyModel(
  { model, registry, planned, path }: Copy,
  options: CopyOptions,
  session: Session,
): Promise<void> {
  const { plan } = planned;
  if (options.dryRun) {
    const output = outputNames(writer, path, plan.files.length);
    session.document({ output, plan });
    session.print(`${filesText(plan, output)}\n${totalText(plan)} would be written`);
    return;
  }
  const start = performance.now();
  const { paths, bytes } = await follow(
    writeModel({
      ...planned,
      model,
      registry,
      writer,
      runner: runnerOf(registry),
      path,
      // What is in the model is none of a copy's business.
      nonfinite: "keep",
      signal: session.signal,
      force: options.force ?? false,
      ...(options.threads === undefined ? {} : { threads: options.threads }),
    }),
    session,
  );
  const milliseconds = performance.now() - start;
  session.document({
    output: paths,
    files: plan.files.map((size, file) => ({ bytes: size, tensors: tensorsIn(plan, file) })),
    bytes,
    seconds: milliseconds / 1000,
  });
  if (session.quiet) return;
  session.print(`${filesText(plan, paths)}\n${totalText(plan)} in ${formatDuration(milliseconds)}`);
}

const tensorsIn = (plan: Plan, file: number): number =>
  plan.tensors.filter(({ to }) => to.parts[0]!.file === file).length;

const filesText = (plan: Plan, paths: readonly string[]): string =>
  table(
    [{ title: "FILE" }, { title: "TENSORS", align: "right" }, { title: "SIZE", align: "right" }],
    plan.files.map((size, file) => [paths[file]!, String(tensorsIn(plan, file)), formatBytes(size)]),
  );

const totalText = ({ files, tensors }: Plan): string =>
  `${files.length} ${files.length === 1 ? "file" : "files"}, ${tensors.length} tensors, ` +
  formatBytes(files.reduce((a, b) => a + b, 0));
