import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isFewbitError } from "@fewbit/core";
import { llama } from "@fewbit/engine-llama";
import { compareOutputs, perplexity } from "@fewbit/evaluate";
import { afterAll, expect, test } from "vitest";
import { oracleFolder } from "../../../tooling/oracle.js";
import { finish } from "./fake-engine.js";

const stories = fileURLToPath(new URL("../../../tooling/fixture/stories.gguf", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "fewbit-evaluate-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const text = "One day, a cat and a dog went to the park. They saw a big red ball. ".repeat(30);
const options = { engine: llama, text, context: 64, threads: 1 } as const;

if (oracleFolder === undefined)
  console.warn("Skipped: there is no build of llama.cpp for this machine, so the tasks cannot be run.");

test.skipIf(oracleFolder === undefined)("the tasks run in the engine's process", async () => {
  const alone = await finish(perplexity({ ...options, model: stories, chunks: 3 }));
  expect(alone.value).toMatchObject({ context: 64, scored: 3 * 31, model: { vocabulary: 2304 } });
  expect(alone.value.perplexity.value).toBeGreaterThan(1);
  expect(alone.value.perplexity.value).toBeLessThan(100);

  const { value } = await finish(
    compareOutputs({ ...options, reference: stories, candidates: [stories], chunks: 3 }),
  );
  expect(value.reference.perplexity).toEqual(alone.value.perplexity);
  expect(value.candidates[0]).toMatchObject({ kld: { max: 0 }, sameTop: { value: 1 }, deltaP: { rms: 0 } });
});

test.skipIf(oracleFolder === undefined)("errors name the model, and a signal stops the run", async () => {
  const broken = join(folder, "broken.gguf");
  writeFileSync(broken, "Dear reader, this is not a model.");
  const error = await finish(compareOutputs({ ...options, reference: stories, candidates: [broken] })).catch(
    (error: unknown) => error,
  );
  expect(error).toMatchObject({ code: "E_ENGINE_LOAD", at: { file: broken } });

  const controller = new AbortController();
  const run = perplexity({ ...options, model: stories, text: text.repeat(300), signal: controller.signal });
  await run.next();
  controller.abort();
  const stopped = await finish(run).catch((error: unknown) => error);
  expect(isFewbitError(stopped, "E_ABORTED")).toBe(true);
});
