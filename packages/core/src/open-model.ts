import { readdir, realpath, stat } from "node:fs/promises";
import { resolve as absolute, basename, dirname, isAbsolute, join, relative, sep } from "node:path";
import { FewbitError, isFewbitError, locate } from "./error.js";
import { openFile } from "./files.js";
import type { Registry } from "./registry.js";
import { bareName, decoded, nameOf, urlSource } from "./source.js";
import type { Model, Resolved, Source } from "./types.js";

const HEAD_BYTES = 65536;

/**
 * Opens a model by path, http(s) URL, or an address that a registered resolver knows, with the first registered reader
 * that recognises it. The path may be a folder that holds a file which some reader takes for the whole folder.
 *
 * Other files of the model are opened beside the first only: a link that leads elsewhere is refused, but for the
 * layout of Hugging Face's cache.
 *
 * @throws `E_FORMAT_UNKNOWN`, `E_IO`, `E_LINK`, and whatever the reader or resolver finds wrong, always naming the file
 */
export const openModel = async (given: string, registry: Registry): Promise<Model> =>
  readModel(await resolve(given, registry), registry);

/**
 * A model as `openModel` opens it, and the folder it lies in. An address is looked up once for both: where a hub is asked,
 * weights and settings are of one commit. Links that lead out of the folder are refused.
 *
 * @throws what `openModel` throws; reading files of the folder throws `E_IO`, `E_LINK`, `E_MEMORY`
 */
export async function openCheckpoint(
  given: string,
  registry: Registry,
): Promise<{ readonly model: Model; readonly folder: Folder }> {
  const beside = await resolve(given, registry);
  return { model: await readModel(beside, registry), folder: folderOf(given, beside) };
}

async function readModel({ source, sibling }: Beside, registry: Registry): Promise<Model> {
  const opened: Source[] = [source];
  try {
    const head = new Uint8Array(Math.min(HEAD_BYTES, source.size));
    await source.read(0, head);
    const name = nameOf(source.at);
    const fileName = bareName(source.at);
    const reader =
      registry.readers.find(({ value }) => value.sniff(head, fileName)) ??
      registry.readers.find(({ value }) =>
        value.extensions.some((extension) => fileName.endsWith(extension)),
      );
    if (reader === undefined)
      throw new FewbitError(
        "E_FORMAT_UNKNOWN",
        `no registered reader recognises it; known formats: ${registry.readers.map((r) => r.value.id).join(", ") || "none"}`,
        { file: name },
        "Give a model file of one of these formats, or name the plugin that reads it with --plugin.",
      );
    return await reader.value.open(source, async (file) => {
      if (file === "" || file === "." || file === ".." || /[/\\\0]/.test(file))
        throw new FewbitError(
          "E_IO",
          `"${file}" is not the name of a file beside it`,
          { file: name },
          "Names of a model's other files are bare names: correct the file that says otherwise.",
        );
      const found = await sibling(file);
      opened.push(found);
      return found;
    });
  } catch (thrown) {
    throw isFewbitError(thrown) ? locate(thrown, { file: nameOf(source.at) }) : thrown;
  } finally {
    for (const each of opened) await each.close();
  }
}

/** Files that lie beside a model: its settings, its tokenizer, its card. */
export interface Folder {
  /** What the folder is called; of a hub, `organisation/model`. */
  readonly name: string;
  /** How a file of it is called in messages. */
  path(file: string): string;
  /**
   * All of a file, by its bare name, or by that of a folder in it and its own: `1_Pooling/config.json`; undefined where
   * there is none.
   */
  read(file: string): Promise<Uint8Array | undefined>;
}

/** More than any file beside weights has. */
const MAX_BESIDE = 2 ** 29;

function folderOf(given: string, { source, sibling, list }: Beside): Folder {
  const at = nameOf(source.at);
  const local = source.at.kind === "file" ? dirname(source.at.path) : undefined;
  let names: Promise<readonly string[]> | undefined;
  const path = (file: string): string => (local === undefined ? besideUrl(file, at) : join(local, file));
  return {
    name: local === undefined ? nameOfAddress(given) : basename(absolute(local)),
    path,
    async read(file) {
      // Lists do not tell what is in folders.
      const listed = list !== undefined && !file.includes("/");
      if (listed) {
        names ??= list();
        if (!(await names).includes(file)) return undefined;
      }
      let found: Source;
      try {
        found = await sibling(file);
      } catch (thrown) {
        if (!listed && isAbsence(thrown)) return undefined;
        throw thrown;
      }
      try {
        if (found.size > MAX_BESIDE)
          throw new FewbitError(
            "E_MEMORY",
            `it has ${found.size} bytes; at most ${MAX_BESIDE} are read at once`,
            { file: path(file) },
            "Download the checkpoint again: no such file is that large.",
          );
        const bytes = new Uint8Array(found.size);
        await found.read(0, bytes);
        return bytes;
      } finally {
        await found.close();
      }
    },
  };
}

