// The malformed and odd files that may lie beside the project. Skipped, with a message, where they are absent; what
// matters most is in scan.test.ts and checkpoint.test.ts by hand.
import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import { createRegistry, isFewbitError, type Model } from "@fewbit/core";
import { openModel } from "@fewbit/core/node";
import { describe, expect, test } from "vitest";
import plugin from "../src/index.js";
import { missing, shared } from "./shared.js";

interface Case {
  file: string;
  format: string;
  wrong: string;
  expected: "accept" | "reject";
  stage: string;
  error_code?: string;
  offset?: number;
}

const absent = missing("hostile/manifest.json");
const cases: Case[] =
  absent === undefined ? JSON.parse(readFileSync(shared("hostile/manifest.json"), "utf8")).cases : [];
const registry = createRegistry([plugin]);
const open = (file: string): Promise<Model> => openModel(shared(`hostile/${file}`), registry);

/** A link that leads out of the folder, or what a copy without links made of it. */
const refusedByChoice = new Set(["x02-link-out/model.safetensors.index.json"]);

describe.skipIf(absent !== undefined)(`hostile files${absent === undefined ? "" : ` (${absent})`}`, () => {
  const own = cases.filter(({ format }) => format === "safetensors" || format === "index");

  test.each(own.map((c) => [c.file, c.wrong, c] as const))("%s: %s", async (file, _, c) => {
    const wrong = c.stage === "parse" && (c.expected === "reject" || refusedByChoice.has(file));
    const outcome = await open(file).catch((error: unknown) => error);
    if (!wrong) {
      if (outcome instanceof Error) throw outcome;
      return;
    }
    if (!isFewbitError(outcome)) throw new Error(`accepted, or another error: ${String(outcome)}`);
    if (c.error_code !== undefined) expect(outcome.code).toBe(c.error_code);
    if (c.offset !== undefined) expect(outcome.at.offset).toBe(c.offset);
    expect(outcome.at.file).toContain(dirname(file) === "." ? file : dirname(file));
    if (c.expected === "reject") expect(outcome.at.key).toBeTruthy();
    expect(outcome.remedy).toBeTruthy();
  });

  test("every case of the formats was run", () => expect(own.length).toBeGreaterThan(55));

  test("odd but legal content", async () => {
    const metadata = await open("s00-metadata.safetensors");
    expect(metadata.metadata.map(({ key, value }) => [key, value])).toEqual([
      ["format", "pt"],
      ["__proto__", "x"],
    ]);
    expect((await open("s09-proto.safetensors")).tensors.map(({ name }) => name)).toEqual([
      "__proto__",
      "constructor",
    ]);
    expect(({} as { dtype?: unknown }).dtype).toBeUndefined();
    expect((await open("s02-leading-space.safetensors")).warnings.join()).toContain("white space");
    const unordered = await open("s00-unordered.safetensors");
    expect(unordered.tensors.map(({ name, offset }) => [name, offset])).toEqual([
      ["b", 128],
      ["a", 120],
    ]);
  });
});
