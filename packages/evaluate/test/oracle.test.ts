// Figures that share no code with ours: whole files, decoded by llama.cpp's own library, summed up in the plainest way.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createRegistry, type ImportanceMatrix, type Model, makePlan, type TensorInfo } from "@fewbit/core";
import { openModel, writeModel } from "@fewbit/core/node";
import gguf from "@fewbit/format-gguf";
import piscina, { piscinaRunner } from "@fewbit/runner-piscina";
import { afterAll, describe, expect, test } from "vitest";
import { type GgmlType, oracleDecode, oracleFolder } from "../../../tooling/oracle.js";
import { type Comparison, compareModels } from "../src/index.js";
import { plugins, randomWeights } from "./models.js";

const registry = createRegistry([gguf, piscina, ...plugins]);
const stories = fileURLToPath(new URL("../../../tooling/fixture/stories.gguf", import.meta.url));
const original = await openModel(stories, registry);
const folder = mkdtempSync(join(tmpdir(), "fewbit-evaluate-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Every matrix has an entry but the embedding's, as llama-imatrix collects them. */
const importance: ImportanceMatrix = {
  tensors: new Map(
    original.tensors
      .filter(({ name, shape }) => shape.length > 1 && !name.startsWith("token_embd"))
      .map(({ name, shape }, i) => [name, randomWeights(shape.at(-1)!, i + 1).map((x) => x * x + 1e-4)]),
  ),
  datasets: [],
  chunks: 1,
};

async function quantize(recipe: string): Promise<Model> {
  const path = join(folder, `${recipe}.gguf`);
  const { value: writer } = registry.writer("gguf");
  const context = { options: {} };
  const planned = makePlan({
    model: original,
    recipe: registry.recipe(recipe).value,
    context,
    registry,
    writer,
  });
  const run = writeModel({ ...planned, model: original, registry, writer, runner: piscinaRunner, path });
  for await (const _ of run);
  return openModel(path, registry);
}

async function compare(a: Model, b: Model): Promise<Comparison> {
  const run = compareModels({ original: a, quantized: b, registry, runner: piscinaRunner, importance });
  for (;;) {
    const step = await run.next();
    if (step.done) return step.value;
  }
}

function decoded(model: Model, { dtype, file, offset, bytes, shape }: TensorInfo): Float32Array {
  const at = model.files[file]!;
  if (at.kind !== "file") throw new Error("a file was expected");
  const stored = new Uint8Array(readFileSync(at.path)).slice(offset, offset + bytes);
  return oracleDecode(
    dtype as GgmlType,
    stored,
    shape.reduce((a, b) => a * b, 1),
  );
}

/** `expected` to twelve digits: sums of other chunks round otherwise. */
const near = (actual: number | undefined, expected: number): void =>
  expect(Math.abs(actual! - expected)).toBeLessThanOrEqual(1e-12 * Math.abs(expected));

describe.skipIf(oracleFolder === undefined)("against llama.cpp's own decoding of whole files", () => {
  test.each(["BF16", "Q8_0", "Q5_1", "Q4_K_M", "Q2_K"])("%s", { timeout: 120_000 }, async (recipe) => {
    const quantized = await quantize(recipe);
    const { tensors, total, missing, added, opaque } = await compare(original, quantized);
    expect(tensors).toHaveLength(original.tensors.length);
    expect([missing, added, opaque]).toEqual([[], [], []]);
    let [signal, noise] = [0, 0];
    for (const { name, shape, metrics } of tensors) {
      const x = decoded(original, original.tensors.find((tensor) => tensor.name === name)!);
      const y = decoded(quantized, quantized.tensors.find((tensor) => tensor.name === name)!);
      const [xx, yy, xy] = [
        x.reduce((sum, v) => sum + v ** 2, 0),
        y.reduce((sum, v) => sum + v ** 2, 0),
        x.reduce((sum, v, i) => sum + v * y[i]!, 0),
      ];
      const errors = Array.from(x, (v, i) => v - y[i]!);
      const ee = errors.reduce((sum, e) => sum + e ** 2, 0);
      signal += xx;
      noise += ee;
      near(metrics.rmse, Math.sqrt(ee / x.length));
      near(metrics.cosine, xy / Math.sqrt(xx * yy));
      expect(metrics.maxError).toBe(errors.reduce((most, e) => Math.max(most, Math.abs(e)), 0));
      if (ee === 0) expect(metrics.sqnr).toBe(Number.POSITIVE_INFINITY);
      else near(metrics.sqnr, 10 * Math.log10(xx / ee));

      const weights = importance.tensors.get(name);
      if (weights === undefined) {
        expect(metrics).not.toHaveProperty("weightedSqnr");
        continue;
      }
      const columns = shape.at(-1)!;
      const weighted = (values: ArrayLike<number>): number =>
        Array.from(values).reduce((sum, v, i) => sum + weights[i % columns]! * v ** 2, 0);
      near(metrics.weightedSqnr, 10 * Math.log10(weighted(x) / weighted(errors)));
    }
    near(total.metrics.sqnr, 10 * Math.log10(signal / noise));
  });
});
