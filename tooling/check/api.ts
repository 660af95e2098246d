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
  const unbuilt: string[] = [];
  for (const pkg of published)
    for (const entry of entries(pkg)) {
      const name = `${pkg.name}${entry.entry.slice(1)}`;
      if (exists(`${pkg.folder}/${entry.code}`)) lines.push(...(await namesOf(pkg.folder, entry, name)));
      else unbuilt.push(name);
    }
  const problems = unbuilt.map((name) => `${name} is not built: run pnpm build`);
  const before = existsSync(FILE) ? readFileSync(FILE, "utf8").trimEnd().split("\n") : [];
  if (process.argv.includes("--update")) {
    const kept = before.filter((line) => unbuilt.some((name) => line.startsWith(`${name} `)));
    writeFileSync(FILE, `${[...lines, ...kept].join("\n")}\n`);
    return problems;
  }
  const changes = [
    ...before
      .filter((line) => !lines.includes(line) && !unbuilt.some((name) => line.startsWith(`${name} `)))
      .map((line) => `gone: ${line}`),
    ...lines.filter((line) => !before.includes(line)).map((line) => `new: ${line}`),
  ];
  if (changes.length > 0) changes.push("if this is meant, run: npx tsx tooling/check/main.ts --update");
  return [...problems, ...changes];
}

async function namesOf(
  folder: string,
  { code, types }: ReturnType<typeof entries>[number],
  name: string,
): Promise<string[]> {
  const values = Object.keys(await import(pathToFileURL(join(root, folder, code)).href));
  const declared =
    types !== undefined && exists(`${folder}/${types}`) ? [...publicNames(`${folder}/${types}`)] : [];
  const onlyTypes = declared.filter(([key, { type }]) => type && !values.includes(key)).map(([key]) => key);
  return [
    ...values.sort().map((value) => `${name} ${value}`),
    ...onlyTypes.sort().map((type) => `${name} type ${type}`),
  ];
}
