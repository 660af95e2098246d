// The parts of the benchmark whose mistakes would not show in its tables.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test, vi } from "vitest";
import { copyFile } from "../bench/files.js";
import { shapeOfSize, smallShape, writeModel } from "../bench/model.js";
import { describeMachine, toMarkdown } from "../bench/report.js";
import { compare, median } from "../bench/timing.js";
import { oracleFolder, oracleQuantizeFile } from "../oracle-file.js";

test("pnpm bench --help explains every option and measures nothing", () => {
  const main = fileURLToPath(new URL("../bench/main.ts", import.meta.url));
  const { status, stdout } = spawnSync(process.execPath, ["--import", "tsx", main, "--help"], {
    encoding: "utf8",
  });
  expect(status).toBe(0);
  expect(stdout).toMatch(/^pnpm bench: /);
  const explained = stdout.match(/^ {2}--\w+/gm)?.map((flag) => flag.trim().slice(2));
  const options = /options: \{(.*?)\n {2}\}/s.exec(readFileSync(main, "utf8"))![1]!;
  expect(explained).toEqual(options.match(/^ {4}\w+/gm)?.map((name) => name.trim()));
  expect(stdout).not.toContain("load average");
});

test("the median is the middle, or the mean of both", () => {
  expect(median([9, 1, 5])).toBe(5);
  expect(median([9, 1, 5, 6])).toBe(5.5);
});

test("ours warms up first; then both take turns at going first, and only the slices are timed", () => {
  let now = 0;
  const clock = vi.spyOn(performance, "now").mockImplementation(() => now);
  const calls: string[] = [];
  const side = (name: string, milliseconds: number) => ({
    prepare: () => {
      now += 1000;
    },
    run: (i: number) => {
      calls.push(name);
      now += i === 10 ? milliseconds / 2 : milliseconds;
    },
  });
  const result = compare(20, side("theirs", 40), side("ours", 10));
  clock.mockRestore();
  expect(result).toEqual({ theirs: 20, ours: 5, best: 4, median: 4 });
  const measured = calls.slice(-2 * 20);
  expect(measured.slice(0, 4)).toEqual(["ours", "theirs", "theirs", "ours"]);
  expect(measured.filter((name) => name === "ours")).toHaveLength(20);
  const warm = calls.slice(0, -2 * 20);
  expect(warm.at(0)).toBe("ours");
  expect(warm.slice(-3)).toEqual(["theirs", "theirs", "theirs"]);
});

test("the table says what was measured", () => {
  const run = { seconds: 2, peak: 5e8 };
  const text = toMarkdown({
    machine: describeMachine(["--quick"], 0.5),
    kernels: [
      {
        scheme: "Q8_0",
        operation: "encode",
        weights: 1e6,
        theirs: 10,
        ours: 2,
        best: 5,
        median: 4.5,
        same: true,
      },
    ],
    files: [
      {
        source: "random BF16 weights",
        size: 3e8,
        copy: 0.25,
        results: [
          {
            recipe: "F16",
            threads: 2,
            theirs: run,
            ours: { seconds: 1, peak: 1e8 },
            best: 2,
            median: 2,
            same: false,
          },
        ],
      },
    ],
  });
  expect(text).toContain("`pnpm bench --quick`");
  expect(text).toContain("| Q8_0 | encode | 100 | 500 | 5.0× | 4.5× | same |");
  expect(text).toContain("made durable, takes 0.25 s.");
  expect(text).toContain("| F16 | 2 | 2.00 s | 1.00 s | 2.0× | 2.0× | 500 MB → 100 MB | DIFFERENT |");
});

const reason = oracleFolder ? "" : " (skipped: no prebuilt llama.cpp for this platform)";
test.skipIf(!oracleFolder)(`the model has the size asked for and llama.cpp takes it${reason}`, async () => {
  const folder = mkdtempSync(join(tmpdir(), "fewbit-bench-"));
  try {
    const model = join(folder, "model.gguf");
    const base = { ...smallShape, hidden: 256, ffn: 512, heads: 4, kvHeads: 2, vocab: 512 };
    const shape = shapeOfSize(base, 5e6);
    for (const [type, sparse] of [
      ["BF16", false],
      ["F16", true],
    ] as const) {
      const size = await writeModel(model, shape, type, sparse);
      expect(statSync(model).size).toBe(size);
      expect(Math.abs(size - 5e6)).toBeLessThan(6e5); // half a layer
      const { ok, log } = await oracleQuantizeFile(model, join(folder, "out.gguf"), "Q4_K_M", { threads: 1 });
      expect(ok, log).toBe(true);
      expect(statSync(join(folder, "out.gguf")).size).toBeGreaterThan(size / 4);
    }
    expect(copyFile(model, join(folder, "copy.gguf"))).toBeGreaterThan(0);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
