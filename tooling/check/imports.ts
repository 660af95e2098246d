import { dirname, join, normalize } from "node:path";
import { exists, read } from "./workspace.js";

export interface Import {
  readonly specifier: string;
  /** Erased by the compiler: `import type`, `export type`. */
  readonly type: boolean;
}

const FROM = /^[ \t]*(?:import|export)\s+(type\s)?(?:[\w*{][^"';]*?\sfrom\s*)?["']([^"'\n]+)["']/gm;
const DYNAMIC = /\bimport\(\s*["']([^"'\n]+)["']\s*\)/g;

/** What a source file imports. Comments and template strings may not begin a line with `import … from`: none do. */
export function importsOf(file: string): Import[] {
  const text = read(file).replace(/\/\*[\s\S]*?\*\//g, "");
  return [
    ...[...text.matchAll(FROM)].map(([, type, specifier]) => ({
      specifier: specifier!,
      type: type !== undefined,
    })),
    ...[...text.matchAll(DYNAMIC)].map(([, specifier]) => ({ specifier: specifier!, type: false })),
  ];
}

/** The file of this checkout that a relative import means; undefined for packages and for what is built. */
export function resolveImport(from: string, specifier: string): string | undefined {
  if (!specifier.startsWith(".")) return undefined;
  const path = normalize(join(dirname(from), specifier)).replaceAll("\\", "/");
  return [path, path.replace(/\.js$/, ".ts"), `${path}.ts`].find(
    (candidate) => /\.[a-z]+$/.test(candidate) && exists(candidate),
  );
}

/** The npm name in a specifier: `@fewbit/core` of `@fewbit/core/node`. */
export const packageOf = (specifier: string): string =>
  specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
