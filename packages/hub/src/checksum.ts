import { createHash, type Hash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import type { HubFile } from "./repository.js";

const CHUNK_BYTES = 1 << 22;

/** A hash that is the file's checksum once all its bytes have gone through. */
export function hashOf({ checksum, bytes }: HubFile): Hash {
  return checksum.kind === "sha256" ? createHash("sha256") : createHash("sha1").update(`blob ${bytes}\0`);
}

/** Sends the first `length` bytes of an open file through a hash. */
export async function hashFile(
  handle: FileHandle,
  length: number,
  hash: Hash,
  signal: AbortSignal | undefined,
): Promise<void> {
  const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, Math.max(1, length)));
  for (let done = 0; done < length; ) {
    signal?.throwIfAborted();
    const { bytesRead } = await handle.read(chunk, 0, Math.min(chunk.length, length - done), done);
    if (bytesRead === 0) return; // Shorter than it was: its checksum will say so.
    hash.update(chunk.subarray(0, bytesRead));
    done += bytesRead;
  }
}
