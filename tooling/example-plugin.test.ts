// A stranger's plugin, from packing to a quantized file: every package is packed as npm would get it and unpacked into
// a project of its own, so that nothing can be found by the workspace's help.
import { execFileSync, spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { createRegistry } from "@fewbit/core";
import { openModel } from "@fewbit/core/node";
import gguf from "@fewbit/format-gguf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../", import.meta.url));
const project = mkdtempSync(join(tmpdir(), "fewbit-stranger-"));
const modules = join(project, "node_modules");
const env = {
  PATH: [join(modules, ".bin"), dirname(process.execPath), "/usr/bin", "/bin"].join(":"),
  HOME: project,
  npm_config_offline: "true",
};

interface Manifest {
  readonly name: string;
  readonly private?: boolean;
  readonly bin?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}
const manifestOf = (folder: string) =>
  JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Manifest;

/** Packs a folder and unpacks it as `npm install` would; dependencies from the registry are linked to the workspace's. */
function install(folder: string): Manifest {
  const packed = mkdtempSync(join(project, "pack-"));
  const [program, args] = folder.includes("example-plugin")
    ? [join(dirname(process.execPath), "npm"), ["pack", "--pack-destination", packed]]
    : [join(root, "node_modules/.bin/pnpm"), ["pack", "--pack-destination", packed]];
  execFileSync(program, args, { cwd: folder, stdio: "pipe" });
  const { name } = manifestOf(folder);
  const target = join(modules, name);
  mkdirSync(target, { recursive: true });
  execFileSync("tar", ["-xzf", join(packed, readdirSync(packed)[0]!), "-C", target, "--strip-components=1"]);
  const manifest = manifestOf(target);
  for (const [command, file] of Object.entries(manifest.bin ?? {}))
    symlinkSync(join(target, file), join(modules, ".bin", command));
  for (const dependency of Object.keys(manifest.dependencies ?? {})) {
    const link = join(modules, dependency);
    if (dependency === "fewbit" || dependency.startsWith("@fewbit/") || existsSync(link)) continue;
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(realpathSync(join(folder, "node_modules", dependency)), link);
  }
  return manifest;
}

const run = (command: string) => {
  const { status, stdout, stderr } = spawnSync("bash", ["-c", command], {
    cwd: project,
    env,
    encoding: "utf8",
  });
  return { status, stdout, stderr };
};

const installed: Manifest[] = [];

beforeAll(() => {
  mkdirSync(join(modules, ".bin"), { recursive: true });
  const folders = readdirSync(join(root, "packages")).map((name) => `packages/${name}`);
  for (const folder of [...folders, "apps/cli", "tooling/example-plugin"])
    if (manifestOf(join(root, folder)).private !== true) installed.push(install(join(root, folder)));
  cpSync(join(root, "tooling/example-plugin/test/contract.test.js"), join(project, "contract.test.js"));
  cpSync(join(root, "tooling/fixture/stories.gguf"), join(project, "stories.gguf"));
  const dependencies = Object.fromEntries(["fewbit", "fewbit-scheme-example"].map((name) => [name, "*"]));
  writeFileSync(
    join(project, "package.json"),
    JSON.stringify({ private: true, type: "module", dependencies }),
  );
}, 300_000);
afterAll(() => rmSync(project, { recursive: true, force: true }));

describe("a plugin from outside the workspace", () => {
  test("packed packages need nothing from the workspace", () => {
    for (const { name, dependencies = {}, peerDependencies = {} } of installed)
      for (const [needed, range] of Object.entries({ ...dependencies, ...peerDependencies })) {
        expect(`${name} needs ${needed} ${range}`).not.toMatch(/workspace:|link:|file:/);
        expect(existsSync(join(modules, needed, "package.json")), `${name} needs ${needed}`).toBe(true);
      }
  });

  test("keeps the contract under Node's own test runner", () => {
    const { status, stdout, stderr } = run("node --test --test-reporter=tap contract.test.js");
    expect(stderr).toBe("");
    expect(stdout).toMatch(/ok \d+ - Q8_0: decode comes back within the declared error/);
    expect(stdout).toMatch(/ok \d+ - fewbit-scheme-example: is the default export of its module/);
    expect(stdout).toMatch(/^# pass 21$/m);
    expect(stdout).toMatch(/^# fail 0$/m);
    expect(status).toBe(0);
  });

  test("quantizes a model by its qualified id", { timeout: 120_000 }, async () => {
    const { status, stderr } = run(
      "fewbit quantize stories.gguf own.gguf --type fewbit-scheme-example:Q8_0 --plugin fewbit-scheme-example --threads 2",
    );
    expect(`${status} ${status === 0 ? "" : stderr}`).toBe("0 ");
    expect(run("fewbit quantize stories.gguf bundled.gguf --type Q8_0").status).toBe(0);

    const registry = createRegistry([gguf]);
    const own = await scalesOf(join(project, "own.gguf"), registry);
    const bundled = await scalesOf(join(project, "bundled.gguf"), registry);
    expect(own.length).toBe(bundled.length);
    expect(own.length).toBeGreaterThan(10_000);
    const powerOfTwo = (bits: number) => (bits & 0x3ff) === 0 || (bits & 0x7c00) === 0;
    expect(own.every(powerOfTwo)).toBe(true);
    expect(bundled.every(powerOfTwo)).toBe(false);
  });

  test("is not loaded unless it is named", () => {
    const { status, stderr } = run(
      "fewbit quantize stories.gguf other.gguf --type fewbit-scheme-example:Q8_0",
    );
    expect(status).toBe(2);
    expect(stderr).toMatch(/fewbit-scheme-example/);
    expect(existsSync(join(project, "other.gguf"))).toBe(false);
  });
});

/** Half-precision bits of every Q8_0 block of a file. */
async function scalesOf(path: string, registry: ReturnType<typeof createRegistry>): Promise<number[]> {
  const model = await openModel(path, registry);
  const bytes = readFileSync(path);
  return model.tensors
    .filter(({ dtype }) => dtype === "Q8_0")
    .flatMap(({ offset, bytes: length }) =>
      Array.from({ length: length / 34 }, (_, block) => bytes.readUInt16LE(offset + 34 * block)),
    );
}
