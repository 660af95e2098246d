import { type BigIntStats, constants } from "node:fs";
import { access, type FileHandle, open, realpath, rename, stat, statfs, unlink } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { FewbitError } from "./error.js";
import { ioError, nodeIo, writeAt } from "./files.js";
import { type Progress, runPlan } from "./pipeline.js";
import type { Planned } from "./plan.js";
import type { Registry } from "./registry.js";
import type { FormatWriter, ImportanceMatrix, Locator, Model, Runner } from "./types.js";

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
  readonly nonfinite?: "refuse" | "zero";
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
  readonly partial: string;
  readonly size: number;
}

/**
 * Runs a plan into files that appear under their final names only when they are complete: written beside them,
 * header last, synced, renamed. On any failure or abort nothing is left behind and nothing existing has changed.
 *
 * @throws `E_OUTPUT_EXISTS`, `E_OUTPUT_IS_INPUT`, `E_BUSY`, `E_SPACE`, `E_IO`, `E_INPUT_CHANGED`, `E_ABORTED`, and what the run throws
 */
export async function* writeModel(request: WriteRequest): AsyncGenerator<Progress, Written> {
  const { plan, output, model, writer } = request;
  const sources = await Promise.all(
    model.files.filter((at) => at.kind === "file").map((at) => fingerprint(at.path)),
  );
  const others = await Promise.all((request.inputs ?? []).map(fingerprint));
  const targets = await prepare(request, writer, [...sources, ...others]);
  const made: string[] = [];
  const io = nodeIo();
  try {
    for (const target of targets) await reserve(target, made, request.force === true);
    const to = targets.map((target): Locator => ({ kind: "file", path: target.partial }));
    let zeroed = 0;
    for await (const progress of runPlan({ ...request, to, io })) {
      zeroed = progress.zeroed;
      yield progress;
    }
    io.close();
    for (const source of sources) await refuseChanged(source);
    for (const [i, target] of targets.entries()) await seal(target, output.files[i]!.header);
    if (request.signal?.aborted) throw new FewbitError("E_ABORTED", "The run was stopped.");
    // The first file last: no loader finds a first shard whose siblings are missing.
    for (const target of [...targets].reverse()) await rename(target.partial, target.path);
    made.length = 0;
    await syncFolder(dirname(targets[0]!.path));
    return {
      paths: targets.map((target) => target.path),
      bytes: plan.files.reduce((a, b) => a + b, 0),
      zeroed,
    };
  } finally {
    io.close();
    for (const path of made) await unlink(path).catch(() => {});
  }
}

interface Fingerprint {
  readonly path: string;
  readonly stat: BigIntStats;
}

async function fingerprint(path: string): Promise<Fingerprint> {
  try {
    return { path, stat: await stat(path, { bigint: true }) };
  } catch (cause) {
    throw ioError(cause, "opening", path);
  }
}

async function refuseChanged(before: Fingerprint): Promise<void> {
  const now = await stat(before.path, { bigint: true }).catch(() => undefined);
  const same = (["dev", "ino", "size", "mtimeNs"] as const).every(
    (field) => now?.[field] === before.stat[field],
  );
  if (!same)
    throw new FewbitError(
      "E_INPUT_CHANGED",
      "the file changed while it was being read",
      { file: before.path },
      "Start again when nothing else writes to it.",
    );
}

/** Everything that can be refused before a byte is written. */
async function prepare(
  request: WriteRequest,
  writer: FormatWriter,
  inputs: readonly Fingerprint[],
): Promise<Target[]> {
  const sizes = request.plan.files;
  const names = sizes.length === 1 ? [request.path] : writer.fileNames?.(request.path, sizes.length);
  if (names === undefined)
    throw new FewbitError("E_USAGE", `${writer.id} files cannot be split.`, {}, "Leave out --keep-split.");
  const targets: Target[] = [];
  for (const [i, name] of names.entries()) {
    const path = await realpath(name).catch(() => resolve(name));
    await refuseTaken(path, inputs, request.force === true);
    targets.push({ path, partial: `${path}.partial`, size: sizes[i]! });
  }
  const folder = dirname(targets[0]!.path);
  await access(folder, constants.W_OK).catch((cause) => {
    throw ioError(cause, "writing to the folder", folder);
  });
  await refuseTooLarge(
    folder,
    sizes.reduce((a, b) => a + b, 0),
  );
  return targets;
}

async function refuseTaken(path: string, inputs: readonly Fingerprint[], force: boolean): Promise<void> {
  const taken = await stat(path, { bigint: true }).catch(() => undefined);
  if (taken === undefined) return;
  const input = inputs.find(({ stat }) => stat.dev === taken.dev && stat.ino === taken.ino);
  if (input !== undefined)
    throw new FewbitError(
      "E_OUTPUT_IS_INPUT",
      `the output is the input ${input.path}`,
      { file: path },
      "Give the output another name.",
    );
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

/** Creates the partial file at full size: workers write at offsets, and padding is zero without being written. */
async function reserve(target: Target, made: string[], force: boolean): Promise<void> {
  let handle: FileHandle;
  try {
    handle = await open(target.partial, force ? "w" : "wx");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "EEXIST")
      throw new FewbitError(
        "E_BUSY",
        "another run is writing this output, or an earlier one was killed",
        { file: target.partial },
        "Wait for it; if nothing is running, delete this file or pass --force.",
      );
    throw ioError(cause, "creating", target.partial);
  }
  made.push(target.partial);
  try {
    await handle.truncate(target.size);
  } catch (cause) {
    throw ioError(cause, "reserving space for", target.partial);
  } finally {
    await handle.close();
  }
}

/** The header last: until then the file is not even a valid one. */
async function seal(target: Target, header: Uint8Array): Promise<void> {
  const handle = await open(target.partial, "r+");
  try {
    writeAt(handle.fd, { kind: "file", path: target.partial }, 0, header);
    await handle.sync();
  } catch (cause) {
    throw cause instanceof FewbitError ? cause : ioError(cause, "syncing", target.partial);
  } finally {
    await handle.close();
  }
}

/** Makes the rename itself durable; systems that cannot open folders do without. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r").catch(() => undefined);
  await handle?.sync().catch(() => {});
  await handle?.close();
}
