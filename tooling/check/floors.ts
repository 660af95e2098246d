// Who may import whom. A package imports only from floors below its own; packages of one floor never import each other.
import { builtinModules } from "node:module";
import { importsOf, packageOf, resolveImport } from "./imports.js";
import { filesUnder, type Package, packages } from "./workspace.js";

/** The one place that says where a package stands. */
const floorOf: Readonly<Record<string, 0 | 1 | 2 | 3>> = {
  "@fewbit/core": 0,
  "@fewbit/assembly": 0,
  "@fewbit/engine-llama": 1,
  "@fewbit/format-gguf": 1,
  "@fewbit/format-safetensors": 1,
  "@fewbit/hub": 1,
  "@fewbit/runner-piscina": 1,
  "@fewbit/scheme-asymmetric": 1,
  "@fewbit/scheme-float": 1,
  "@fewbit/scheme-iq": 1,
  "@fewbit/scheme-per-channel": 1,
  "@fewbit/scheme-symmetric": 1,
  "@fewbit/testing": 1,
  "@fewbit/calibrate": 2,
  "@fewbit/convert": 2,
  "@fewbit/evaluate": 2,
  "@fewbit/report": 2,
  fewbit: 3,
};

/** Not part of what is published: any package may use them to build and to test itself. */
const FOR_DEVELOPMENT = ["@fewbit/testing", "@fewbit/tooling"];
const TOOLING = "@fewbit/tooling";

const inWorkspace = new Set(packages.map(({ name }) => name));

/** Why `user` may not use `used`; undefined where it may. */
function refusal(user: Package, used: string, development: boolean): string | undefined {
  if (user.name === TOOLING || used === user.name) return undefined;
  if (development && FOR_DEVELOPMENT.includes(used)) return undefined;
  const [from, to] = [floorOf[user.name], floorOf[used]];
  if (from === undefined) return undefined; // reported once, for the package itself
  if (to === undefined) return `${used} has no floor`;
  if (to < from) return undefined;
  return to === from ? `both stand on floor ${from}` : `floor ${to} is above floor ${from}`;
}

export function floors(): string[] {
  const problems: string[] = [];
  for (const user of packages) {
    const { manifest, folder, name } = user;
    if (floorOf[name] === undefined && name !== TOOLING)
      problems.push(`${name} has no floor: give it one in tooling/check/floors.ts`);

    for (const kind of ["dependencies", "peerDependencies", "devDependencies"] as const)
      for (const used of Object.keys(manifest[kind] ?? {})) {
        const why = inWorkspace.has(used) ? refusal(user, used, kind === "devDependencies") : undefined;
        if (why) problems.push(`${folder}/package.json: ${kind} has ${used}: ${why}`);
      }

    const declared = { ...manifest.dependencies, ...manifest.peerDependencies };
    for (const file of filesUnder(folder, [".ts", ".mjs"])) {
      const own = file.slice(folder.length + 1);
      const development = !own.startsWith("src/");
      for (const { specifier } of importsOf(file)) {
        const target = resolveImport(file, specifier);
        if (target !== undefined && !target.startsWith(`${folder}/`)) {
          // Presets and witnesses lie in tooling; everything else of another package is reached by its name.
          if (!(development && target.startsWith("tooling/")))
            problems.push(`${file} imports ${target}: import the package by its name`);
          continue;
        }
        if (specifier.startsWith(".")) continue;
        const used = packageOf(specifier);
        const why = inWorkspace.has(used) ? refusal(user, used, development) : undefined;
        if (why) problems.push(`${file} imports ${used}: ${why}`);
        const builtin = specifier.startsWith("node:") || builtinModules.includes(specifier);
        if (!development && !builtin && used !== name && declared[used] === undefined)
          problems.push(`${file} imports ${used}, which is neither a dependency nor a peer of ${name}`);
      }
    }
  }
  return problems;
}
