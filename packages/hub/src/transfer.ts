// One file from the hub to the disk: resumed where it stopped, checked to the last byte, and then given its name.
import type { Hash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, lstat, open, rename, unlink } from "node:fs/promises";
import { FewbitError, isFewbitError, patience, pause } from "@fewbit/core";
import { ioError } from "@fewbit/core/node";
import { hashFile, hashOf } from "./checksum.js";
import { explained, refusal } from "./failure.js";
import type { HubFile, Repository } from "./repository.js";

export interface Transfer {
  readonly repository: Repository;
  readonly file: HubFile;
  /** Its final name. */
  readonly target: string;
  readonly signal: AbortSignal;
  /** Told of bytes that are on the disk, negative where some had to be given up, and of those that just came. */
  readonly advance: (bytes: number, received: number) => void;
}

/** Beside the target, and called after its content: what another revision left behind is never continued. */
export const partialOf = (target: string, { checksum }: HubFile): string =>
  `${target}.${checksum.value.slice(0, 12)}.partial`;

/**
 * @returns bytes that were there already
 * @throws `E_HUB` where the hub refuses or sends something else; `E_IO`, `E_SPACE`; the reason of the signal. What has
 *   arrived stays for the next time, unless it was wrong.
 */
export async function transfer(job: Transfer): Promise<number> {
  const { file, target, repository } = job;
  const partial = partialOf(target, file);
  for (let again = false; ; again = true) {
    const handle = await openPartial(partial);
    try {
      const state = await resume(handle, job);
      const resumed = state.done;
      await receive(handle, state, job);
      const found = state.hash.digest("hex");
      if (found === file.checksum.value) {
        await handle.sync();
        await handle.close();
        await rename(partial, target);
        return resumed;
      }
      await handle.close();
      await unlink(partial);
      job.advance(-file.bytes, 0);
      // What a crash left may have holes: only bytes that came just now prove something against the hub.
      if (resumed > 0 && !again) continue;
      throw new FewbitError(
        "E_HUB",
        `its checksum is ${found}, and the hub says ${file.checksum.value}`,
        { file: repository.name(file.path) },
        "What came was damaged on its way, and has been removed: start again.",
      );
    } catch (cause) {
      if (isFewbitError(cause) || job.signal.aborted) throw cause;
      throw (cause as NodeJS.ErrnoException).syscall === undefined
        ? cause
        : ioError(cause, "writing", partial);
    } finally {
      await handle.close().catch(() => {});
      await removeEmpty(partial);
    }
  }
}

/** Where nothing has arrived there is nothing to go on from. */
async function removeEmpty(partial: string): Promise<void> {
  const found = await lstat(partial).catch(() => undefined);
  if (found?.size === 0) await unlink(partial).catch(() => {});
}

async function openPartial(partial: string): Promise<FileHandle> {
  const flags = constants.O_RDWR | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0);
  let handle: FileHandle;
  try {
    handle = await open(partial, flags, 0o666);
  } catch (cause) {
    throw ioError(cause, "opening", partial);
  }
  const stat = await handle.stat();
  if (stat.isFile() && stat.nlink === 1) return handle;
  await handle.close();
  throw new FewbitError("E_LINK", "it has other names as well", { file: partial }, "Remove it.");
}

interface State {
  /** Bytes that are written and hashed. */
  done: number;
  hash: Hash;
  /** What the server calls the file that they are of. */
  version?: string | undefined;
}

async function resume(handle: FileHandle, { file, signal, advance }: Transfer): Promise<State> {
  const { size } = await handle.stat();
  const done = size > file.bytes ? 0 : size;
  if (size > file.bytes) await handle.truncate(0);
  const hash = hashOf(file);
  await hashFile(handle, done, hash, signal);
  advance(done, 0);
  return { done, hash };
}

