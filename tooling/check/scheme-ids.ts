// Shared code asks a scheme what it is and never whether it is a certain one. Elsewhere, switches on type names grew
// until one new type meant edits in some thirty places; so an id as a literal is refused here from the start.

import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { exists, filesUnder, packages, read, root } from "./workspace.js";

const SHARED = /^(packages\/core|packages\/runner-.*|apps\/cli)$/;
/** Plain numbers, which core itself reads. */
const PLAIN = ["F64", "F32", "F16", "BF16"];

export async function schemeIds(): Promise<string[]> {
  const ids = new Set<string>();
  for (const { folder } of packages) {
    const built = `${folder}/dist/index.js`;
    if (!folder.startsWith("packages/scheme-") || !exists(built)) continue;
    const { default: plugin } = (await import(pathToFileURL(join(root, built)).href)) as {
      default: { schemes: readonly { id: string }[] };
    };
    for (const { id } of plugin.schemes) if (!PLAIN.includes(id)) ids.add(id);
  }
  if (ids.size === 0) return ["no scheme package is built: run pnpm build"];
  const literal = new RegExp(`["'\`](${[...ids].join("|")})["'\`]`, "gi");
  const shared = packages.filter(({ folder }) => SHARED.test(folder));
  return shared.flatMap(({ folder }) =>
    filesUnder(`${folder}/src`, [".ts"]).flatMap((file) =>
      withoutComments(read(file))
        .split("\n")
        .flatMap((line, i) =>
          [...line.matchAll(literal)].map(
            ([found]) =>
              `${file}:${i + 1} says ${found}: let the scheme declare what this code needs to know`,
          ),
        ),
    ),
  );
}

/** Comments may name schemes as examples; the lines stay where they are. */
const withoutComments = (text: string): string =>
  text.replace(/\/\*[\s\S]*?\*\/|(?<![:"'`])\/\/.*/g, (comment) => comment.replace(/[^\n]/g, ""));
