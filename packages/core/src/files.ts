// The one module that reads and writes files at positions. Node writes at the *current* position, without an error,
// when it is given a BigInt, a fraction or NaN: every position is checked here.
import { type BigIntStats, closeSync, constants, fstatSync, openSync, readSync, writeSync } from "node:fs";
import { open } from "node:fs/promises";
import { FewbitError } from "./error.js";
import type { Io } from "./execute.js";
import { checkPosition, nameOf, truncated, urlSource } from "./source.js";
import type { Locator, Source, StoredLocator } from "./types.js";

/** One call may transfer at most this much; larger lengths throw in Node. */
const MAX_TRANSFER = 1 << 30;

const explain: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file or folder",
  EACCES: "permission was denied",
  EPERM: "permission was denied",
  EISDIR: "it is a folder",
  ENOTDIR: "a part of the path is no folder",
  EEXIST: "there is something else of that name",
  ENAMETOOLONG: "the name is too long",
  EROFS: "the file system is read-only",
  EMFILE: "too many files are open",
  EFBIG: "the file is larger than the file system or a limit allows",
  EIO: "the device reported an error",
};

/** Where it is neither the path nor the permissions. */
const mend: Readonly<Record<string, string>> = {
  EEXIST: "Choose another name.",
  EFBIG: "Choose a file system, or a limit (ulimit -f), that allows files of this size.",
  EIO: "Check the device: what it holds may be damaged.",
  EMFILE: "Close other programs, or raise the limit (ulimit -n).",
  ENAMETOOLONG: "Choose a shorter name.",
};

/** A system error with its place; out of space has a code of its own. */
export function ioError(cause: unknown, doing: string, file: string, offset?: number): FewbitError {
  const code = (cause as NodeJS.ErrnoException | undefined)?.code ?? "";
  const why = explain[code] ?? (cause instanceof Error ? cause.message : String(cause));
  const at = { file, ...(offset === undefined ? {} : { offset }) };
  return code === "ENOSPC" || code === "EDQUOT"
    ? new FewbitError(
        "E_SPACE",
        `the disk is full (${code}) while ${doing}`,
        at,
        "Free some space, or choose another place for the output.",
        cause,
      )
    : new FewbitError(
        "E_IO",
        `${doing} failed: ${why}${code ? ` (${code})` : ""}`,
        at,
        mend[code] ?? "Check the path and your permissions.",
        cause,
      );
}

/** Reads until `into` is full; a short read is not an error, an early end is. */
export function readAt(fd: number, at: Locator, offset: number, into: Uint8Array): void {
  checkPosition(offset);
  for (let done = 0; done < into.length; ) {
    let count: number;
    try {
      count = readSync(fd, into, done, Math.min(into.length - done, MAX_TRANSFER), offset + done);
    } catch (cause) {
      if (retriable(cause)) continue;
      throw ioError(cause, "reading", nameOf(at), offset + done);
    }
    if (count === 0) throw truncated(at, offset, into.length, done);
    done += count;
  }
}

export function writeAt(fd: number, at: Locator, offset: number, bytes: Uint8Array): void {
  checkPosition(offset);
  for (let done = 0; done < bytes.length; ) {
    let count: number;
    try {
      count = writeSync(fd, bytes, done, Math.min(bytes.length - done, MAX_TRANSFER), offset + done);
    } catch (cause) {
      if (retriable(cause)) continue;
      throw ioError(cause, "writing", nameOf(at), offset + done);
    }
    if (count === 0) throw ioError(new Error("nothing was written"), "writing", nameOf(at), offset + done);
    done += count;
  }
}

const retriable = (cause: unknown): boolean =>
  ["EINTR", "EAGAIN"].includes((cause as NodeJS.ErrnoException | undefined)?.code ?? "");

/** Changes whenever a file is replaced or written to. */
export const versionOf = ({ dev, ino, size, mtimeNs }: BigIntStats): string =>
  [dev, ino, size, mtimeNs].join("-");

/**
 * A regular file. Nothing else: a pipe would hang and a device never end.
 * @throws `E_IO`
 */
export async function openFile(path: string): Promise<Source> {
  let handle: Awaited<ReturnType<typeof open>>;
  try {
    handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch (cause) {
    throw ioError(cause, "opening", path);
  }
  const stat = await handle.stat({ bigint: true });
  if (!stat.isFile()) {
    await handle.close();
    const kind = stat.isDirectory()
      ? "a folder"
      : stat.isFIFO()
        ? "a pipe"
        : stat.isSocket()
          ? "a socket"
          : "a device";
    throw new FewbitError(
      "E_IO",
      `it is ${kind}, not a regular file`,
      { file: path },
      "Give the path of a regular file.",
    );
  }
  const at: StoredLocator = { kind: "file", path, version: versionOf(stat) };
  return {
    at,
    size: Number(stat.size),
    read: async (offset, into) => readAt(handle.fd, at, offset, into),
    close: () => handle.close(),
  };
}

/** Positional reads and writes for any thread; handles are kept open until `close`. */
export function nodeIo(): Io & { close(): void } {
  const handles = new Map<string, number>();
  const sources = new Map<string, Promise<Source>>();

  const handle = (path: string, flags: "r" | "r+"): number => {
    const key = `${flags} ${path}`;
    let fd = handles.get(key);
    if (fd === undefined) {
      try {
        fd = openSync(path, flags);
      } catch (cause) {
        throw ioError(cause, "opening", path);
      }
      if (!fstatSync(fd).isFile()) {
        closeSync(fd);
        throw new FewbitError("E_IO", "it is not a regular file", { file: path }, "Give the path of a file.");
      }
      handles.set(key, fd);
    }
    return fd;
  };

  return {
    read(from, offset, into) {
      if (from.kind === "file") return readAt(handle(from.path, "r"), from, offset, into);
      if (from.kind === "blob") return readBlob(from, offset, into);
      let source = sources.get(from.url);
      if (source === undefined) {
        source = urlSource(from.url, from.headers, from.version);
        sources.set(from.url, source);
      }
      return source.then((s) => s.read(offset, into));
    },
    write(to, offset, bytes) {
      if (to.kind !== "file")
        throw new FewbitError("E_IO", "only files can be written here", { file: nameOf(to) });
      writeAt(handle(to.path, "r+"), to, offset, bytes);
    },
    close() {
      for (const fd of handles.values()) closeSync(fd);
      handles.clear();
    },
  };
}

async function readBlob(
  from: Extract<StoredLocator, { kind: "blob" }>,
  offset: number,
  into: Uint8Array,
): Promise<void> {
  checkPosition(offset);
  const bytes = new Uint8Array(await from.blob.slice(offset, offset + into.length).arrayBuffer());
  if (bytes.length !== into.length) throw truncated(from, offset, into.length, bytes.length);
  into.set(bytes);
}
