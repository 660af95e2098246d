import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeEach, describe, expect, test } from "vitest";
import { fewbit, runHere } from "./command-line.js";
import { bfloat16, float32, weights, writeGguf } from "./model.js";
import { temporaryFolder } from "./temporary.js";

const stories = fileURLToPath(new URL("../../../tooling/fixture/stories.gguf", import.meta.url));
const root = temporaryFolder();
process.chdir(root);
let folder = root;
let count = 0;
beforeEach(() => {
  folder = join(root, String(count++));
  mkdirSync(folder);
  process.chdir(folder);
});

const run = (...args: string[]) => runHere(args, folder);
const bytesOf = (file: string): Buffer => readFileSync(join(folder, file));
const sha256 = (file: string): string => createHash("sha256").update(bytesOf(file)).digest("hex");
const files = (): string[] => readdirSync(folder).sort();

// What llama-gguf-split of llama.cpp v0.5.0 made of the fixture.
const theirs: readonly (readonly [readonly string[], readonly string[]])[] = [
  [
    ["--split-max-size", "2M"],
    [
      "ff714c48c47ac1ebe74c360af97730adb6c3cb0a1bc14b3792e6b899a4ac7661",
      "6fed70e4206ad230141b2f56992d711759c38292f386042fed3ec3e64762f812",
      "cce9da604021d6552b4b59abdabb71563c861ce4a5fd552248d8773101b9c33f",
      "cd0f259043c77be79ec0cce3f167c63db4d87495f1b7286a2b3e9bd4cb8759d5",
    ],
  ],
  [
    ["--split-max-tensors", "20"],
    [
      "06ef08a84bfe21e8d130d92ea90d22b11f4829cea07488ff227b909dbf4d562b",
      "b5e9600cf1ec448d0dc9683c7994f0ed85cbd23b11c57af246c3b836b0d0f6a4",
    ],
  ],
  [
    ["--no-tensor-first-split", "--split-max-size", "3M"],
    [
      "79767adb64897435b92dfcfa7885000edf8302b113c21bb8d1c62053b685ee2b",
      "646f2c90024fd0f002253b20f1213b3b3506091a5fcf4de73858e11f3031f193",
      "0209869130534c2c40d7e1354a2b6402193bf7da7f13e8d2e06c94136f715c3a",
      "cd0f259043c77be79ec0cce3f167c63db4d87495f1b7286a2b3e9bd4cb8759d5",
    ],
  ],
];

test.each(["", "./", "..", "parts/"])("an output called %j has no name", async (name) => {
  for (const dry of [[], ["--dry-run"]])
    expect(await run("split", stories, "--split-max-tensors", "20", "-o", name, ...dry)).toMatchObject({
      status: 2,
      stderr: `error[E_USAGE] "${name}" is not the name of a file. Give the output a name, in a folder that is there.\n`,
    });
  expect(files()).toEqual([]);
});

test.each(theirs)(
  "split %j writes llama-gguf-split's bytes, and merge the model again",
  async (how, hashes) => {
    const split = await run("split", stories, "-o", "parts", ...how);
    expect(split).toMatchObject({ status: 0, stderr: "" });
    expect(files().map(sha256)).toEqual(hashes);
    const first = `parts-00001-of-0000${hashes.length}.gguf`;
    expect(split.stdout).toMatch(new RegExp(`${first} +\\d+ +[\\d.]+ [kM]B\\n`));
    expect(split.stdout).toContain(`${hashes.length} files, 38 tensors, 7.54 MB in `);

    expect(await run("merge", first)).toMatchObject({ status: 0, stderr: "" });
    expect(bytesOf("parts.gguf").equals(readFileSync(stories))).toBe(true);
  },
);

