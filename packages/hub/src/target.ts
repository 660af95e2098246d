// Where files of a repository go: below one folder and nowhere else, whatever they are called and whatever lies there.
import { lstat, mkdir, realpath } from "node:fs/promises";
import { dirname, join } from "node:path";
import { FewbitError } from "@fewbit/core";
import { ioError } from "@fewbit/core/node";
import { clash, refusedName } from "./names.js";

/** @throws `E_HUB` before anything is written */
export function refuseNames(paths: readonly string[], repository: string): void {
  for (const path of paths) {
    const why = refusedName(path);
    if (why !== undefined)
      throw new FewbitError(
        "E_HUB",
        `the repository holds a file whose name ${why}: ${JSON.stringify(path.slice(0, 200))}`,
        { file: repository },
        "Leave it out with --exclude, and be careful with what else is in this repository.",
      );
  }
  const both = clash(paths);
  if (both !== undefined)
    throw new FewbitError(
      "E_HUB",
      `the repository holds ${both[0]} and ${both[1]}, which cannot both be files on every system`,
      { file: repository },
      "Leave one of them out with --exclude.",
    );
}

/** Makes the folder that holds all, and says where it really is. @throws `E_IO` */
export async function makeFolder(folder: string): Promise<string> {
  try {
    await mkdir(folder, { recursive: true });
    return await realpath(folder);
  } catch (cause) {
    throw ioError(cause, "making the folder", folder);
  }
}

/** The place of a file below `folder`, with the folders that lead to it. @throws `E_LINK`, `E_IO` */
export async function makePlace(folder: string, path: string): Promise<string> {
  let at = folder;
  for (const part of dirname(path) === "." ? [] : dirname(path).split("/")) {
    at = join(at, part);
    try {
      await mkdir(at);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw ioError(cause, "making the folder", at);
    }
    const found = await lstat(at).catch((cause) => {
      throw ioError(cause, "opening", at);
    });
    if (found.isSymbolicLink()) throw link(at);
    if (!found.isDirectory())
      throw new FewbitError("E_IO", "it is no folder", { file: at }, "Choose another folder with -o.");
  }
  return join(folder, ...path.split("/"));
}

/** Bytes of the regular file that is there; undefined where nothing is. @throws `E_LINK`, `E_IO` */
export async function sizeOf(file: string): Promise<number | undefined> {
  let found: Awaited<ReturnType<typeof lstat>>;
  try {
    found = await lstat(file);
  } catch (cause) {
    if (["ENOENT", "ENOTDIR"].includes((cause as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw ioError(cause, "opening", file);
  }
  if (found.isSymbolicLink()) throw link(file);
  if (!found.isFile())
    throw new FewbitError("E_IO", "it is no regular file", { file }, "Choose another folder with -o.");
  return found.size;
}

const link = (file: string): FewbitError =>
  new FewbitError(
    "E_LINK",
    "it is a link, and nothing is written through one",
    { file },
    "Remove it, or choose another folder with -o.",
  );
