// A repository, or the part of it that is worth having, into a folder: several files at once, each checked.
import { open, statfs } from "node:fs/promises";
import { join } from "node:path";
import { FewbitError, pause } from "@fewbit/core";
import { createPartial, ioError, removePartial } from "@fewbit/core/node";
import { type Access, accessOf } from "./access.js";
import { type HubAddress, parseAddress } from "./address.js";
import { hashFile, hashOf } from "./checksum.js";
import { type HubFile, Repository } from "./repository.js";
import { type Selection, select } from "./selection.js";
import { makeFolder, makePlace, refuseNames, sizeOf } from "./target.js";
import { partialOf, transfer } from "./transfer.js";

/** Files at once: more do not come faster, and hubs count requests. */
const PARALLEL = 4;
/** Milliseconds between two steps of progress. */
const EVERY = 100;
/** Says which run a folder belongs to. */
const CLAIM = ".fewbit-download.partial";

/** What is wanted, and from where. */
export interface DownloadRequest extends Omit<Selection, "path"> {
  /** `hf://organisation/model[@revision][/path]` */
  readonly address: string;
  /** Branch, tag or commit, where the address does not say it. */
  readonly revision?: string;
  /** That of the environment where absent. */
  readonly access?: Access;
  readonly signal?: AbortSignal;
}

/** What would be downloaded. Holds no token. */
export interface DownloadPlan {
  readonly repository: Repository;
  readonly files: readonly HubFile[];
  /** Pickles that the patterns match and that were not asked for. */
  readonly pickles: readonly string[];
  readonly bytes: number;
}

/**
 * Looks up the commit and its files, chooses, and refuses names that are none.
 * @throws `E_USAGE`, `E_HUB`, `E_IO`
 */
export async function planDownload(request: DownloadRequest): Promise<DownloadPlan> {
  const address = withRevision(parseAddress(request.address), request);
  const repository = await Repository.open(address, request.access ?? accessOf(process.env), request.signal);
  const { files, pickles } = select(repository, {
    ...request,
    ...(address.path === undefined ? {} : { path: address.path }),
  });
  refuseNames(
    files.map((file) => file.path),
    repository.name(),
  );
  return { repository, files, pickles, bytes: files.reduce((sum, file) => sum + file.bytes, 0) };
}

function withRevision(address: HubAddress, { revision }: DownloadRequest): HubAddress {
  if (revision === undefined) return address;
  if (address.revision !== undefined && address.revision !== revision)
    throw new FewbitError(
      "E_USAGE",
      `the address says revision ${address.revision}, and the option ${revision}`,
      { file: `hf://${address.model}` },
      "Say it once.",
    );
  // By way of the address, so that one rule decides what a revision is.
  return { ...parseAddress(`hf://${address.model}@${encodeURIComponent(revision)}`), ...address, revision };
}

/** How a plan is carried out. */
export interface DownloadOptions {
  /** Replace files that are there with another content. */
  readonly force?: boolean;
  /** Files at once; 4 when absent. */
  readonly parallel?: number;
  readonly signal?: AbortSignal;
}

/** How far a download is. */
export interface DownloadProgress {
  /** The file that was last heard of. */
  readonly file: string;
  /** Bytes that are on the disk, of all files. */
  readonly done: number;
  readonly total: number;
  /** Bytes that came from the hub. */
  readonly received: number;
}

/** A file that is there, complete and checked. */
export interface DownloadedFile {
  /** Its path in the repository. */
  readonly name: string;
  /** Where it is. */
  readonly path: string;
  readonly bytes: number;
  readonly checksum: HubFile["checksum"];
  /** Bytes that were there before. */
  readonly resumed: number;
}

/**
 * Files appear under their names when they are complete and their checksums are right. Those that are there already are
 * checked and kept; what a stopped run left is continued.
 *
 * @throws `E_OUTPUT_EXISTS` where a file is there with another content; `E_BUSY`, `E_SPACE`, `E_LINK`, `E_IO`, `E_HUB`;
 *   the reason of the signal
 */
