import { copyFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { memorySource } from "@fewbit/core";
import { openFile } from "@fewbit/core/node";
import { readCollection, readImportance, type StoredCollection, writeImportance } from "@fewbit/format-gguf";
import { scan } from "@fewbit/format-safetensors";
import { afterAll, describe, expect, test } from "vitest";
import { type LlamaFtype, oracleFolder, oracleQuantizeFile } from "../../../tooling/oracle-file.js";
import { fewbit, runHere, start } from "./command-line.js";
import { temporaryFolder } from "./temporary.js";

const folder = temporaryFolder();
// Files are named in messages as they were given.
const before = process.cwd();
process.chdir(folder);
afterAll(() => process.chdir(before));
const at = (name: string): string => join(folder, name);
const repository = (path: string): string => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
copyFileSync(repository("tooling/fixture/stories.gguf"), at("stories.gguf"));
const story = readFileSync(repository("packages/calibrate/test/story.txt"), "utf8");
writeFileSync(at("story.txt"), story);
writeFileSync(at("half.txt"), story.slice(0, story.length / 2));
writeFileSync(at("short.txt"), "Once upon a time.\n");
writeFileSync(at("empty.txt"), "\n");
writeFileSync(at("latin.txt"), Buffer.from([0x68, 0xe9, 0x6c]));

if (oracleFolder === undefined)
  console.warn("Skipped: there is no build of llama.cpp for this machine, so nothing can be collected.");

/** One thread: more of them stall on a busy machine. */
const calibrate = (...args: string[]) =>
  fewbit(["calibrate", "stories.gguf", "--threads", "1", ...args], folder);

async function read(name: string): Promise<StoredCollection> {
  const source = await openFile(at(name));
  return readCollection(source).finally(() => source.close());
}

async function fails(status: number, ...args: string[]): Promise<string> {
  const ended = await runHere(["calibrate", ...args], folder);
  expect(ended).toMatchObject({ status, stdout: "" });
  return ended.stderr;
}

describe.skipIf(oracleFolder === undefined)("fewbit calibrate", () => {
  test("writes a matrix that llama.cpp quantizes with, to the same bytes", async () => {
    const { status, stdout } = await calibrate("--data", "story.txt", "-c", "64");
    expect(status).toBe(0);
    expect(stdout).toMatch(
      /^stories\.imatrix\.gguf: 28 tensors, 6 chunks of 64 tokens, 4\d\.\d\d kB; perplexity \d+\.\d{4}; [\d.]+ s\n$/,
    );
    const found = await read("stories.imatrix.gguf");
    expect(found).toMatchObject({ chunks: 6, chunkSize: 64, datasets: ["story.txt"], warnings: [] });
    expect(existsSync(at("stories.imatrix.gguf.partial"))).toBe(false);
    expect(existsSync(at("stories.imatrix.gguf.lock"))).toBe(false);

    const bytes = new Uint8Array(readFileSync(at("stories.imatrix.gguf")));
    const matrix = await readImportance(memorySource(bytes, "m"));
    for (const type of ["IQ2_XXS", "Q4_K_M"] satisfies LlamaFtype[]) {
      const args = ["quantize", "stories.gguf", `${type}.gguf`, "--type", type];
      expect((await runHere([...args, "--imatrix", "stories.imatrix.gguf"], folder)).status).toBe(0);
      const { ok, log } = await oracleQuantizeFile(at("stories.gguf"), at(`${type}-oracle.gguf`), type, {
        importance: matrix.tensors,
        threads: 1,
        keyValues: [
          { key: "quantize.imatrix.file", string: "stories.imatrix.gguf" },
          { key: "quantize.imatrix.dataset", string: "story.txt" },
          { key: "quantize.imatrix.entries_count", int: 28 },
          { key: "quantize.imatrix.chunks_count", int: 6 },
        ],
      });
      expect(ok, log).toBe(true);
      expect(readFileSync(at(`${type}.gguf`)).equals(readFileSync(at(`${type}-oracle.gguf`)))).toBe(true);
    }
  });

  test("reads several texts one after another, and says all as --json", async () => {
    const { status, stdout } = await calibrate(
      ...["-c", "32", "--chunks", "5", "-o", "two.gguf", "--json", "--data", "half.txt", "story.txt"],
    );
    expect(status).toBe(0);
    const document = JSON.parse(stdout) as Record<string, unknown>;
    expect(document).toMatchObject({
      model: "stories.gguf",
      description: expect.stringContaining("llama"),
      engine: expect.stringMatching(/^llama\.cpp v0\.5\.0/),
      output: "two.gguf",
      bytes: readFileSync(at("two.gguf")).length,
      datasets: ["half.txt", "story.txt"],
      contextSize: 32,
      chunks: 5,
      resumedAt: 0,
      perplexity: expect.any(Number),
      tensors: 28,
      warnings: [],
    });
    expect(document.tokens).toBeGreaterThan(600);
  });

  test("reads a text of its own where there is none", async () => {
    const { status } = await calibrate("-c", "16", "--chunks", "2", "-o", "own.gguf", "--no-perplexity");
    expect(status).toBe(0);
    expect(await read("own.gguf")).toMatchObject({ chunks: 2, datasets: ["fewbit default text 1"] });
  });

  test("writes the older form", async () => {
    const options = ["-d", "story.txt", "-c", "64", "--from-chunk", "2"];
    expect((await calibrate(...options, "--legacy")).status).toBe(0);
    expect((await calibrate(...options, "-o", "modern.gguf")).status).toBe(0);
    const [older, newer] = [await read("stories.imatrix.dat"), await read("modern.gguf")];
    expect(older).toMatchObject({ legacy: true, chunks: 4, datasets: ["story.txt"] });
    for (const [name, { sums, counts }] of older.entries) {
      expect([...counts]).toEqual([4]);
      const exact = newer.entries.get(name)!;
      sums.forEach((sum, i) => {
        expect(Math.abs(sum * 64 - exact.sums[i]!)).toBeLessThanOrEqual(1e-6 * exact.sums[i]!);
      });
    }
  });

  test("writes ranges and second moments", async () => {
    const { status, stdout } = await calibrate(
      ...["-d", "story.txt", "-c", "64", "--chunks", "2", "-o", "more.gguf"],
      ...["--ranges", "ranges.json", "--moments", "blk\\.1\\.(attn_k|ffn_down)"],
    );
    expect(status).toBe(0);
    expect(stdout).toMatch(/^ranges of 28 tensors: ranges\.json\nsecond moments of 2 tensors: stories\.moments\.safetensors$/m);

    const { entries } = await read("more.gguf");
    const ranges = JSON.parse(readFileSync(at("ranges.json"), "utf8")) as {
      chunks: number;
      tensors: { tensor: string; minMax: { min: number; max: number }; histogram: { counts: number[]; width: number; from: number } }[];
    };
    expect(ranges).toMatchObject({ version: 1, datasets: ["story.txt"], contextSize: 64, chunks: 2 });
    expect(ranges.tensors.map(({ tensor }) => tensor).sort()).toEqual([...entries.keys()].sort());
    for (const { tensor, minMax, histogram } of ranges.tensors) {
      const columns = entries.get(tensor)!.sums.length;
      expect(histogram.counts.reduce((a, b) => a + b, 0)).toBe(128 * columns);
      expect(histogram.from).toBeLessThanOrEqual(minMax.min);
      expect(histogram.from + histogram.width * histogram.counts.length).toBeGreaterThan(minMax.max);
    }

    const source = await openFile(at("stories.moments.safetensors"));
    const { tensors } = await scan(source);
    expect(tensors.map(({ name, shape }) => [name, ...shape])).toEqual([
      ["blk.1.attn_k.weight", 256, 256],
      ["blk.1.ffn_down.weight", 768, 768],
    ]);
    for (const { name, shape, offset, bytes } of tensors) {
      const buffer = new Uint8Array(bytes);
      await source.read(offset, buffer);
      const moments = new Float32Array(buffer.buffer);
      const { sums } = entries.get(name)!;
      // The diagonal is what the importance matrix holds.
      for (let i = 0; i < shape[0]!; i++)
        expect(Math.abs(moments[i * shape[0]! + i]! - sums[i]!)).toBeLessThanOrEqual(1e-5 * sums[i]!);
    }
    await source.close();
  }); // biome-ignore format: types are long

  test.skipIf(process.platform === "win32")("goes on where it was killed, to the same file", { timeout: 120_000 }, async () => {
    const options = ["-d", "long.txt", "-c", "64", "--batch", "64", "--save-every", "2"];
    writeFileSync(at("long.txt"), story.repeat(5));
    expect((await calibrate(...options, "-o", "whole.gguf")).status).toBe(0);

    const { child, ended } = start(["calibrate", "stories.gguf", "-t", "1", ...options, "-o", "cut.gguf"], folder);
    while (!existsSync(at("cut.gguf.partial"))) await new Promise((resolve) => setTimeout(resolve, 5));
    child.kill("SIGKILL");
    await ended.catch(() => {});
    expect(existsSync(at("cut.gguf"))).toBe(false);
    const left = await read("cut.gguf.partial");
    expect(left.chunks).toBeGreaterThanOrEqual(2);

    const again = await calibrate(...options, "-o", "cut.gguf");
    expect(again).toMatchObject({ status: 2 });
    expect(again.stderr).toMatch(
      /^error\[E_OUTPUT_EXISTS\] cut\.gguf\.partial: an interrupted run has left what it collected\. Pass --resume to go on from it, or --force to start anew\.$/m,
    );
    const other = await calibrate("-d", "story.txt", "-c", "64", "-o", "cut.gguf", "--resume");
    expect(other.status).toBe(2);
    expect(other.stderr).toMatch(/^error\[E_USAGE\] cut\.gguf\.partial: The importance matrix was begun with another text\./m);

    const { status, stdout, stderr } = await calibrate(...options, "-o", "cut.gguf", "--resume");
    expect(stderr).toContain(`going on from ${left.chunks} chunks in cut.gguf.partial\n`);
    expect(status).toBe(0);
    expect(stdout).toContain(`(${left.chunks} of them before)`);
    expect(readFileSync(at("cut.gguf")).equals(readFileSync(at("whole.gguf")))).toBe(true);
    expect(existsSync(at("cut.gguf.partial"))).toBe(false);
    expect(existsSync(at("cut.gguf.lock"))).toBe(false);
  }); // biome-ignore format: one step a line

  test.skipIf(process.platform === "win32").each([
    ["i.gguf", [], ""],
    ["r.gguf", ["--ranges", "r.json"], ", with the importance matrix only"],
  ])("says what an interrupted run has saved: %s %j", async (output, more, limit) => {
    const options = ["-t", "1", "-c", "16", "--batch", "16", "--save-every", "1", "-o", output, ...more];
    const { child, ended } = start(["calibrate", "stories.gguf", ...options], folder);
    while (!existsSync(at(`${output}.partial`))) await new Promise((resolve) => setTimeout(resolve, 5));
    child.kill("SIGINT");
    const { status, stderr } = await ended;
    expect(status).toBe(130);
    expect(stderr.replace(/^\d+/m, "N")).toContain(
      `N chunks are saved in ${output}.partial: --resume goes on from there${limit}\nerror[E_ABORTED]`,
    );
    expect(existsSync(at(`${output}.lock`))).toBe(false);
  });

  test("warns of a model that is quantized", async () => {
    expect((await runHere(["quantize", "stories.gguf", "q8.gguf", "--type", "Q8_0"], folder)).status).toBe(0);
    const { status, stderr } = await fewbit(
      ["calibrate", "q8.gguf", "-t", "1", "-d", "story.txt", "-c", "64", "--chunks", "1", "-o", "q8.imatrix"],
      folder,
    );
    expect(status).toBe(0);
    expect(stderr).toMatch(/^warning: The model is quantized already \(llama .*Q8_0\): activations of the original are better\.$/m);
  }); // biome-ignore format: one step a line

  test("refuses texts that are no use", async () => {
    expect(await fails(3, "stories.gguf", "-o", "no.gguf", "-t", "1", "-d", "short.txt")).toMatch(
      /^error\[E_TEXT\] short\.txt: The text has \d tokens; one chunk needs 512\. Give a longer text\.$/m,
    );
    expect(await fails(3, "stories.gguf", "-o", "no.gguf", "-d", "empty.txt")).toMatch(/^error\[E_TEXT\] empty\.txt: The text is empty/);
    expect(await fails(3, "stories.gguf", "-o", "no.gguf", "-d", "latin.txt")).toMatch(
      /^error\[E_TEXT\] latin\.txt: The text is not UTF-8, at byte 2\./,
    );
    expect(await fails(4, "stories.gguf", "-o", "no.gguf", "-d", "nowhere.txt")).toMatch(/^error\[E_IO\] nowhere\.txt: /);
  }); // biome-ignore format: one step a line
});

describe("importance matrices that are there", () => {
  const collection = (name: string, value: number, columns = 2) => {
    writeFileSync(
      at(name),
      writeImportance({
        entries: new Map([
          [
            "blk.0.ffn_up.weight",
            { sums: new Float32Array(columns).fill(value), counts: Float32Array.of(512) },
          ],
        ]),
        datasets: [`${name}.txt`],
        chunks: 1,
        chunkSize: 512,
      }),
    );
    return name;
  };

  test("are added", async () => {
    const [a, b] = [collection("a.gguf", 512), collection("b.gguf", 1024)];
    const { status, stdout } = await runHere(["calibrate", "-o", "ab.gguf", "--merge", a, b], folder);
    expect(status).toBe(0);
    expect(stdout).toBe("ab.gguf: 1 tensors of 2 files, 2 chunks of 512 tokens, 416 B\n");
    const merged = await read("ab.gguf");
    expect(merged).toMatchObject({ chunks: 2, chunkSize: 512, datasets: ["a.gguf.txt", "b.gguf.txt"] });
    expect(merged.entries.get("blk.0.ffn_up.weight")).toEqual({
      sums: Float32Array.of(1536, 1536),
      counts: Float32Array.of(1024),
    });
    const document = await runHere(["calibrate", "--merge", a, "-o", "a.dat", "--legacy", "--json"], folder);
    expect(JSON.parse(document.stdout)).toMatchObject({ merged: [a], chunks: 1, contextSize: 512, tensors: 1 });
    expect(await read("a.dat")).toMatchObject({ legacy: true, chunks: 1 });
    expect(await fails(2, "--merge", a, b, "-o", "ab.gguf")).toMatch(/^error\[E_OUTPUT_EXISTS\] ab\.gguf: /);
    expect(await fails(2, "--merge", a, b, "-o", "a.gguf", "--force")).toMatch(/^error\[E_OUTPUT_IS_INPUT\] a\.gguf: /);
    expect(await fails(2, "--merge", a, b)).toMatch(/^error\[E_USAGE\] There is no name for the merged matrix/);
    collection("wide.gguf", 1, 3);
    expect(await fails(3, "--merge", a, "wide.gguf", "-o", "no.gguf")).toMatch(
      /^error\[E_IMATRIX_SHAPE\] wide\.gguf: The entry blk\.0\.ffn_up\.weight has 3 values here and 2 in the files before\. Only/,
    );
  }); // biome-ignore format: one step a line

  test("are looked at", async () => {
    collection("look.gguf", 1024);
    const { status, stdout } = await runHere(["calibrate", "--statistics", "look.gguf"], folder);
    expect(status).toBe(0);
    const [titles, row, , layers, layer] = stdout.split("\n").map((line) => line.trim().split(/ {2,}/));
    expect(titles).toEqual(
      ["LAYER", "TENSOR", "Σ(ACT²)", "MIN", "MAX", "μ", "σ", "% ACTIVE", "N", "ENTROPY", "E (NORM)", "ZD", "COSSIM"],
    );
    expect(row).toEqual(
      ["0", "ffn_up", "4.00", "2.0000", "2.0000", "2.00", "0.00", "100.00%", "2", "1.0000", "100.00%", "0.00%", "0.0000"],
    );
    expect(layers).toEqual(["LAYER", "μΣ(ACT²)", "μZD", "μCOSSIM"]);
    expect(layer).toEqual(["0", "4.00", "0.0000%", "0.0000"]);
    const json = await runHere(["calibrate", "--statistics", "look.gguf", "--json"], folder);
    expect(JSON.parse(json.stdout)).toMatchObject({
      file: "look.gguf",
      chunks: 1,
      tensors: [{ tensor: "blk.0.ffn_up.weight", layer: 0, sum: 4, mean: 2 }],
      layers: [{ layer: 0, sum: 4 }],
    });
    expect(await fails(3, "--statistics", "stories.gguf")).toMatch(
      /^error\[E_IMATRIX_FORMAT\] stories\.gguf: The file is GGUF, but holds no importance matrix/,
    );
  }); // biome-ignore format: tables

  test("are not replaced unless it is asked for", async () => {
    collection("there.gguf", 1);
    expect(await fails(2, "stories.gguf", "-o", "there.gguf")).toMatch(
      /^error\[E_OUTPUT_EXISTS\] there\.gguf: the output exists already\. Pass --force/,
    );
    expect(await fails(2, "stories.gguf", "-o", "stories.gguf", "--force")).toMatch(
      /^error\[E_OUTPUT_IS_INPUT\] stories\.gguf: the output is the input stories\.gguf\./,
    );
    expect(await fails(4, "stories.gguf", "-o", "nowhere/x.gguf")).toMatch(
      /^error\[E_IO\] nowhere\/x\.gguf: /,
    );
  });

  test("need what they are not given", async () => {
    expect(await fails(2)).toMatch(/^error\[E_USAGE\] No model is given\. Give it first: fewbit calibrate model\.gguf/);
    expect(await fails(2, "stories.gguf", "--chunks", "none")).toMatch(/--chunks cannot be "none"/);
    expect(await fails(2, "stories.gguf", "--resume", "--ranges", "r")).toMatch(
      /Only the importance matrix is saved on the way: ranges and second moments cannot be resumed\./,
    );
    expect(await fails(2, "stories.gguf", "--moments", "(")).toMatch(/"\(" is no regular expression/);
    expect(await fails(2, "stories.gguf", "-o", "same", "--ranges", "./same")).toMatch(
      /^error\[E_USAGE\] \.\/same would be written twice: with the importance matrix and with ranges\. Give each a name of its own\.$/m,
    );
    expect(await fails(2, "stories.gguf", "--moments-output", "m")).toMatch(/no --moments\. Say which tensors/);
    expect(await fails(2, "--statistics", "a", "--merge", "b")).toMatch(/--merge and --statistics cannot be given together/);
    expect(await fails(2, "stories.gguf", "--statistics", "a")).toMatch(/With --statistics nothing is collected, and a model was given/);
    expect(await fails(3, "story.txt")).toMatch(/^error\[E_FORMAT_UNKNOWN\] story\.txt/);
  }); // biome-ignore format: one case a line
});
