import { randomUUID } from "node:crypto";
import { open, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { FewbitError } from "@fewbit/core";
import { ioError } from "@fewbit/core/node";

/**
 * Refuses a place that something is at already, before hours go into what would be written there.
 *
 * @param inputs files that are read, which an output never replaces
 * @throws `E_OUTPUT_EXISTS`, `E_OUTPUT_IS_INPUT`, `E_IO`
 */
export async function refuseTaken(
  path: string,
  { force, inputs }: { readonly force: boolean; readonly inputs: readonly string[] },
): Promise<void> {
  await openFolder(path);
  const find = (file: string) => stat(file, { bigint: true }).catch(() => undefined);
  const found = await find(path);
  if (found === undefined) return;
  for (const input of inputs) {
    const other = await find(input);
    if (other?.dev === found.dev && other.ino === found.ino)
      throw new FewbitError(
        "E_OUTPUT_IS_INPUT",
        `the output is the input ${input}`,
        { file: path },
        "Give the output another name.",
      );
  }
  if (!found.isFile())
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

async function openFolder(path: string): Promise<void> {
  const folder = dirname(path);
  const found = await stat(folder).catch((cause: unknown) => {
    throw ioError(cause, "opening the folder of the output", path);
  });
  if (!found.isDirectory())
    throw new FewbitError("E_IO", `${folder} is no folder`, { file: path }, "Give the output another name.");
}

/**
 * Writes a file that is there as a whole or not at all: beside its place, synced, renamed. Replaces what is there.
 * @throws `E_SPACE`, `E_IO`
 */
export async function writeWhole(path: string, parts: readonly Uint8Array[]): Promise<void> {
  const beside = `${path}.${randomUUID()}`;
  try {
    const handle = await open(beside, "wx");
    try {
      for (const part of parts) await handle.writeFile(part);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(beside, path);
  } catch (cause) {
    await rm(beside, { force: true });
    throw ioError(cause, "writing", path);
  }
}