export async function* download(
  { repository, files, bytes: total }: DownloadPlan,
  folder: string,
  { force = false, parallel = PARALLEL, signal }: DownloadOptions = {},
): AsyncGenerator<DownloadProgress, readonly DownloadedFile[]> {
  const home = await makeFolder(folder);
  const claim = await createPartial(join(home, CLAIM), 0);
  const stop = new AbortController();
  const stopped = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
  const progress = { file: "", done: 0, received: 0 };
  const advance = (file: HubFile, bytes: number): void => {
    progress.file = file.path;
    progress.done += bytes;
  };
  const finished = new Map<HubFile, DownloadedFile>();
  const work = async (): Promise<void> => {
    const targets = new Map<HubFile, string>();
    for (const file of files) targets.set(file, await makePlace(home, file.path));
    const missing = [];
    for (const file of files) {
      const target = targets.get(file)!;
      if (await isThere(target, file, force, stopped)) {
        advance(file, file.bytes);
        finished.set(file, described(file, target, file.bytes));
      } else missing.push(file);
    }
    await refuseTooLarge(home, missing, targets);
    const queue = missing.values();
    const drain = async (): Promise<void> => {
      for (const file of queue) {
        stopped.throwIfAborted();
        const target = targets.get(file)!;
        const resumed = await transfer({
          repository,
          file,
          target,
          signal: stopped,
          advance: (bytes, received) => {
            advance(file, bytes);
            progress.received += received;
          },
        });
        finished.set(file, described(file, target, resumed));
      }
    };
    const workers = Array.from({ length: Math.max(1, parallel) }, () =>
      drain().catch((cause: unknown) => {
        stop.abort(cause);
        throw cause;
      }),
    );
    await Promise.allSettled(workers);
    await Promise.all(workers);
  };
  const all = work();
  try {
    const end = all.then(
      () => true,
      () => true,
    );
    do yield { ...progress, total };
    while (!(await Promise.race([end, pause(EVERY)])));
    await all;
    return files.map((file) => finished.get(file)!);
  } catch (thrown) {
    throw signal?.aborted ? signal.reason : stop.signal.aborted ? stop.signal.reason : thrown;
  } finally {
    stop.abort();
    await all.catch(() => {});
    await removePartial(claim);
  }
}

const described = (
  { path: name, bytes, checksum }: HubFile,
  path: string,
  resumed: number,
): DownloadedFile => ({
  name,
  path,
  bytes,
  checksum,
  resumed,
});

/** Whether a file is there with the right content. @throws `E_OUTPUT_EXISTS` where it has another, unless forced */
async function isThere(target: string, file: HubFile, force: boolean, signal: AbortSignal): Promise<boolean> {
  const size = await sizeOf(target);
  if (size === undefined) return false;
  if (size === file.bytes) {
    const hash = hashOf(file);
    const handle = await open(target, "r").catch((cause) => {
      throw ioError(cause, "opening", target);
    });
    try {
      await hashFile(handle, size, hash, signal);
    } finally {
      await handle.close();
    }
    if (hash.digest("hex") === file.checksum.value) return true;
  }
  if (force) return false;
  throw new FewbitError(
    "E_OUTPUT_EXISTS",
    "the file exists already, with another content than on the hub",
    { file: target },
    "Pass --force to replace it, or choose another folder with -o.",
  );
}

/** What has arrived of unfinished files takes its space already. */
async function refuseTooLarge(
  folder: string,
  files: readonly HubFile[],
  targets: ReadonlyMap<HubFile, string>,
): Promise<void> {
  let needed = 0;
  for (const file of files)
    needed += Math.max(0, file.bytes - ((await sizeOf(partialOf(targets.get(file)!, file))) ?? 0));
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (needed > free)
    throw new FewbitError(
      "E_SPACE",
      `the files need ${needed} bytes and the disk has ${free} free`,
      { file: folder },
      `Free at least ${needed - free} bytes, or choose another place with -o.`,
    );
}
