// What we write is for others to load: llama.cpp opens every output and continues a story with it.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openModel } from "@fewbit/core/node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createEngine, type Engine } from "../../../tooling/engine.js";
import { oracleFolder } from "../../../tooling/oracle.js";
import { loadRegistry } from "../src/plugins.js";
import { runHere } from "./command-line.js";
import { writeMatrix } from "./importance.js";
import { temporaryFolder } from "./temporary.js";

const folder = temporaryFolder();
const fixture = fileURLToPath(new URL("../../../tooling/fixture/stories.gguf", import.meta.url));
const skip = oracleFolder === undefined || !existsSync(fixture);
const prompt = "Once upon a time";
const count = 16;

const registry = await loadRegistry(folder, [], undefined);
const matrix = join(folder, "stories.imatrix.gguf");
if (!skip) writeMatrix(matrix, await openModel(fixture, registry));
const recipes = registry.recipes.map(({ value }) => value.id);

function quantize(recipe: string, ...more: string[]): string[] {
  return [
    "quantize",
    fixture,
    join(folder, `${recipe}.gguf`),
    "--type",
    recipe,
    "--imatrix",
    matrix,
    ...more,
  ];
}

let engine: Engine;
beforeAll(async () => {
  if (!skip) engine = await createEngine();
});
afterAll(() => engine?.dispose());

describe.skipIf(skip)(
  `llama.cpp loads the output and generates${skip ? " (skipped: no prebuilt llama.cpp or no fixture)" : ""}`,
  () => {
    test("the recipes are all there", () => {
      expect(recipes.length).toBeGreaterThan(30);
    });

    test.each(recipes)("%s", async (recipe) => {
      expect(await runHere(quantize(recipe), folder)).toMatchObject({ status: 0, stderr: "" });
      const { tokens, text } = await engine.generate(join(folder, `${recipe}.gguf`), prompt, count);
      expect(tokens).toHaveLength(count);
      expect(text.length).toBeGreaterThan(0);
    });

    test("eight bits tell the same story as sixteen", async () => {
      const [eight, sixteen] = [join(folder, "Q8_0.gguf"), fixture];
      const story = await engine.generate(sixteen, prompt, count);
      expect((await engine.generate(eight, prompt, count)).text.slice(0, 20)).toBe(story.text.slice(0, 20));
    });
  },
);