test("quantize splits as quantize and then split", async () => {
  await run("quantize", stories, "whole.gguf", "--type", "Q4_K_M");
  for (const [i, how] of [
    ["--split-max-size", "1M"],
    ["--split-max-tensors", "9", "--no-tensor-first-split"],
  ].entries()) {
    await run("split", "whole.gguf", "-o", `two-${i}`, ...how);
    expect(await run("quantize", stories, `one-${i}.gguf`, "--type", "Q4_K_M", ...how)).toMatchObject({
      status: 0,
      stderr: "",
    });
    const one = files().filter((file) => file.startsWith(`one-${i}-`));
    expect(one.length).toBeGreaterThan(2);
    for (const file of one) expect(sha256(file)).toBe(sha256(file.replace("one", "two")));
  }
});

test("quantize leaves an output whole that is within the limit", async () => {
  await run("quantize", stories, "whole.gguf", "--type", "Q8_0");
  await run("quantize", stories, "limit.gguf", "--type", "Q8_0", "--split-max-size", "1G");
  expect(files()).toEqual(["limit.gguf", "whole.gguf"]);
  expect(sha256("limit.gguf")).toBe(sha256("whole.gguf"));
});

test("split files are split anew, and called after the model", async () => {
  cpSync(stories, join(folder, "m.gguf"));
  await run("split", "m.gguf", "--split-max-tensors", "20");
  mkdirSync(join(folder, "again"));
  await run("split", "m-00001-of-00002.gguf", "-o", "again/m", "--split-max-tensors", "10");
  await run("split", "m.gguf", "--split-max-tensors", "10");
  for (const file of readdirSync(join(folder, "again"))) expect(sha256(`again/${file}`)).toBe(sha256(file));
  expect(readdirSync(join(folder, "again"))).toHaveLength(4);
});

test("weights that are no numbers are carried over, as is what no plugin decodes", async () => {
  const broken = weights(64, 1);
  broken[3] = Number.NaN;
  broken[9] = Number.NEGATIVE_INFINITY;
  writeGguf(
    join(folder, "m.gguf"),
    [{ key: "general.alignment", type: "u32", value: 64 }],
    [
      { name: "a", shape: [64], bytes: float32(broken) },
      { name: "b", shape: [2, 16], dtype: "BF16", bytes: bfloat16(weights(32, 2)) },
    ],
  );
  expect(await run("split", "m.gguf", "--split-max-tensors", "1")).toMatchObject({ status: 0, stderr: "" });
  await run("merge", "m-00001-of-00002.gguf", "-o", "again.gguf");
  expect(sha256("again.gguf")).toBe(sha256("m.gguf"));
});

test("--dry-run says what would be written, and writes nothing", async () => {
  const { status, stdout } = await run("split", stories, "-o", "p", "--split-max-size", "2M", "--dry-run");
  expect(status).toBe(0);
  expect(stdout).toContain(
    "p-00004-of-00004.gguf        9  1.58 MB\n4 files, 38 tensors, 7.54 MB would be written\n",
  );
  const json = await run("split", stories, "-o", "p", "--split-max-size", "2M", "--dry-run", "--json");
  const document = JSON.parse(json.stdout);
  expect(document.output).toHaveLength(4);
  expect(document.plan.files.reduce((a: number, b: number) => a + b)).toBe(7538656);
  expect(files()).toEqual([]);
});

test("--json tells the files", async () => {
  const split = await run("split", stories, "-o", "p", "--split-max-tensors", "30", "--json");
  expect(JSON.parse(split.stdout)).toMatchObject({
    output: [1, 2].map((n) => join(folder, `p-0000${n}-of-00002.gguf`)),
    files: [{ tensors: 30 }, { tensors: 8 }],
  });
  const merge = await run("merge", "p-00001-of-00002.gguf", "--json");
  expect(JSON.parse(merge.stdout)).toMatchObject({ output: [join(folder, "p.gguf")], bytes: 7538240 });
});

