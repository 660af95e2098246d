// The packages of the workspace, as the checks see them.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Another workspace, for the tests of the checks themselves. */
const { FEWBIT_CHECK_ROOT } = process.env;
export const root: string = FEWBIT_CHECK_ROOT ?? fileURLToPath(new URL("../../", import.meta.url));

export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly private?: boolean;
  readonly type?: string;
  readonly description?: string;
  readonly license?: string;
  readonly files?: readonly string[];
  readonly engines?: Readonly<Record<string, string>>;
  readonly repository?: { readonly directory?: string };
  readonly exports?: Readonly<
    Record<string, string | { readonly types?: string; readonly default?: string }>
  >;
  readonly bin?: Readonly<Record<string, string>>;
  readonly scripts?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

export interface Package {
  readonly name: string;
  /** Relative to the root: `packages/core`. */
  readonly folder: string;
  readonly manifest: Manifest;
}

const readPackage = (folder: string): Package => {
  const manifest = JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8")) as Manifest;
  return { name: manifest.name, folder, manifest };
};

export const packages: readonly Package[] = ["packages", "apps"]
  .filter((parent) => existsSync(join(root, parent)))
  .flatMap((parent) => readdirSync(join(root, parent)).map((name) => `${parent}/${name}`))
  .concat("tooling")
  .filter((folder) => existsSync(join(root, folder, "package.json")))
  .map(readPackage);

export const published: readonly Package[] = packages.filter(({ manifest }) => !manifest.private);

const SKIPPED = new Set(["node_modules", "dist", "coverage"]);

/** Files under a folder of the root with one of these endings, relative to the root. */
export function filesUnder(folder: string, endings: readonly string[]): string[] {
  const path = join(root, folder);
  if (!existsSync(path)) return [];
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) => {
    const child = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return SKIPPED.has(entry.name) ? [] : filesUnder(child, endings);
    return endings.some((ending) => entry.name.endsWith(ending)) ? [child] : [];
  });
}

export const read = (file: string): string => readFileSync(join(root, file), "utf8");
export const exists = (file: string): boolean => existsSync(join(root, file));

/** What an entry of `exports` points at: `[".", "dist/index.js", "dist/index.d.ts"]`. Data such as package.json is left out. */
export function entries({ manifest }: Package): { entry: string; code: string; types: string | undefined }[] {
  return Object.entries(manifest.exports ?? {}).flatMap(([entry, target]) => {
    const code = typeof target === "string" ? target : target.default;
    if (code === undefined || !/\.[mc]?js$/.test(code)) return [];
    const types = typeof target === "string" ? undefined : target.types;
    return [{ entry, code: code.slice(2), types: types?.slice(2) }];
  });
}
