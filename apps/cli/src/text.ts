import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { FewbitError } from "@fewbit/core";
import { ioError } from "@fewbit/core/node";

/** A text for a model to read. */
export interface Text {
  /** Of its file, without the folder. */
  readonly name: string;
  readonly text: string;
}

/** Longer ones are no string of JavaScript. */
const MOST_BYTES = 2 ** 29 - 24;

/**
 * Reads a text as llama.cpp's tools do: without the newline that ends it.
 * @throws `E_IO`; `E_TEXT` where it is empty, not UTF-8 or larger than half a gigabyte
 */
export async function readText(path: string): Promise<Text> {
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw ioError(cause, "reading", path);
  });
  const refuse = (what: string, remedy: string, offset?: number): FewbitError =>
    new FewbitError("E_TEXT", what, { file: path, ...(offset === undefined ? {} : { offset }) }, remedy);
  if (bytes.length > MOST_BYTES)
    throw refuse(
      "The text is larger than 512 MiB.",
      "Give a part of it: figures settle after some megabytes.",
    );
  const length = bytes.at(-1) === 0x0a ? bytes.length - 1 : bytes.length;
  if (length === 0) throw refuse("The text is empty.", "Give a file with plain text in it.");
  if (!decodes(bytes.subarray(0, length)))
    throw refuse("The text is not UTF-8.", "Convert it, for example with iconv.", firstInvalid(bytes));
  return { name: basename(path), text: new TextDecoder("utf-8", options).decode(bytes.subarray(0, length)) };
}

/** A byte-order mark stays: the model would see it too. */
const options = { fatal: true, ignoreBOM: true } as const;

/** @param more bytes follow, so that the last character may be cut off */
function decodes(bytes: Uint8Array, more = false): boolean {
  try {
    new TextDecoder("utf-8", options).decode(bytes, { stream: more });
    return true;
  } catch {
    return false;
  }
}

/** The first byte at which the text can be seen to be wrong. */
function firstInvalid(bytes: Uint8Array): number {
  let right = 0;
  let wrong = bytes.length;
  while (wrong - right > 1) {
    const middle = (right + wrong) >> 1;
    if (decodes(bytes.subarray(0, middle), true)) right = middle;
    else wrong = middle;
  }
  return right;
}
