// The public names of every package, in one committed file: a name that appears or goes is a line in a review.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { publicNames } from "./declarations.js";
import { entries, exists, published, root } from "./workspace.js";

const FILE = join(root, "tooling/check/api.txt");

/** With `--update` on the command line the file is written instead. */
export async function api(): Promise<string[]> {
  const lines: string[] = [];
  for (const pkg of published)
    for (const { entry, code, types } of entries(pkg)) {
      const built = `${pkg.folder}/${code}`;
      if (!exists(built)) return [`${built} is missing: run pnpm build`];
      const values = Object.keys(await import(pathToFileURL(join(root, built)).href));
      const declared =
        types !== undefined && exists(`${pkg.folder}/${types}`)
          ? publicNames(`${pkg.folder}/${types}`)
          : new Map();
      const onlyTypes = [...declared]
        .filter(([name, { type }]) => type && !values.includes(name))
        .map(([name]) => name);
      const name = `${pkg.name}${entry.slice(1)}`;
      for (const value of values.sort()) lines.push(`${name} ${value}`);
      for (const type of onlyTypes.sort()) lines.push(`${name} type ${type}`);
    }
  if (process.argv.includes("--update")) {
    writeFileSync(FILE, `${lines.join("\n")}\n`);
    return [];
  }
  const before = existsSync(FILE) ? readFileSync(FILE, "utf8").trimEnd().split("\n") : [];
  const problems = [
    ...before.filter((line) => !lines.includes(line)).map((line) => `gone: ${line}`),
    ...lines.filter((line) => !before.includes(line)).map((line) => `new: ${line}`),
  ];
  if (problems.length > 0) problems.push("if this is meant, run: tsx tooling/check/main.ts --update");
  return problems;
}
