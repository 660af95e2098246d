import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { arch, platform } from "node:os";
import { dirname, join } from "node:path";
import { FewbitError } from "@fewbit/core";
import manifest from "../package.json" with { type: "json" };

/** Of node-llama-cpp's packages: those that hold the release that `layout.ts` describes. */
const PACKAGE_VERSION = manifest.optionalDependencies["@node-llama-cpp/linux-x64"];

/** The prebuilt packages of this machine, best first; those for a GPU are used where the user installed them. */
export function buildNames(system = platform(), processor = arch()): string[] {
  const name = { linux: "linux", darwin: "mac", win32: "win" }[system as string];
  if (name === undefined) return [];
  if (name === "mac") return [processor === "arm64" ? "mac-arm64-metal" : "mac-x64"];
  const plain = `${name}-${processor === "arm" ? "armv7l" : processor}`;
  return processor === "x64" ? [`${plain}-cuda`, `${plain}-vulkan`, plain] : [plain];
}

/** Where the libraries of a build lie. */
export interface Build {
  readonly folder: string;
  /** Tried, if they exist, where the build's own libraries find no GPU: builds for older drivers. */
  readonly fallbacks: readonly string[];
}

/** Finds a build by its name, such as `linux-x64`; undefined where it is not installed. */
export type FindBuild = (name: string) => Build | undefined;

export const findBuild: FindBuild = (name) => {
  const folder = packageFolder(name, name);
  if (folder === undefined) return undefined;
  const extension = packageFolder(`${name}-ext`, name);
  return {
    folder,
    fallbacks: [folder, ...(extension === undefined ? [] : [extension])].map((each) =>
      join(each, "fallback"),
    ),
  };
};

function packageFolder(suffix: string, build: string): string | undefined {
  try {
    const main = createRequire(import.meta.url).resolve(`@node-llama-cpp/${suffix}`);
    const folder = join(dirname(main), "../bins", build);
    return existsSync(folder) ? folder : undefined;
  } catch {
    return undefined;
  }
}

/** @throws `E_ENGINE_MISSING` */
export function chooseBuild(find: FindBuild, names: readonly string[] = buildNames()): Build {
  for (const name of names) {
    const build = find(name);
    if (build !== undefined) return build;
  }
  const wanted = names.at(-1);
  throw wanted === undefined
    ? new FewbitError(
        "E_ENGINE_MISSING",
        `There is no build of llama.cpp for ${platform()} on ${arch()}.`,
        {},
        "Run this on Linux, macOS or Windows.",
      )
    : new FewbitError(
        "E_ENGINE_MISSING",
        `The package @node-llama-cpp/${wanted}, which holds llama.cpp for this machine, is not installed.`,
        {},
        `Install it: npm install @node-llama-cpp/${wanted}@${PACKAGE_VERSION}`,
      );
}