/** Whether there is no such file. That reading it failed is another matter: settings must not be lost by it. */
function isAbsence(thrown: unknown): boolean {
  if (!isFewbitError(thrown, "E_IO")) return false;
  const { code } = (thrown.cause ?? { code: "ENOENT" }) as NodeJS.ErrnoException;
  return code === "ENOENT" || code === "ENOTDIR";
}

function nameOfAddress(address: string): string {
  if (!/^https?:/i.test(address)) return /^[^:]*:\/\/([^/@]+\/[^/@]+)/.exec(address)?.[1] ?? address;
  return decoded(new URL(address).pathname.split("/").at(-2)!) || "model";
}

/** What `Resolved` says, where a server may not list its files. */
type Beside = Pick<Resolved, "source" | "sibling"> & Partial<Pick<Resolved, "list">>;

/** The file that an address stands for, and a way to those beside it. */
async function resolve(given: string, registry: Registry): Promise<Beside> {
  const resolver = registry.resolvers.find(({ value }) => value.matches(given));
  if (resolver !== undefined)
    return resolver.value.open(given, {
      folderFiles: registry.readers.flatMap(({ value }) => value.folderFiles ?? []),
      extensions: registry.readers.flatMap(({ value }) => value.extensions),
    });
  if (/^https?:\/\//i.test(given))
    return {
      source: await urlSource(given),
      sibling: (file) => urlSource(besideUrl(file, given)),
    };
  const scheme = /^[a-z][a-z\d+.-]+:\/\//i.exec(given)?.[0];
  if (scheme !== undefined)
    throw new FewbitError(
      "E_IO",
      `no registered plugin opens ${scheme} addresses`,
      { file: given },
      "Give a path or an http(s) address, or name the plugin that opens these with --plugin.",
    );
  const path = await inFolder(given, registry);
  return {
    source: await openFile(path),
    async sibling(file) {
      await refuseForeignLink(dirname(path), file);
      return openFile(join(dirname(path), file));
    },
    list: () => readdir(dirname(path)),
  };
}

/** The address of a file beside another. Encoded: "http:host" would be another server, and "#" or "?" end the name. */
function besideUrl(file: string, url: string): string {
  const encoded = file.split("/").map(encodeURIComponent).join("/");
  return URL.canParse(encoded, url) ? new URL(encoded, url).href : file;
}

/** Of a folder, the file that stands for it; anything else as it is. */
async function inFolder(path: string, registry: Registry): Promise<string> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory() !== true) return path;
  const names = registry.readers.flatMap(({ value }) => value.folderFiles ?? []);
  for (const name of names) {
    if ((await stat(join(path, name)).catch(() => undefined)) === undefined) continue;
    await refuseForeignLink(path, name);
    return join(path, name);
  }
  throw new FewbitError(
    "E_IO",
    `it is a folder${names.length === 0 ? "" : ` without ${names.join(" or ")}`}`,
    { file: path },
    "Give the path of a model file.",
  );
}

/**
 * A model from a stranger may hold links, and what they lead to would be read as weights, and copied. In Hugging
 * Face's cache they are honest: `snapshots/REVISION/…/NAME` leads to a file in the `blobs` beside `snapshots`.
 */
async function refuseForeignLink(folder: string, file: string): Promise<void> {
  let real: string;
  try {
    real = await realpath(join(folder, file));
  } catch {
    return; // There is nothing, or a loop: opening it says so.
  }
  const home = await realpath(folder);
  const way = relative(home, real);
  const within = way.split(sep)[0] !== ".." && !isAbsolute(way);
  const snapshots = home.split(sep).lastIndexOf("snapshots");
  const cache = snapshots < 0 ? undefined : [...home.split(sep).slice(0, snapshots), "blobs"].join(sep);
  if (within || dirname(real) === cache) return;
  throw new FewbitError(
    "E_LINK",
    `${file} is a link that leads out of the model's folder, to ${real}`,
    { file: join(folder, file) },
    "If you trust it, copy that file into the folder in place of the link.",
  );
}