/** Asks for the rest until it is there. Gives up where several connections in a row bring nothing. */
async function receive(handle: FileHandle, state: State, job: Transfer): Promise<void> {
  const { file, repository, signal } = job;
  const { tries, delay } = repository.access().patience ?? patience;
  for (let failures = 0; state.done < file.bytes; ) {
    const before = state.done;
    const response = await ask(state, job);
    if (response.status === 200 && state.done > 0) await startOver(handle, state, job);
    const why = await receiveBody(handle, response, state, job);
    if (state.done === file.bytes) return;
    failures = state.done > before ? 1 : failures + 1;
    if (failures >= tries)
      throw new FewbitError(
        "E_IO",
        `the connection broke ${failures} times without bringing more than ${state.done} of ${file.bytes} bytes`,
        { file: repository.name(file.path) },
        "Check the network and start again: what has arrived is kept.",
        why,
      );
    await pause(delay * 2 ** (failures - 1), signal);
  }
}

/** The rest of the file, or all of it where the server has another one by now or knows no ranges. */
async function ask(state: State, { file, repository, signal }: Transfer): Promise<Response> {
  const name = repository.name(file.path);
  let response: Response;
  try {
    response = await repository.fetch(signal)(repository.urlOf(file.path), {
      headers: {
        ...(state.done === 0 ? {} : { range: `bytes=${state.done}-` }),
        ...(state.done === 0 || state.version === undefined ? {} : { "if-range": state.version }),
        // Ranges and checksums are of the file, not of a compressed form of it.
        "accept-encoding": "identity",
      },
    });
  } catch (cause) {
    signal.throwIfAborted();
    throw explained(cause, name, repository.model, repository.access());
  }
  const { status, headers } = response;
  if (status === 200 || (status === 206 && startOf(headers) === state.done)) {
    const tag = headers.get("etag") ?? undefined;
    state.version = tag?.startsWith("W/") ? undefined : tag;
    return response;
  }
  await response.body?.cancel();
  if (status === 416)
    throw new FewbitError(
      "E_HUB",
      `the hub lists ${file.bytes} bytes, and there are no more than ${state.done}`,
      { file: name },
      "Try again later; should that not help, remove the .partial file.",
    );
  if (status !== 206) throw refusal(status, name, repository.model, repository.access());
  throw new FewbitError(
    "E_HUB",
    `byte ${state.done} was asked for, and the answer begins with ${startOf(headers) ?? "none"}`,
    { file: name },
    "Try again later.",
  );
}

const startOf = (headers: Headers): number | undefined => {
  const start = /^bytes (\d+)-/.exec(headers.get("content-range") ?? "")?.[1];
  return start === undefined ? undefined : Number(start);
};

async function startOver(handle: FileHandle, state: State, { file, advance }: Transfer): Promise<void> {
  await handle.truncate(0);
  advance(-state.done, 0);
  state.done = 0;
  state.hash = hashOf(file);
}

/** Writes what comes. @returns why no more came, where the connection broke */
async function receiveBody(
  handle: FileHandle,
  { body }: Response,
  state: State,
  { file, repository, signal, advance }: Transfer,
): Promise<unknown> {
  const reader = (body ?? new Blob().stream()).getReader();
  const { silence = patience.silence } = repository.access().patience ?? {};
  const silent = setTimeout(() => void reader.cancel().catch(() => {}), silence);
  try {
    for (;;) {
      let step: Awaited<ReturnType<typeof reader.read>>;
      try {
        step = await reader.read();
      } catch (cause) {
        signal.throwIfAborted();
        return cause;
      }
      if (step.done) return undefined;
      silent.refresh();
      if (state.done + step.value.length > file.bytes)
        throw new FewbitError(
          "E_HUB",
          `more came than the ${file.bytes} bytes that the hub lists`,
          { file: repository.name(file.path) },
          "Try again later.",
        );
      await writeAll(handle, step.value, state.done);
      state.hash.update(step.value);
      state.done += step.value.length;
      advance(step.value.length, step.value.length);
    }
  } finally {
    clearTimeout(silent);
    await reader.cancel().catch(() => {});
  }
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}
