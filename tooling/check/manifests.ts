// What every package promises in its package.json, and the files that must be there.

import { createRequire } from "node:module";
import { entries, exists, type Package, packages, published, read, root } from "./workspace.js";

export function manifests(): string[] {
  return [...packages.flatMap(ofAny), ...published.flatMap(ofPublished), ...scripts()];
}

function ofAny({ folder, manifest }: Package): string[] {
  const problems: string[] = [];
  const hold = (condition: boolean, problem: string) => {
    if (!condition) problems.push(`${folder}: ${problem}`);
  };
  hold(exists(`${folder}/README.md`) || manifest.private === true, "has no README.md");
  hold(manifest.type === "module", 'package.json lacks "type": "module"');
  for (const [kind, names] of Object.entries({
    dependencies: manifest.dependencies,
    devDependencies: manifest.devDependencies,
  }))
    for (const [name, range] of Object.entries(names ?? {}))
      hold(
        range.startsWith("workspace:") || /^\d/.test(range),
        `${kind} has ${name} as "${range}": pin the version that was tested`,
      );
  return problems;
}

function ofPublished(pkg: Package): string[] {
  const { folder, manifest } = pkg;
  const problems: string[] = [];
  const hold = (condition: boolean, problem: string) => {
    if (!condition) problems.push(`${folder}/package.json: ${problem}`);
  };
  hold(manifest.license === "MIT", 'license must be "MIT"');
  hold((manifest.files?.length ?? 0) > 0, "files is missing: everything would be published");
  hold((manifest.description ?? "") !== "", "description is missing");
  hold(manifest.engines?.node === ">=20.19", 'engines.node must be ">=20.19"');
  hold(manifest.repository?.directory === folder, `repository.directory must be "${folder}"`);
  hold(manifest.exports?.["./package.json"] !== undefined, 'exports lacks "./package.json"');
  hold(
    manifest.peerDependencies?.["@fewbit/core"] === undefined ||
      manifest.devDependencies?.["@fewbit/core"] !== undefined,
    "a peer of @fewbit/core needs it as a devDependency too",
  );
  for (const { entry, code, types } of entries(pkg)) {
    hold(exists(`${folder}/${code}`), `exports "${entry}" has no ${code}: run pnpm build`);
    hold(
      types !== undefined && exists(`${folder}/${types}`),
      `exports "${entry}" has no types: run pnpm build`,
    );
  }
  for (const [name, file] of Object.entries(manifest.bin ?? {}))
    hold(
      exists(`${folder}/${file}`) && read(`${folder}/${file}`).startsWith("#!/usr/bin/env node\n"),
      `bin ${name} is missing or does not begin with #!/usr/bin/env node`,
    );
  return problems;
}

/** A script whose file is gone is found here, not by whoever needs it. */
function scripts(): string[] {
  const manifest = createRequire(import.meta.url)(`${root}package.json`) as {
    scripts: Record<string, string>;
  };
  return Object.entries(manifest.scripts).flatMap(([name, script]) =>
    script
      .split(" ")
      .filter((word) => /\.(ts|mjs)$/.test(word) && !exists(word))
      .map((word) => `package.json: the script ${name} runs ${word}, which does not exist`),
  );
}
