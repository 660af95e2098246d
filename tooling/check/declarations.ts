// The public names of a package, read from its built declarations: enough of their grammar for what tsc writes.
import { dirname, join, normalize } from "node:path";
import { exists, read } from "./workspace.js";

export interface Declaration {
  readonly name: string;
  readonly file: string;
  /** Where it is declared, from 1. */
  readonly line: number;
  readonly documented: boolean;
  /** Gone at run time. */
  readonly type: boolean;
}

const DECLARED =
  /^(?:export )?(?:default )?(?:declare )?(?:abstract )?(const|let|function\*?|class|interface|type|enum|namespace)\s+(?:enum\s+)?([\w$]+)/;

/** Everything that can be imported from a `.d.ts` file, by its public name. */
export function publicNames(file: string): Map<string, Declaration> {
  const text = read(file);
  const names = new Map<string, Declaration>();
  const local = declarationsOf(file, text);
  const target = (specifier: string): string | undefined => {
    if (!specifier.startsWith(".")) return undefined;
    const path = normalize(join(dirname(file), specifier))
      .replaceAll("\\", "/")
      .replace(/\.js$/, ".d.ts");
    return exists(path) ? path : undefined;
  };

  for (const [, specifier] of text.matchAll(/^export \* from ["']([^"']+)["']/gm)) {
    const other = target(specifier!);
    if (other) for (const [name, found] of publicNames(other)) if (name !== "default") names.set(name, found);
  }
  for (const [, list, specifier] of text.matchAll(
    /^export (?:type )?\{([^}]*)\}(?: from ["']([^"']+)["'])?/gm,
  ))
    for (const item of list!.split(",").filter((word) => word.trim() !== "")) {
      const [from, to = from] = item
        .trim()
        .replace(/^type /, "")
        .split(/\s+as\s+/);
      const other = specifier === undefined ? undefined : target(specifier);
      const found = other ? publicNames(other).get(from!) : local.get(from!);
      if (found) names.set(to!, found);
    }
  for (const [name, found] of local) if (/^export /.test(lineOf(text, found.line))) names.set(name, found);
  const [, byName] = /^export default ([\w$]+);/m.exec(text) ?? [];
  if (byName !== undefined && local.has(byName)) names.set("default", local.get(byName)!);
  return names;
}

const lineOf = (text: string, line: number): string => text.split("\n")[line - 1]!;

function declarationsOf(file: string, text: string): Map<string, Declaration> {
  const found = new Map<string, Declaration>();
  const lines = text.split("\n");
  for (const [i, line] of lines.entries()) {
    const [, kind, name] = DECLARED.exec(line) ?? [];
    if (name === undefined) continue;
    const documented =
      lines[i - 1]?.trimEnd().endsWith("*/") === true || found.get(name)?.documented === true;
    found.set(name, { name, file, line: i + 1, documented, type: kind === "interface" || kind === "type" });
  }
  return found;
}
