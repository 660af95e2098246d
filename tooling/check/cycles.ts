import { importsOf, resolveImport } from "./imports.js";
import { filesUnder, packages } from "./workspace.js";

/** Circles of files that import each other when they run; types may refer to each other freely. */
export function cycles(): string[] {
  const graph = new Map<string, string[]>();
  for (const { folder } of packages)
    for (const file of filesUnder(folder, [".ts", ".mjs"]))
      graph.set(
        file,
        importsOf(file).flatMap(({ specifier, type }) =>
          type ? [] : (resolveImport(file, specifier) ?? []),
        ),
      );
  const found = new Map<string, string>();
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    const at = path.indexOf(file);
    if (at >= 0) {
      const circle = path.slice(at);
      found.set([...circle].sort().join(), [...circle, file].join(" → "));
      return;
    }
    if (done.has(file)) return;
    for (const next of graph.get(file) ?? []) visit(next, [...path, file]);
    done.add(file);
  };
  for (const file of graph.keys()) visit(file, []);
  return [...found.values()];
}
