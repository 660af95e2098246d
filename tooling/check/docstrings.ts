import { publicNames } from "./declarations.js";
import { entries, exists, published } from "./workspace.js";

/** Every name that a package exports says what it is, in the declarations that editors show. */
export function docstrings(): string[] {
  const problems = new Set<string>();
  for (const pkg of published)
    for (const { types } of entries(pkg)) {
      const file = `${pkg.folder}/${types}`;
      if (!exists(file)) continue; // package.json's check reports it
      for (const [name, { documented, file: declared }] of publicNames(file))
        if (!documented && name !== "default")
          problems.add(
            `${declared.replace("/dist/", "/src/").replace(/\.d\.ts$/, ".ts")}: ${name} has no docstring`,
          );
    }
  return [...problems];
}
