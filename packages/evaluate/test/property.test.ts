// Laws that hold for any models: of themselves, of chunks and of threads.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { addSums, compareTensors, type MetricSums, type Model, measure, metricsOf } from "@fewbit/core";
import { piscinaRunner } from "@fewbit/runner-piscina";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { type CompareRequest, type Comparison, compareModels } from "../src/index.js";
import { decode, encode, modelOf, randomWeights, registry, runner } from "./models.js";

const folder = mkdtempSync(join(tmpdir(), "fewbit-evaluate-"));
afterAll(() => rmSync(folder, { recursive: true }));

async function compare(
  original: Model,
  quantized: Model,
  more: Partial<CompareRequest> = {},
): Promise<Comparison> {
  const run = compareModels({ original, quantized, registry, runner, ...more });
  for (;;) {
    const step = await run.next();
    if (step.done) return step.value;
  }
}

const schemes = registry.schemes
  .filter(({ value }) => value.importance !== "required")
  .map(({ value }) => value.id);

const tensor = fc.record({
  scheme: fc.constantFrom(...schemes),
  experts: fc.integer({ min: 1, max: 3 }),
  rows: fc.integer({ min: 1, max: 5 }),
  blocks: fc.integer({ min: 1, max: 2 }),
  seed: fc.integer({ min: 1, max: 1e6 }),
});

test("a model has no error against itself", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(tensor, { minLength: 1, maxLength: 3 }), async (list) => {
      const model = modelOf(
        "m",
        await Promise.all(
          list.map(async ({ scheme, experts, rows, blocks, seed }, i) => {
            const columns = 256 * blocks;
            const weights = randomWeights(experts * rows * columns, seed);
            return {
              name: `w${i}`,
              shape: experts === 1 ? [rows, columns] : [experts, rows, columns],
              dtype: scheme,
              bytes: await encode(scheme, weights, columns),
            };
          }),
        ),
      );
      const { tensors, total } = await compare(model, model);
      for (const { metrics } of [...tensors, total])
        expect(metrics).toMatchObject({ mse: 0, rmse: 0, maxError: 0, sqnr: Number.POSITIVE_INFINITY });
      for (const { metrics } of tensors) expect(metrics.cosine).toBeCloseTo(1, 12);
    }),
    { numRuns: 40 },
  );
});

test("chunks are the whole: figures are those of the tensor in one piece, and matrices those of each alone", async () => {
  await fc.assert(
    fc.asyncProperty(tensor, async ({ scheme, experts, rows, blocks, seed }) => {
      const columns = 256 * blocks;
      const weights = randomWeights(experts * rows * columns, seed);
      const bytes = await encode(scheme, weights, columns);
      const decoded = await decode(scheme, bytes, columns, weights.length);
      const shape = [experts, rows, columns];
      const importance = randomWeights(experts * columns, seed + 1).map(Math.abs);
      const { tensors } = await compare(
        modelOf("o", [{ name: "w", shape, bytes: new Uint8Array(weights.buffer) }]),
        modelOf("q", [{ name: "w", shape, dtype: scheme, bytes }]),
        { importance: { tensors: new Map([["w", importance]]), datasets: [], chunks: 0 } },
      );
      const { metrics } = tensors[0]!;
      const sums: MetricSums[] = [];
      for (let i = 0; i < experts; i++) {
        const [from, to] = [i * rows * columns, (i + 1) * rows * columns];
        const own = importance.subarray(i * columns, (i + 1) * columns);
        sums.push(measure(weights.subarray(from, to), decoded.subarray(from, to), own));
      }
      expect(metrics).toEqual(metricsOf(sums.reduce(addSums)));
      const whole = compareTensors(weights, decoded);
      expect(metrics.maxError).toBe(whole.maxError);
      for (const figure of ["mse", "rmse", "cosine"] as const)
        expect(Math.abs(metrics[figure] - whole[figure])).toBeLessThanOrEqual(
          1e-12 * Math.abs(whole[figure]),
        );
    }),
    { numRuns: 40 },
  );
});

test("no figure depends on threads", { timeout: 60_000 }, async () => {
  // Several chunks of each tensor, unlike in size and speed, in files that threads open by themselves.
  const shapes = [
    ["a", [1100, 4096], "Q4_K"],
    ["b", [3, 5, 512], "Q8_0"],
    ["c", [9000, 256], "Q6_K"],
    ["d", [4096], "F32"],
  ] as const;
  const given = await Promise.all(
    shapes.map(async ([name, shape, scheme], i) => {
      const columns = shape.at(-1)!;
      const weights = randomWeights(
        shape.reduce((p: number, n) => p * n, 1),
        i + 1,
      );
      return { name, shape, scheme, weights, bytes: await encode(scheme, weights, columns) };
    }),
  );
  const original = onDisk(
    "original",
    given.map(({ name, shape, weights }) => ({
      name,
      shape,
      dtype: "F32",
      bytes: new Uint8Array(weights.buffer),
    })),
  );
  const quantized = onDisk(
    "quantized",
    given.map(({ name, shape, scheme, bytes }) => ({ name, shape, dtype: scheme, bytes })),
  );
  const importance = {
    tensors: new Map([
      ["a", randomWeights(4096, 9).map(Math.abs)],
      ["b", randomWeights(3 * 512, 9).map(Math.abs)],
    ]),
    datasets: [],
    chunks: 0,
  };
  const expected = await compare(original, quantized, { importance });
  expect(expected.total.metrics.count).toBe(1100 * 4096 + 3 * 5 * 512 + 9000 * 256 + 4096);
  expect(expected.total.metrics.sqnr).toBeGreaterThan(15);
  for (const threads of [1, 2, 5])
    expect(await compare(original, quantized, { importance, runner: piscinaRunner, threads })).toEqual(
      expected,
    );
});

function onDisk(name: string, tensors: Parameters<typeof modelOf>[1]): Model {
  const path = join(folder, name);
  let offset = 0;
  const infos = tensors.map(({ name, shape, dtype = "F32", bytes }) => {
    const info = { name, shape, dtype, file: 0, offset, bytes: bytes.length };
    offset += bytes.length;
    return info;
  });
  writeFileSync(path, Buffer.concat(tensors.map(({ bytes }) => bytes)));
  return { format: "made", metadata: [], files: [{ kind: "file", path }], tensors: infos, warnings: [] };
}
