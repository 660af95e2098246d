// What npm would get: each package is packed, then looked at by publint and by "are the types wrong".
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { command } from "./command.js";
import { entries, exists, type Package, published } from "./workspace.js";

export async function tarballs(): Promise<string[]> {
  const problems: string[] = [];
  for (const pkg of published)
    if (entries(pkg).every(({ code }) => exists(`${pkg.folder}/${code}`)))
      problems.push(...(await check(pkg)));
  return problems;
}

async function check(pkg: Package): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), "fewbit-pack-"));
  try {
    const packed = await command("pnpm", ["pack", "--pack-destination", folder], pkg.folder);
    const name = readdirSync(folder).find((file) => file.endsWith(".tgz"));
    if (name === undefined) return [`${pkg.folder}: pnpm pack failed: ${packed.output.trim()}`];
    const path = join(folder, name);

    const bytes = readFileSync(path);
    const tarball = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
    const { messages, pkg: manifest } = await publint({
      pack: { tarball },
      strict: true,
    });
    const problems = messages.map((message) => `${pkg.folder}: publint: ${formatMessage(message, manifest)}`);

    // A package without entries has no types to be wrong.
    if (entries(pkg).length > 0) {
      const attw = await command("attw", [path, "--profile", "esm-only", "--format", "ascii", "--no-emoji"]);
      if (attw.status !== 0)
        problems.push(
          ...attw.output
            .trim()
            .split("\n")
            .map((line) => `${pkg.folder}: attw: ${line}`),
        );
    }
    return problems;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
