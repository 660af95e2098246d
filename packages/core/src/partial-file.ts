// An output while it is being made: a file beside it that belongs to one run. Who that is stands behind the data
// until the file is sealed, so that what a killed run left can be told from what another is writing.
import type { BigIntStats } from "node:fs";
import { type FileHandle, lstat, open, rename, unlink } from "node:fs/promises";
import { hostname } from "node:os";
import { FewbitError } from "./error.js";
import { ioError, writeAt } from "./files.js";

/** A file that this run has made, by more than its name. */
export interface PartialFile {
  readonly path: string;
  /** Bytes of the output; the owner's note follows them. */
  readonly size: number;
  readonly dev: bigint;
  readonly ino: bigint;
}

interface Owner {
  readonly pid: number;
  readonly host: string;
}

/** More than a note can be long: a host's name has at most 255 bytes. */
const NOTE_BYTES = 512;

/**
 * Creates a partial file at full size: workers write at offsets, and padding is zero without being written. One that
 * a dead process of this machine left is replaced.
 *
 * @throws `E_BUSY` where another run is writing it, or cannot be told not to; `E_SPACE`, `E_IO`
 */
export async function createPartial(path: string, size: number): Promise<PartialFile> {
  await removeAbandoned(path);
  let handle: FileHandle;
  try {
    handle = await open(path, "wx");
  } catch (cause) {
    throw (cause as NodeJS.ErrnoException).code === "EEXIST" ? busy(path) : ioError(cause, "creating", path);
  }
  try {
    const { dev, ino } = await handle.stat({ bigint: true });
    await handle.truncate(size);
    const note = `fewbit ${process.pid} ${hostname()}\n`;
    writeAt(handle.fd, { kind: "file", path }, size, new TextEncoder().encode(note));
    return { path, size, dev, ino };
  } catch (cause) {
    await unlink(path).catch(() => {});
    throw cause instanceof FewbitError ? cause : ioError(cause, "reserving space for", path);
  } finally {
    await handle.close();
  }
}

/**
 * Writes the header, which is what makes the file a valid one, drops the owner's note, and syncs.
 * @throws `E_BUSY` where the file is no longer this run's; `E_SPACE`, `E_IO`
 */
export async function sealPartial(file: PartialFile, header: Uint8Array): Promise<void> {
  const { path, size } = file;
  const handle = await open(path, "r+").catch((cause) => {
    throw ioError(cause, "opening", path);
  });
  try {
    if (!isSame(file, await handle.stat({ bigint: true }))) throw busy(path);
    writeAt(handle.fd, { kind: "file", path }, 0, header);
    await handle.truncate(size);
    await handle.sync();
  } catch (cause) {
    throw cause instanceof FewbitError ? cause : ioError(cause, "syncing", path);
  } finally {
    await handle.close();
  }
}

/** Removes the file where it is there and still this run's. */
export async function removePartial(file: PartialFile): Promise<void> {
  const found = await lstat(file.path, { bigint: true }).catch(() => undefined);
  if (found !== undefined && isSame(file, found)) await unlink(file.path).catch(() => {});
}

/** @throws `E_BUSY` where the file is there and its owner is not known to be gone */
async function removeAbandoned(path: string): Promise<void> {
  const found = await lstat(path, { bigint: true }).catch(() => undefined);
  if (found === undefined) return;
  const owner = found.isFile() ? await ownerOf(path).catch(() => undefined) : undefined;
  if (owner === undefined || !isGone(owner)) throw busy(path, owner);
  // Set aside before it is removed: where another run was quicker, the file of that name is that run's by now.
  const aside = `${path}.${process.pid}`;
  await rename(path, aside).catch(() => {
    throw busy(path);
  });
  if (!isSame(found, await lstat(aside, { bigint: true }))) {
    await rename(aside, path);
    throw busy(path);
  }
  await unlink(aside);
}

async function ownerOf(path: string): Promise<Owner | undefined> {
  const handle = await open(path, "r");
  try {
    const { size } = await handle.stat();
    const length = Math.min(size, NOTE_BYTES);
    const { buffer } = await handle.read(new Uint8Array(length), 0, length, size - length);
    const note = /fewbit (\d{1,10}) (\S+)\n$/.exec(new TextDecoder("latin1").decode(buffer));
    return note === null ? undefined : { pid: Number(note[1]), host: note[2]! };
  } finally {
    await handle.close();
  }
}

function isGone({ pid, host }: Owner): boolean {
  if (host !== hostname()) return false;
  try {
    process.kill(pid, 0);
    return false;
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === "ESRCH";
  }
}

const isSame = (a: Pick<BigIntStats, "dev" | "ino">, b: Pick<BigIntStats, "dev" | "ino">): boolean =>
  a.dev === b.dev && a.ino === b.ino;

const busy = (path: string, owner?: Owner): FewbitError =>
  owner === undefined
    ? new FewbitError(
        "E_BUSY",
        "another run is writing this output, or has left this file behind",
        { file: path },
        "Wait for it; if nothing is running, delete this file.",
      )
    : new FewbitError(
        "E_BUSY",
        `process ${owner.pid}${owner.host === hostname() ? "" : ` on ${owner.host}`} is writing this output`,
        { file: path },
        "Wait for it; if that process is not fewbit, delete this file.",
      );
