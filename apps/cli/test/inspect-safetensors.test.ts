import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Draft } from "@fewbit/core";
import { shardNames, writeIndex, writer } from "@fewbit/format-safetensors";
import { describe, expect, test } from "vitest";
import { sharedFolder } from "../../../tooling/golden.js";
import { fewbit } from "./command-line.js";
import { temporaryFolder } from "./temporary.js";

const folder = temporaryFolder();
const inspect = (...args: string[]) => fewbit(["inspect", ...args], folder);

const tensor = (name: string, dtype: string, shape: number[], bytes: number, file = 0) => ({
  name,
  dtype,
  shape,
  file,
  parts: [{ name: "", dtype, shape, bytes, per: "row" as const }],
});
const draft: Draft = {
  metadata: [{ key: "format", type: "string", value: "pt" }],
  tensors: [
    tensor("model.embed_tokens.weight", "BF16", [64, 32], 4096),
    tensor("model.norm.weight", "F32", [32], 128, 1),
    tensor("experts.weight", "F4", [4, 32], 64, 1),
  ],
  files: 2,
};

/** Writes a draft as one file or as a checkpoint; the folder it lies in. */
function write(name: string, given: Draft): string {
  const home = join(folder, name);
  mkdirSync(home);
  const names = given.files === 1 ? ["model.safetensors"] : shardNames(given.files);
  for (const [i, { header, size }] of writer.layout(given).files.entries()) {
    const bytes = new Uint8Array(size);
    bytes.set(header);
    writeFileSync(join(home, names[i]!), bytes);
  }
  if (given.files > 1) writeFileSync(join(home, "model.safetensors.index.json"), writeIndex(given, names));
  return home;
}
const one: Draft = { ...draft, files: 1, tensors: draft.tensors.map((each) => ({ ...each, file: 0 })) };
write("single", one);
write("sharded", draft);

describe("for people", () => {
  test("a single file", async () => {
    const { status, stdout, stderr } = await inspect("single/model.safetensors");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(
      /^single\/model\.safetensors\nsafetensors, 3 tensors, 2\.21 k weights, 4\.29 kB, 15\.536 bits per weight\n/,
    );
    expect(stdout).toMatch(/^format +string +"pt"$/m);
    expect(stdout).toMatch(/^experts\.weight +\[4, 32\] +F4 +64 B +4\.000$/m);
    expect(stdout).toMatch(/^BF16 +1 +2\.05 k +4\.10 kB +16\.000$/m);
  });

  test("a checkpoint by its index or its folder", async () => {
    const byIndex = await inspect("sharded/model.safetensors.index.json");
    expect(byIndex).toMatchObject({ status: 0, stderr: "" });
    expect(byIndex.stdout).toMatch(/^sharded\/model-00001-of-00002\.safetensors\nsharded\/model-00002-of-0/);
    expect(byIndex.stdout).toMatch(/^model\.norm\.weight +\[32\] +F32 +128 B +32\.000 +2$/m);
    expect(await inspect("sharded")).toEqual(byIndex);
    expect(await inspect("sharded/")).toEqual(byIndex);
  });
});

test("--json", async () => {
  const document = JSON.parse((await inspect("sharded", "--json")).stdout);
  expect(document).toMatchObject({
    format: "safetensors",
    files: ["sharded/model-00001-of-00002.safetensors", "sharded/model-00002-of-00002.safetensors"],
    weights: 2208,
    bytes: 4288,
    metadata: [{ key: "format", type: "string", value: "pt" }],
    warnings: [],
  });
  expect(document.tensors.map(({ name, file }: { name: string; file: number }) => [name, file])).toEqual([
    ["model.embed_tokens.weight", 0],
    ["model.norm.weight", 1],
    ["experts.weight", 1],
  ]);
});

test("a folder without a model, and what is wrong with one", async () => {
  mkdirSync(join(folder, "empty"));
  expect(await inspect("empty")).toMatchObject({
    status: 4,
    stderr:
      "error[E_IO] empty: it is a folder without model.safetensors.index.json or model.safetensors. Give the path of a model file.\n",
  });
  writeFileSync(join(folder, "page.safetensors"), "<!DOCTYPE html><title>404</title>");
  expect(await inspect("page.safetensors")).toMatchObject({
    status: 3,
    stderr: expect.stringMatching(
      /^error\[E_ST_HEADER_LENGTH\] page\.safetensors: .*an HTML page.*, at byte 0/,
    ),
  });
});

test("an index cannot lead out of its folder", async () => {
  const home = join(folder, "escape");
  mkdirSync(home);
  const index = (file: string) =>
    writeFileSync(join(home, "model.safetensors.index.json"), JSON.stringify({ weight_map: { a: file } }));
  index("../single/model.safetensors");
  expect(await inspect("escape")).toMatchObject({
    status: 3,
    stderr: expect.stringMatching(
      /^error\[E_INDEX_PATH\] escape\/model\.safetensors\.index\.json: .*"\.\.\/single\/model\.safetensors".*, at byte 20 /,
    ),
  });
  index("s1.safetensors");
  symlinkSync("../single/model.safetensors", join(home, "s1.safetensors"));
  expect(await inspect("escape")).toMatchObject({
    status: 3,
    stderr: expect.stringMatching(
      /^error\[E_LINK\] escape\/s1\.safetensors: .*leads out of the model's folder/,
    ),
  });
});

test("quantizing one without its settings says what is missing, and leaves nothing", async () => {
  for (const model of ["single", "single/model.safetensors", "sharded/model.safetensors.index.json"])
    for (const more of [[], ["--dry-run"], ["--type=COPY"]]) {
      const ended = await fewbit(["quantize", model, "out.gguf", "--type=Q8_0", ...more], folder);
      expect(ended.status).toBe(3);
      expect(ended.stdout).toBe("");
      expect(ended.stderr).toMatch(
        /^error\[E_CHECKPOINT\] \S*config\.json: The checkpoint has no config\.json\. Download all files of the model/,
      );
    }
  expect(existsSync(join(folder, "out.gguf"))).toBe(false);
  expect(readdirSync(join(folder, "single"))).toEqual(["model.safetensors"]);
});

test("a configuration in the checkpoint's own folder is not run", async () => {
  const home = write("configured", one);
  writeFileSync(join(home, "fewbit.config.mjs"), 'throw new Error("this code came with a download");');
  const ended = await fewbit(["inspect", "."], home);
  expect(ended.status).toBe(0);
  expect(ended.stderr).toMatch(/^note: fewbit\.config\.mjs lies beside the model and was not loaded/);
});

const samples = sharedFolder === undefined ? undefined : join(sharedFolder, "models");
const there = samples !== undefined && existsSync(join(samples, "TinyStories-656K"));
test.skipIf(!there)(
  `checkpoints of transformers${there ? "" : " (skipped: no ../shared/models)"}`,
  async () => {
    const documents = await Promise.all(
      ["TinyStories-656K", "TinyStories-656K-sharded"].map(async (name) =>
        JSON.parse((await inspect(join(samples!, name), "--json")).stdout),
      ),
    );
    const [single, sharded] = documents.map((document) => ({
      ...document,
      files: document.files.length,
      tensors: document.tensors.map((each: Record<string, unknown>) => [each.name, each.shape, each.dtype]),
    }));
    expect(single).toMatchObject({ format: "safetensors", weights: 656_000, files: 1 });
    expect(sharded).toEqual({ ...single, files: 3 });
  },
);
