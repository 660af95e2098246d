import { dirname, join } from "node:path";
import { FewbitError, isFewbitError, locate } from "./error.js";
import { openFile } from "./files.js";
import type { Registry } from "./registry.js";
import { nameOf, urlSource } from "./source.js";
import type { Model, Source } from "./types.js";

const HEAD_BYTES = 65536;

/**
 * Opens a model by path or http(s) URL with the first registered reader that recognises it.
 * @throws `E_FORMAT_UNKNOWN`, `E_IO`, and whatever the reader finds wrong, always naming the file
 */
export async function openModel(pathOrUrl: string, registry: Registry): Promise<Model> {
  const source = await openSource(pathOrUrl);
  const opened: Source[] = [source];
  try {
    const head = new Uint8Array(Math.min(HEAD_BYTES, source.size));
    await source.read(0, head);
    const name = nameOf(source.at);
    const fileName = name
      .slice(Math.max(name.lastIndexOf("/"), name.lastIndexOf("\\")) + 1)
      .replace(/[?#].*$/, "");
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
    const sibling = async (file: string): Promise<Source> => {
      if (file === "" || file === "." || file === ".." || /[/\\\0]/.test(file))
        throw new FewbitError("E_IO", `"${file}" is not the name of a file beside it`, { file: name });
      const found = await openSource(
        source.at.kind === "file" ? join(dirname(source.at.path), file) : new URL(file, pathOrUrl).href,
      );
      opened.push(found);
      return found;
    };
    return await reader.value.open(source, sibling);
  } catch (thrown) {
    throw isFewbitError(thrown) ? locate(thrown, { file: nameOf(source.at) }) : thrown;
  } finally {
    for (const each of opened) await each.close();
  }
}

const openSource = (pathOrUrl: string): Promise<Source> =>
  /^https?:\/\//i.test(pathOrUrl) ? urlSource(pathOrUrl) : openFile(pathOrUrl);
