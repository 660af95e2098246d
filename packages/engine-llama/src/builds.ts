import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { arch, platform } from "node:os";
import { dirname, join } from "node:path";
import { FewbitError } from "@fewbit/core";

/** The prebuilt packages of this machine, best first; those for a GPU are used where the user installed them. */
export function buildNames(system = platform(), processor = arch()): string[] {
  const name = { linux: "linux", darwin: "mac", win32: "win" }[system as string];
  if (name === undefined) return [];
  if (name === "mac") return [processor === "arm64" ? "mac-arm64-metal" : "mac-x64"];
  const plain = `${name}-${processor === "arm" ? "armv7l" : processor}`;
  return processor === "x64" ? [`${plain}-cuda`, `${plain}-vulkan`, plain] : [plain];
}

/** The folder of a package's libraries; undefined where it is not installed. */
export type FindBuild = (name: string) => string | undefined;

export const findBuild: FindBuild = (name) => {
  try {
    const main = createRequire(import.meta.url).resolve(`@node-llama-cpp/${name}`);
    const folder = join(dirname(main), "../bins", name);
    return existsSync(folder) ? folder : undefined;
  } catch {
    return undefined;
  }
};

/** @throws `E_ENGINE_MISSING` */
export function libraryFolder(find: FindBuild, names: readonly string[] = buildNames()): string {
  for (const name of names) {
    const folder = find(name);
    if (folder !== undefined) return folder;
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
        `Install it: npm install @node-llama-cpp/${wanted}@3.22.1 (it is left out by --omit=optional).`,
      );
}
