// Numbers of llama-imatrix itself, of the release that the engine brings, with its build for any x64 processor (x64/).
//
//   llama-imatrix -m stories.gguf -f story.txt -t 1 -c 128 --process-output
//   llama-imatrix -m experts.gguf -f story.txt -t 1 -c 64 --process-output
//
// Builds for other processors round otherwise, by some 10⁻⁴: there, what is held to is wider. Of each entry reference.json
// has the counts, every 37th sum and the total of all sums.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { writeImportance } from "@fewbit/format-gguf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { oracleFolder } from "../../../tooling/oracle.js";
import { type Calibration, type CalibrationRequest, calibrate } from "../src/index.js";
import { EXPERTS, folder, makeExperts, stories, story } from "./models.js";
import { drain, llama } from "./run.js";

interface Reference {
  readonly chunks: number;
  readonly chunkSize: number;
  readonly perplexity: number;
  readonly entries: Readonly<
    Record<string, { readonly counts: number[]; readonly total: number; readonly sums: number[] }>
  >;
}

const references = JSON.parse(readFileSync(new URL("reference.json", import.meta.url), "utf8")) as Record<
  "stories" | "experts",
  Reference
>;

const same = process.arch === "x64";
const TOLERANCE = same ? 1e-5 : 1e-2;

if (oracleFolder === undefined)
  console.warn("Skipped: there is no build of llama.cpp for this machine, so nothing can be collected.");

const experts = join(folder, "experts.gguf");
const before = process.env.FEWBIT_LLAMA_CPU;
beforeAll(async () => {
  await makeExperts(experts);
  if (same) process.env.FEWBIT_LLAMA_CPU = "x64";
});
afterAll(() => {
  if (before === undefined) delete process.env.FEWBIT_LLAMA_CPU;
  else process.env.FEWBIT_LLAMA_CPU = before;
});

const collect = (model: string, options: Partial<CalibrationRequest>): Promise<Calibration> =>
  drain(
    calibrate({
      engine: llama,
      model,
      text: story,
      datasets: ["story.txt"],
      threads: 1,
      processOutput: true,
      ...options,
    }),
  ).then(({ result }) => result);

function expectSame({ importance, perplexity }: Calibration, reference: Reference): void {
  expect(importance).toMatchObject({ chunks: reference.chunks, chunkSize: reference.chunkSize });
  expect([...importance.entries.keys()].sort()).toEqual(Object.keys(reference.entries).sort());
  const near = (actual: number, expected: number, what: string): void =>
    expect(Math.abs(actual - expected), `${what}: ${actual}, not ${expected}`).toBeLessThanOrEqual(
      TOLERANCE * Math.abs(expected),
    );
  for (const [name, { counts, total, sums }] of Object.entries(reference.entries)) {
    const entry = importance.entries.get(name)!;
    expect([...entry.counts], name).toEqual(counts);
    near(
      entry.sums.reduce((a, b) => a + b, 0),
      total,
      name,
    );
    expect(sums.length).toBe(Math.ceil(entry.sums.length / 37));
    for (const [i, sum] of sums.entries()) near(entry.sums[37 * i]!, sum, `${name}[${37 * i}]`);
  }
  expect(perplexity.toFixed(4).slice(0, same ? undefined : 4)).toBe(
    reference.perplexity.toFixed(4).slice(0, same ? undefined : 4),
  );
}

describe.skipIf(oracleFolder === undefined)("the numbers of llama-imatrix", () => {
  test("of a model without experts", async () => {
    const found = await collect(stories, { contextSize: 128 });
    expectSame(found, references.stories);
    expect(found).toMatchObject({ done: 3, resumedAt: 0, contextSize: 128, warnings: [] });
  });

  test("of a model with experts, one of which no token reaches", async () => {
    const found = await collect(experts, { contextSize: 64 });
    expectSame(found, references.experts);
    const unused = found.importance.entries.get("blk.0.ffn_up_exps.weight")!;
    expect(unused.counts[EXPERTS - 1]).toBe(0);
    expect(found.warnings).toHaveLength(6);
    expect(found.warnings).toContain(
      "blk.1.ffn_down_exps.weight: 1 of 6 experts were never used (5). All their columns will count the same when " +
        "they are quantized, as in llama.cpp; more text, or text of other kinds, may reach them.",
    );
  });

  test("whatever is read together, within rounding", async () => {
    const alone = await collect(stories, { contextSize: 128, batch: 128 });
    const parts = await collect(stories, { contextSize: 128, batch: 64 });
    for (const { importance } of [alone, parts])
      for (const [name, { counts, total }] of Object.entries(references.stories.entries)) {
        const entry = importance.entries.get(name)!;
        expect([...entry.counts]).toEqual(counts);
        const sum = entry.sums.reduce((a, b) => a + b, 0);
        expect(Math.abs(sum / total - 1)).toBeLessThan(2e-3);
      }
  });

  test("in any number of runs: what was interrupted goes on to the same file", async () => {
    const options = { contextSize: 16, batch: 64 };
    const whole = await collect(stories, options);
    const run = calibrate({
      ...{ engine: llama, model: stories, text: story, datasets: ["story.txt"], threads: 1 },
      ...{ processOutput: true, saveEvery: 8, ...options },
    });
    let before: Calibration["importance"] | undefined;
    for await (const { snapshot } of run) {
      before = snapshot;
      if (before !== undefined) break;
    }
    expect(before).toMatchObject({ chunks: 8 });
    const rest = await collect(stories, { ...options, before: before! });
    expect(rest).toMatchObject({ resumedAt: 8, done: whole.done });
    expect(writeImportance(rest.importance)).toEqual(writeImportance(whole.importance));
  });
});
