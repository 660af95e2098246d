import { parse } from "yaml";

/** More than any card's front matter, less than what a hostile one could make of it. */
const MAX_BYTES = 1 << 20;

/** What a model card says of its model: the front matter of a README.md, keys as they are there. */
export interface ModelCard {
  readonly entries: ReadonlyMap<string, unknown>;
  /** Why there are none, where that is worth telling. */
  readonly warning?: string;
}

const EMPTY: ReadonlyMap<string, unknown> = new Map();

/** Never throws: a model is no worse for its card. */
export function readModelCard(bytes: Uint8Array | undefined): ModelCard {
  if (bytes === undefined) return { entries: EMPTY };
  const lines = new TextDecoder().decode(bytes.subarray(0, MAX_BYTES)).split(/\r\n|\r|\n/);
  if (lines[0] !== "---") return { entries: EMPTY };
  const end = lines.indexOf("---", 1);
  if (end < 0 && bytes.length > MAX_BYTES)
    return { entries: EMPTY, warning: "README.md: its front matter is too long." };
  const text = lines
    .slice(1, end < 0 ? undefined : end)
    .join("\n")
    // YAML takes the code of Norwegian for "false", and refuses tabs.
    .replace(/^(\s*- )no$/gm, '$1"no"')
    .replaceAll("\t", "  ");
  try {
    const value: unknown = parse(text, { version: "1.1", mapAsMap: true, logLevel: "error" });
    refuseCircles(value, new Set());
    return { entries: value instanceof Map ? new Map([...value].map(([k, v]) => [String(k), v])) : EMPTY };
  } catch (thrown) {
    const [why] = (thrown as Error).message.split("\n");
    return { entries: EMPTY, warning: `README.md: its front matter is no YAML and was left out: ${why}` };
  }
}

/** An alias may stand within what it stands for. */
function refuseCircles(value: unknown, around: Set<unknown>): void {
  if (!Array.isArray(value) && !(value instanceof Map)) return;
  if (around.has(value)) throw new Error("An alias holds itself.");
  around.add(value);
  for (const each of value.values()) refuseCircles(each, around);
  around.delete(value);
}
