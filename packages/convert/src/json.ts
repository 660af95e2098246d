import { FewbitError } from "@fewbit/core";

/** Twice the largest vocabulary there is. What a larger file becomes in memory could fill it. */
const MAX_BYTES = 1 << 26;

/**
 * The value of a JSON file of a checkpoint.
 * @throws `E_CHECKPOINT` where it is too large, not UTF-8, or not JSON
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
  try {
    return JSON.parse(text);
  } catch (cause) {
    const why = (cause as Error).message;
    throw new FewbitError("E_CHECKPOINT", `The file is not JSON: ${why}.`, { file }, remedy, cause);
  }
}

/** Of JSON from a stranger, as much as a message may show. */
export const quoted = (json: string): string => (json.length > 80 ? `${json.slice(0, 79)}…` : json);
