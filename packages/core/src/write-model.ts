import { type BigIntStats, constants } from "node:fs";
import { access, lstat, open, realpath, rename, stat, statfs } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { FewbitError } from "./error.js";
import { ioError, nodeIo, versionOf } from "./files.js";
import { createPartial, type PartialFile, removePartial, sealPartial } from "./partial-file.js";
import { type Progress, runPlan } from "./pipeline.js";
import type { Planned } from "./plan.js";
import type { Registry } from "./registry.js";
import type {
  FormatWriter,
  ImportanceMatrix,
  Locator,
  Model,
  Nonfinite,
  Runner,
  StoredLocator,
} from "./types.js";
import { storedUnder } from "./view.js";

/** A plan, and where its output goes. */
export interface WriteRequest extends Planned {
  readonly model: Model;
  readonly registry: Registry;
  readonly writer: FormatWriter;
  readonly runner: Runner;
  /** Path of the output; split outputs derive their names from it. */
  readonly path: string;
  readonly importance?: ImportanceMatrix;
  /** More files that the output must not replace: the importance matrix, a recipe. */
  readonly inputs?: readonly string[];
  /** Replace an existing output; the old file stays until the new one is complete. */
  readonly force?: boolean;
  readonly nonfinite?: Nonfinite;
  readonly threads?: number;
  readonly signal?: AbortSignal;
}

/** What was written. */
export interface Written {
  readonly paths: readonly string[];
  readonly bytes: number;
  readonly zeroed: number;
}

interface Target {
  /** Where the file will appear; links are followed once, so that a link is not replaced by a file. */
  readonly path: string;
  readonly size: number;
}

const partialName = (path: string): string => `${path}.partial`;

/**
 * Runs a plan into files that appear under their final names only when they are complete: written beside them,
 * header last, synced, renamed. On any failure or abort nothing is left behind and nothing existing has changed.
 *
 * @throws `E_OUTPUT_EXISTS`, `E_OUTPUT_IS_INPUT`, `E_BUSY`, `E_SPACE`, `E_IO`, `E_INPUT_CHANGED`, `E_ABORTED`, and what the run throws
 */
export async function* writeModel(request: WriteRequest): AsyncGenerator<Progress, Written> {
  const { plan, output, model, signal } = request;
  const force = request.force === true;
  const sources = await Promise.all(filesUnder(model.files).map((at) => fingerprint(at.path, at.version)));
  const inputs = [
    ...sources,
    ...(await Promise.all((request.inputs ?? []).map((path) => fingerprint(path)))),
  ];
  // The model was opened a while ago, and its plan is only as good as that.
  for (const source of sources) await refuseChanged(source);
  const targets = await prepare(request, inputs, force);
  const partials: PartialFile[] = [];
  const io = nodeIo();
  try {
    for (const { path, size } of targets) partials.push(await createPartial(partialName(path), size));
    const to = partials.map(({ path }): Locator => ({ kind: "file", path }));
    let zeroed = 0;
    for await (const progress of runPlan({ ...request, to, io })) {
      zeroed = progress.zeroed;
      yield progress;
    }
    io.close();
    for (const source of sources) await refuseChanged(source);
    for (const [i, partial] of partials.entries()) await sealPartial(partial, output.files[i]!.header);
    if (signal?.aborted) throw new FewbitError("E_ABORTED", "The run was stopped.");
    // Once more: a run takes long enough for somebody else to have put something there.
    for (const { path } of targets) await refuseTaken(path, inputs, force);
    // The first file last: no loader finds a first shard whose siblings are missing.
    for (let i = targets.length - 1; i >= 0; i--) await putInPlace(partials[i]!, targets[i]!);
    for (const folder of foldersOf(targets)) await syncFolder(folder);
    return {
      paths: targets.map((target) => target.path),
      bytes: plan.files.reduce((a, b) => a + b, 0),
      zeroed,
    };
  } catch (thrown) {
    // What a changing input led to says less than that it changed.
    if (!signal?.aborted) for (const source of sources) await refuseChanged(source, thrown);
    throw thrown;
  } finally {
    io.close();
    for (const partial of partials) await removePartial(partial);
  }
}

async function putInPlace(partial: PartialFile, target: Target): Promise<void> {
  try {
    await rename(partial.path, target.path);
  } catch (cause) {
    throw ioError(cause, "renaming the finished file", target.path);
  }
}

/** The files that anything is read from, each once. */
function filesUnder(from: readonly Locator[]): Extract<StoredLocator, { kind: "file" }>[] {
  const stored = from.flatMap((at) =>
    at.kind === "view" ? [...storedUnder(at.view)].map((s) => s.from) : [at],
  );
  return [...new Map(stored.filter((at) => at.kind === "file").map((at) => [at.path, at])).values()];
}

