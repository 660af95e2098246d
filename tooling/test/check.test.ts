// A check is worth what it refuses: a small workspace with one fault of every kind.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";

const root = `${mkdtempSync(join(tmpdir(), "fewbit-check-"))}/`;

const manifest = (name: string, folder: string, over: object = {}): string =>
  JSON.stringify({
    name,
    version: "1.0.0",
    description: "a package",
    license: "MIT",
    type: "module",
    files: ["dist"],
    engines: { node: ">=20.19" },
    repository: { directory: folder },
    exports: {
      ".": { types: "./dist/index.d.ts", default: "./dist/index.js" },
      "./package.json": "./package.json",
    },
    ...over,
  });

const files: Readonly<Record<string, string>> = {
  "package.json": JSON.stringify({
    scripts: { check: "tsx tooling/check/main.ts", gone: "tsx tooling/gone.ts" },
  }),
  "tooling/package.json": JSON.stringify({ name: "@fewbit/tooling", private: true, type: "module" }),
  "tooling/preset.ts": "export const preset = 1;\n",
  "tooling/check/main.ts": "",
  "tooling/check/api.txt": "@fewbit/core kept\n@fewbit/core removed\n",

  "packages/core/package.json": manifest("@fewbit/core", "packages/core"),
  "packages/core/README.md": "# core\n",
  "packages/core/vitest.config.ts": 'export { preset } from "../../tooling/preset.js";\n',
  "packages/core/src/a.ts": 'import { b } from "./b.js";\nexport const a = () => b;\n',
  "packages/core/src/b.ts": 'import { a } from "./a.js";\nexport const b = () => a;\n',
  "packages/core/src/c.ts": 'import type { D } from "./d.js";\nexport interface C { d: D }\n',
  "packages/core/src/d.ts": 'import type { C } from "./c.js";\nexport interface D { c: C }\n',
  "packages/core/src/up.ts": 'import float from "@fewbit/scheme-float";\nexport const up = float;\n',
  "packages/core/src/shared.ts":
    '// "Q4_X" in a comment\nexport const bits = (id: string) => (id === "Q4_X" ? 4 : 8);\n',
  "packages/core/dist/index.js": "export const kept = 1, added = 2; export const secret = 3;\n",
  "packages/core/dist/index.d.ts":
    '/** Kept. */\nexport declare const kept = 1;\nexport * from "./more.js";\nexport { hidden as secret, type Shape } from "./more.js";\n',
  "packages/core/dist/more.d.ts":
    "export declare const added = 2;\n/** Hidden. */\nexport declare const hidden: number;\n/**\n * A shape.\n */\nexport interface Shape {\n}\ndeclare const inner: number;\n",

  "packages/scheme-float/package.json": manifest("@fewbit/scheme-float", "packages/elsewhere", {
    dependencies: { "@fewbit/scheme-iq": "workspace:^", loose: "^1.0.0" },
    devDependencies: { "@fewbit/testing": "workspace:*" },
    license: "ISC",
  }),
  "packages/scheme-float/src/index.ts": [
    'import { a } from "../../core/src/a.js";',
    "import {",
    "  type Iq,",
    "  iq,",
    '} from "@fewbit/scheme-iq";',
    'import pad from "left-pad";',
    'import { readFileSync } from "node:fs";',
    "export default [a, iq, pad, readFileSync] as Iq;",
  ].join("\n"),
  "packages/scheme-float/test/contract.test.ts":
    'import { testScheme } from "@fewbit/testing";\ntestScheme;\n',
  "packages/scheme-float/dist/index.js": 'export default { schemes: [{ id: "Q4_X" }, { id: "F16" }] };\n',
  "packages/scheme-float/dist/index.d.ts": "declare const plugin: unknown;\nexport default plugin;\n",

  "packages/scheme-iq/package.json": manifest("@fewbit/scheme-iq", "packages/scheme-iq"),
  "packages/scheme-iq/README.md": "# iq\n",
  "packages/testing/package.json": manifest("@fewbit/testing", "packages/testing"),
  "packages/testing/README.md": "# testing\n",
  "packages/stray/package.json": manifest("@fewbit/stray", "packages/stray", { private: true }),
};

beforeAll(() => {
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text);
  }
  vi.stubEnv("FEWBIT_CHECK_ROOT", root);
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(root, { recursive: true, force: true });
});

test("floors", async () => {
  const { floors } = await import("../check/floors.js");
  expect(floors()).toEqual([
    "packages/core/src/up.ts imports @fewbit/scheme-float: floor 1 is above floor 0",
    "packages/core/src/up.ts imports @fewbit/scheme-float, which is neither a dependency nor a peer of @fewbit/core",
    "packages/scheme-float/package.json: dependencies has @fewbit/scheme-iq: both stand on floor 1",
    "packages/scheme-float/src/index.ts imports packages/core/src/a.ts: import the package by its name",
    "packages/scheme-float/src/index.ts imports @fewbit/scheme-iq: both stand on floor 1",
    "packages/scheme-float/src/index.ts imports left-pad, which is neither a dependency nor a peer of @fewbit/scheme-float",
    "@fewbit/stray has no floor: give it one in tooling/check/floors.ts",
  ]);
});

test("import cycles, but not of types", async () => {
  const { cycles } = await import("../check/cycles.js");
  expect(cycles()).toEqual(["packages/core/src/a.ts → packages/core/src/b.ts → packages/core/src/a.ts"]);
});

test("package.json", async () => {
  const { manifests } = await import("../check/manifests.js");
  expect(manifests()).toEqual([
    "packages/scheme-float: has no README.md",
    'packages/scheme-float: dependencies has loose as "^1.0.0": pin the version that was tested',
    'packages/scheme-float/package.json: license must be "MIT"',
    'packages/scheme-float/package.json: repository.directory must be "packages/scheme-float"',
    'packages/scheme-iq/package.json: exports "." has no dist/index.js: run pnpm build',
    'packages/scheme-iq/package.json: exports "." has no types: run pnpm build',
    'packages/testing/package.json: exports "." has no dist/index.js: run pnpm build',
    'packages/testing/package.json: exports "." has no types: run pnpm build',
    "package.json: the script gone runs tooling/gone.ts, which does not exist",
  ]);
});

test("scheme ids in shared code", async () => {
  const { schemeIds } = await import("../check/scheme-ids.js");
  expect(await schemeIds()).toEqual([
    'packages/core/src/shared.ts:2 says "Q4_X": let the scheme declare what this code needs to know',
  ]);
});

test("docstrings", async () => {
  const { docstrings } = await import("../check/docstrings.js");
  expect(docstrings()).toEqual(["packages/core/src/more.ts: added has no docstring"]);
});

test("public names", async () => {
  const { api } = await import("../check/api.js");
  expect(await api()).toEqual([
    "@fewbit/scheme-iq is not built: run pnpm build",
    "@fewbit/testing is not built: run pnpm build",
    "gone: @fewbit/core removed",
    "new: @fewbit/core added",
    "new: @fewbit/core secret",
    "new: @fewbit/core type Shape",
    "new: @fewbit/scheme-float default",
    "if this is meant, run: npx tsx tooling/check/main.ts --update",
  ]);
});