describe("says no", () => {
  beforeEach(async () => {
    cpSync(stories, join(folder, "m.gguf"));
    await run("split", "m.gguf", "--split-max-tensors", "20");
  });

  test.each<[string, string[], string, number]>([
    [
      "to a split that is nowhere",
      ["split", "m.gguf"],
      "error[E_USAGE] Nothing says where to split the model. Add --split-max-size, such as 4G, or --split-max-tensors.\n",
      2,
    ],
    [
      "to sizes in other units",
      ["split", "m.gguf", "--split-max-size", "4GiB"],
      'error[E_USAGE] "4GiB" is no size of a file. Write a whole number and M (1000000 bytes) or G (1000000000 bytes), such as 4G.\n',
      2,
    ],
    [
      "to no tensors",
      ["split", "m.gguf", "--split-max-tensors", "0"],
      'error[E_USAGE] --split-max-tensors cannot be "0". Write a whole number from 1.\n',
      2,
    ],
    [
      "to a model that needs no split",
      ["split", "m.gguf", "--split-max-size", "1G"],
      "error[E_USAGE] m.gguf: The model fits into one file of 7.54 MB: there is nothing to split. Allow fewer bytes or tensors in each file.\n",
      2,
    ],
    [
      "to merging one file",
      ["merge", "m.gguf"],
      "error[E_USAGE] m.gguf: The model is one file already: there is nothing to merge. Give the first file of a split model, …-00001-of-0000N.gguf.\n",
      2,
    ],
    [
      "to merging from the middle",
      ["merge", "m-00002-of-00002.gguf"],
      "error[E_SPLIT_MISMATCH] m-00002-of-00002.gguf: The file is shard 2 of 2 (split.no). Open the first shard: m-00001-of-00002.gguf.\n",
      3,
    ],
    [
      "to replacing what is there",
      ["merge", "m-00001-of-00002.gguf"],
      "error[E_OUTPUT_EXISTS] FOLDER/m.gguf: the output exists already. Pass --force to replace it, or give another name.\n",
      2,
    ],
    [
      "to writing over the input",
      ["split", "m-00001-of-00002.gguf", "--split-max-tensors", "20", "--force"],
      "error[E_OUTPUT_IS_INPUT] FOLDER/m-00001-of-00002.gguf: the output is the input m-00001-of-00002.gguf. Give the output another name.\n",
      2,
    ],
    [
      "to two ways of splitting",
      ["quantize", "m.gguf", "--type=Q8_0", "--keep-split", "--split-max-size=1M"],
      "error[E_USAGE] Option '--keep-split' cannot be used with option '--split-max-size <size>'. Run \"fewbit --help\" to see what there is.\n",
      2,
    ],
    [
      "to how without where",
      ["quantize", "m.gguf", "--type=Q8_0", "--no-tensor-first-split"],
      "error[E_USAGE] --no-tensor-first-split says how to split, and not where. Add --split-max-size or --split-max-tensors.\n",
      2,
    ],
  ])("%s", async (_, args, message, status) => {
    const before = files();
    const ended = await run(...args);
    expect(ended.stderr.replaceAll(folder, "FOLDER")).toBe(message);
    expect(ended.status).toBe(status);
    expect(files()).toEqual(before);
  });

  test("to a model that misses a file", async () => {
    rmSync(join(folder, "m-00002-of-00002.gguf"));
    const { status, stderr } = await run("merge", "m-00001-of-00002.gguf", "-o", "x.gguf");
    expect(status).toBe(3);
    expect(stderr).toContain("error[E_SPLIT_MISSING] ");
    expect(files()).toEqual(["m-00001-of-00002.gguf", "m.gguf"]);
  });

  test("to other formats", async () => {
    const st = fileURLToPath(new URL("../../../package.json", import.meta.url));
    expect((await run("split", st, "--split-max-size=1M")).stderr).toContain(`error[E_FORMAT_UNKNOWN] ${st}`);
    expect(basename(st)).toBe("package.json");
  });
});

test("--help shows how", async () => {
  for (const command of ["split", "merge"]) {
    const { status, stdout } = await fewbit([command, "--help"], folder);
    expect(status).toBe(0);
    expect(stdout).toContain(`  $ fewbit ${command} `);
  }
});