interface Fingerprint {
  readonly path: string;
  readonly stat: BigIntStats;
  readonly version: string;
}

/** `opened` is the version that was seen before, where it was. */
async function fingerprint(path: string, opened?: string): Promise<Fingerprint> {
  try {
    const found = await stat(path, { bigint: true });
    return { path, stat: found, version: opened ?? versionOf(found) };
  } catch (cause) {
    throw ioError(cause, "opening", path);
  }
}

async function refuseChanged(before: Fingerprint, cause?: unknown): Promise<void> {
  const now = await stat(before.path, { bigint: true }).catch(() => undefined);
  if (now === undefined || versionOf(now) !== before.version)
    throw new FewbitError(
      "E_INPUT_CHANGED",
      "the file changed while it was being read",
      { file: before.path },
      "Start again when nothing else writes to it.",
      cause,
    );
}

/**
 * Names of the output's files, from the name the user gave.
 * @throws `E_USAGE` for a format that cannot be split, or a name that is a folder's
 */
export function outputNames(writer: FormatWriter, output: string, files: number): readonly string[] {
  if (/[/\\]$/.test(output) || ["", ".", ".."].includes(basename(output)))
    throw new FewbitError(
      "E_USAGE",
      `"${output}" is not the name of a file.`,
      {},
      "Give the output a name, in a folder that is there.",
    );
  const names = files === 1 ? [output] : writer.fileNames?.(output, files);
  if (names === undefined)
    throw new FewbitError(
      "E_USAGE",
      `${writer.id} files cannot be split.`,
      {},
      "Leave out the option that splits the output.",
    );
  return names;
}

/** Everything that can be refused before a byte is written. */
async function prepare(
  { path: output, plan, writer }: WriteRequest,
  inputs: readonly Fingerprint[],
  force: boolean,
): Promise<Target[]> {
  const targets: Target[] = [];
  for (const [i, name] of outputNames(writer, output, plan.files.length).entries()) {
    const path = await followLink(name);
    await refuseTaken(path, inputs, force);
    await refuseInput(partialName(path), inputs, "would be written by way of");
    targets.push({ path, size: plan.files[i]! });
  }
  for (const folder of foldersOf(targets))
    await access(folder, constants.W_OK).catch((cause) => {
      throw ioError(cause, "writing to the folder", folder);
    });
  await refuseTooLarge(
    dirname(targets[0]!.path),
    plan.files.reduce((a, b) => a + b, 0),
  );
  return targets;
}

const foldersOf = (targets: readonly Target[]): Set<string> => new Set(targets.map((t) => dirname(t.path)));

/** The file that a name stands for. @throws `E_IO` where it is a link to nothing */
async function followLink(name: string): Promise<string> {
  try {
    return await realpath(name);
  } catch {
    const found = await lstat(name).catch(() => undefined);
    if (found === undefined) return resolve(name);
    throw new FewbitError(
      "E_IO",
      "the output is a symbolic link that leads nowhere",
      { file: resolve(name) },
      "Remove the link, or give the output another name.",
    );
  }
}

async function refuseTaken(path: string, inputs: readonly Fingerprint[], force: boolean): Promise<void> {
  const taken = await refuseInput(path, inputs);
  if (taken === undefined) return;
  if (!taken.isFile())
    throw new FewbitError(
      "E_IO",
      "the output exists and is no regular file",
      { file: path },
      "Give the output another name.",
    );
  if (!force)
    throw new FewbitError(
      "E_OUTPUT_EXISTS",
      "the output exists already",
      { file: path },
      "Pass --force to replace it, or give another name.",
    );
}

/** What is there under this name, where it is none of the inputs. */
async function refuseInput(
  path: string,
  inputs: readonly Fingerprint[],
  verb = "is",
): Promise<BigIntStats | undefined> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  const input = inputs.find(({ stat }) => stat.dev === found?.dev && stat.ino === found.ino);
  if (input === undefined) return found;
  throw new FewbitError(
    "E_OUTPUT_IS_INPUT",
    `the output ${verb} the input ${input.path}`,
    { file: path },
    "Give the output another name.",
  );
}

async function refuseTooLarge(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (bytes > free)
    throw new FewbitError(
      "E_SPACE",
      `the output needs ${bytes} bytes and the disk has ${free} free`,
      { file: folder },
      `Free at least ${bytes - free} bytes, or choose another place for the output.`,
    );
}

/** Makes the rename itself durable; systems that cannot open folders do without. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r").catch(() => undefined);
  await handle?.sync().catch(() => {});
  await handle?.close();
}
