import { FewbitError } from "@fewbit/core";

/** Twice the largest vocabulary there is. What a larger file becomes in memory could fill it. */
const MAX_BYTES = 1 << 26;

/** More than any settings, less than what would exhaust the stack of those who walk through them. */
const MAX_DEPTH = 500;

/**
 * The value of a JSON file of a checkpoint.
 * @throws `E_CHECKPOINT` where it is too large, not UTF-8, nested without end, or not JSON
 */
export function parseJson(bytes: Uint8Array, file: string): unknown {
  const remedy = "Download the checkpoint again, or correct the file.";
  if (bytes.length > MAX_BYTES)
    throw new FewbitError(
      "E_CHECKPOINT",
      `The file has ${bytes.length} bytes; at most ${MAX_BYTES} are read.`,
      { file },
      remedy,
    );
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new FewbitError("E_CHECKPOINT", "The file is not UTF-8.", { file }, remedy, cause);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const why = (cause as Error).message;
    throw new FewbitError("E_CHECKPOINT", `The file is not JSON: ${why}.`, { file }, remedy, cause);
  }
  if (isDeep(bytes))
    throw new FewbitError(
      "E_CHECKPOINT",
      `The file nests lists and objects more than ${MAX_DEPTH} levels deep.`,
      { file },
      remedy,
    );
  return value;
}

const [QUOTE, BACKSLASH] = [0x22, 0x5c];
const OPENING = new Set([0x5b, 0x7b]);
const CLOSING = new Set([0x5d, 0x7d]);

/** Whether brackets outside of strings are open deeper than is read. */
function isDeep(bytes: Uint8Array): boolean {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (byte === QUOTE) inString = !inString;
    else if (inString) {
      if (byte === BACKSLASH) i++;
    } else if (OPENING.has(byte)) {
      depth++;
      if (depth > MAX_DEPTH) return true;
    } else if (CLOSING.has(byte)) depth--;
  }
  return false;
}

/** Of JSON from a stranger, as much as a message may show. */
export const quoted = (json: string): string => (json.length > 80 ? `${json.slice(0, 79)}…` : json);
