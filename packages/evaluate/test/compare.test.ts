import {
  compareTensors,
  type FewbitError,
  type ImportanceMatrix,
  type Progress,
  type Runner,
} from "@fewbit/core";
import { describe, expect, test } from "vitest";
import { type CompareRequest, type Comparison, compareModels } from "../src/index.js";
import {
  decode,
  encode,
  float32,
  type GivenTensor,
  modelOf,
  randomWeights,
  registry,
  runner,
} from "./models.js";

async function compare(
  original: readonly GivenTensor[],
  quantized: readonly GivenTensor[],
  more: Partial<CompareRequest> = {},
): Promise<Comparison & { steps: Progress[] }> {
  const run = compareModels({
    original: modelOf("original.bin", original),
    quantized: modelOf("quantized.bin", quantized),
    registry,
    runner,
    ...more,
  });
  const steps: Progress[] = [];
  for (;;) {
    const step = await run.next();
    if (step.done) return { ...step.value, steps };
    steps.push(step.value);
  }
}

const matrixOf = (entries: Record<string, readonly number[]>): ImportanceMatrix => ({
  tensors: new Map(Object.entries(entries).map(([name, values]) => [name, Float32Array.from(values)])),
  datasets: [],
  chunks: 0,
});

const a: GivenTensor = { name: "a", shape: [2, 2], bytes: float32(1, 2, 3, 4) };
const b: GivenTensor = { name: "b", shape: [2], bytes: float32(6, 8) };
const a2: GivenTensor = { ...a, bytes: float32(1, 1, 3, 2) };
const b2: GivenTensor = { ...b, bytes: float32(6, 9) };

describe("figures", () => {
  test("of tensors, types and the whole model", async () => {
    const { tensors, total, types } = await compare([a, b], [a2, b2]);
    expect(tensors).toEqual([
      {
        name: "a",
        shape: [2, 2],
        original: { dtype: "F32", bytes: 16 },
        quantized: { dtype: "F32", bytes: 16 },
        metrics: {
          count: 4,
          mse: 5 / 4,
          rmse: Math.sqrt(5 / 4),
          sqnr: 10 * Math.log10(30 / 5),
          maxError: 2,
          cosine: 20 / (Math.sqrt(30) * Math.sqrt(15)),
        },
      },
      expect.objectContaining({ name: "b", metrics: expect.objectContaining({ mse: 1 / 2, maxError: 1 }) }),
    ]);
    expect(total).toMatchObject({ tensors: 2, originalBytes: 24, quantizedBytes: 24 });
    expect(total.metrics).toMatchObject({ count: 6, mse: 1, sqnr: 10 * Math.log10(130 / 6), maxError: 2 });
    expect(total.metrics).not.toHaveProperty("weightedSqnr");
    expect([...types]).toEqual([["F32", total]]);
  });

  test("of quantized tensors, on either side", async () => {
    const weights = randomWeights(4 * 256, 1);
    const q8 = await encode("Q8_0", weights, 256);
    const q4 = await encode("Q4_K", weights, 256);
    const f32 = { name: "w", shape: [4, 256], bytes: new Uint8Array(weights.buffer) };
    const as = (dtype: string, bytes: Uint8Array) => ({ ...f32, dtype, bytes });
    const decoded8 = await decode("Q8_0", q8, 256, weights.length);
    const decoded4 = await decode("Q4_K", q4, 256, weights.length);

    const lost = await compare([f32], [as("Q4_K", q4)]);
    expect(lost.tensors[0]!.metrics).toEqual(compareTensors(weights, decoded4));
    expect(lost.types.get("Q4_K")!.quantizedBytes).toBe((weights.length * 4.5) / 8);
    // Both of one plugin would share one memory; so would the two halves of one comparison.
    const between = await compare([as("Q8_0", q8)], [as("Q4_K", q4)]);
    expect(between.tensors[0]!.metrics).toEqual(compareTensors(decoded8, decoded4));
    const back = await compare([as("Q4_K", q4)], [f32]);
    expect(back.tensors[0]!.metrics).toEqual(compareTensors(decoded4, weights));
    const q6 = await encode("Q6_K", weights, 256);
    const decoded6 = await decode("Q6_K", q6, 256, weights.length);
    const sharing = await compare([as("Q8_0", q8)], [as("Q6_K", q6)]);
    expect(sharing.tensors[0]!.metrics).toEqual(compareTensors(decoded8, decoded6));
  });

  test("types have totals of their own, in the order in which they occur", async () => {
    const weights = randomWeights(256, 2);
    const full = (name: string) => ({ name, shape: [1, 256], bytes: new Uint8Array(weights.buffer) });
    const q8 = { shape: [1, 256], dtype: "Q8_0", bytes: await encode("Q8_0", weights, 256) };
    const q6 = { shape: [1, 256], dtype: "Q6_K", bytes: await encode("Q6_K", weights, 256) };
    const { types } = await compare(
      [full("w"), full("x"), full("y")],
      [
        { name: "w", ...q8 },
        { name: "x", ...q6 },
        { name: "y", ...q8 },
      ],
    );
    expect([...types.keys()]).toEqual(["Q8_0", "Q6_K"]);
    expect(types.get("Q8_0")).toMatchObject({ tensors: 2, metrics: { count: 512 } });
    expect(types.get("Q6_K")).toMatchObject({ tensors: 1, originalBytes: 1024, quantizedBytes: 210 });
    expect(types.get("Q8_0")!.metrics.sqnr).toBeGreaterThan(types.get("Q6_K")!.metrics.sqnr + 6);
  });

  test("with importance, each expert by its own", async () => {
    const experts = { name: "e", shape: [2, 1, 2], bytes: float32(1, 2, 3, 4) };
    const changed = { ...experts, bytes: float32(1, 1, 3, 2) };
    const result = await compare([experts, b], [changed, b2], {
      importance: matrixOf({ e: [1, 10, 100, 1000] }),
    });
    const signal = 1 * 1 + 10 * 4 + 100 * 9 + 1000 * 16;
    const noise = 10 * 1 + 1000 * 4;
    expect(result.tensors[0]!.metrics.weightedSqnr).toBeCloseTo(10 * Math.log10(signal / noise), 10);
    expect(result.tensors[1]!.metrics).not.toHaveProperty("weightedSqnr");
    expect(result.total.metrics.weightedSqnr).toBe(result.tensors[0]!.metrics.weightedSqnr);
    expect(result.unweighted).toEqual(["b"]);
  });

  test("progress counts weights and the bytes of both files", async () => {
    const { steps } = await compare([a, b], [a2, b2]);
    expect(steps).toEqual([
      { tensor: "a", totalWeights: 6, weights: 4, read: 32, written: 0, zeroed: 0 },
      { tensor: "b", totalWeights: 6, weights: 6, read: 48, written: 0, zeroed: 0 },
    ]);
  });

  test("of two comparisons at once on one thread, whose kernels have one memory", async () => {
    const one = async (seed: number) => {
      const weights = randomWeights(64 * 256, seed);
      const f32 = { name: "w", shape: [64, 256], bytes: new Uint8Array(weights.buffer) };
      const bytes = await encode("Q8_0", weights, 256);
      const { tensors } = await compare([f32], [{ ...f32, dtype: "Q8_0", bytes }]);
      return [tensors[0]!.metrics, compareTensors(weights, await decode("Q8_0", bytes, 256, weights.length))];
    };
    for (const [measured, expected] of await Promise.all([1, 2, 3].map(one)))
      expect(measured).toEqual(expected);
  });

  test("tensors without weights lose nothing", async () => {
    const empty = (name: string, shape: readonly number[]) => ({ name, shape, bytes: new Uint8Array(0) });
    const none = [empty("x", [0, 4]), empty("y", [4, 0]), empty("z", [0])];
    const { tensors, total } = await compare([a, ...none], [a2, ...none]);
    expect(tensors.map(({ metrics }) => metrics.count)).toEqual([4, 0, 0, 0]);
    expect(tensors[1]!.metrics).toMatchObject({ sqnr: Number.POSITIVE_INFINITY, cosine: 1, rmse: 0 });
    expect(total.metrics.count).toBe(4);
  });

  test("a single number is a tensor", async () => {
    const one = (value: number) => ({ name: "s", shape: [], bytes: float32(value) });
    expect((await compare([one(3)], [one(2)])).total.metrics).toMatchObject({ count: 1, maxError: 1 });
  });
});

describe("what is left over is listed", () => {
  test("tensors of one model only, and another order", async () => {
    const c = { ...b, name: "c" };
    const result = await compare([a, b, c], [{ ...b, name: "d" }, b2, a2]);
    expect(result.tensors.map(({ name }) => name)).toEqual(["a", "b"]);
    expect(result.tensors[0]!.metrics.maxError).toBe(2);
    expect(result).toMatchObject({ missing: ["c"], added: ["d"], opaque: [], foreign: [], unweighted: [] });
  });

  test("types that nobody decodes, where both models have the same", async () => {
    const ids = { name: "ids", shape: [2], dtype: "I32", bytes: new Uint8Array(8) };
    const result = await compare([a, ids], [a2, ids]);
    expect(result.opaque).toEqual([{ name: "ids", dtype: "I32" }]);
    expect(result.total.tensors).toBe(1);
  });

  test("entries of the importance matrix that belong to no tensor", async () => {
    const importance = matrixOf({ a: [1, 1], "blk.9.ffn_up.weight": [1] });
    expect((await compare([a], [a2], { importance })).foreign).toEqual(["blk.9.ffn_up.weight"]);
  });

  test("ones in front of a shape do not matter", async () => {
    const { tensors } = await compare([{ ...b, shape: [1, 2] }], [b2]);
    expect(tensors).toHaveLength(1);
    const ones = await compare(
      [{ name: "s", shape: [1, 1], bytes: float32(1) }],
      [{ name: "s", shape: [], bytes: float32(1) }],
    );
    expect(ones.total.metrics.count).toBe(1);
  });
});

describe("what cannot be compared is an error that says so", () => {
  const failure = async (work: Promise<unknown>): Promise<Partial<FewbitError>> => {
    try {
      await work;
    } catch (error) {
      const { code, message, at, remedy } = error as FewbitError;
      return { code, message, at, ...(remedy === undefined ? {} : { remedy }) };
    }
    throw new Error("nothing was thrown");
  };

  test("models without a tensor in common", async () => {
    expect(await failure(compare([a], [{ ...a, name: "other" }]))).toEqual({
      code: "E_MODEL_MISMATCH",
      message:
        "It has no tensor in common with original.bin: that one has tensors such as a, this one has tensors such as other.",
      at: { file: "quantized.bin" },
      remedy: "Give the model that it was made from.",
    });
    const foreign = await failure(
      compare([a], [], { quantized: modelOf("q.gguf", [{ ...a, name: "x" }], "gguf") }),
    );
    expect(foreign.remedy).toBe("Formats name tensors differently: give the original in the gguf format.");
    expect((await failure(compare([a], []))).message).toMatch(/this one has no tensors\.$/);
  });

  test("tensors of other shapes", async () => {
    const turned = { ...a2, shape: [4] };
    expect(await failure(compare([a, b], [turned, b2]))).toEqual({
      code: "E_MODEL_MISMATCH",
      message: "a is [4] here and [2, 2] in original.bin.",
      at: { file: "quantized.bin", tensor: "a" },
      remedy: "Give the model that it was made from.",
    });
    const both = await failure(compare([a, b], [turned, { ...b, shape: [1], bytes: float32(1) }]));
    expect(both.message).toBe("a is [4] here and [2, 2] in original.bin; 1 more of 2 differ in shape.");
    // As many weights, in other rows.
    await expect(compare([{ ...a, shape: [2, 1, 2] }], [{ ...a, shape: [1, 2, 2] }])).rejects.toThrow(
      "a is [1, 2, 2] here and [2, 1, 2] in original.bin.",
    );
  });

  test("an importance matrix of another model", async () => {
    expect(
      await failure(compare([a], [a2], { importance: { ...matrixOf({ a: [1, 1, 1] }), file: "m.dat" } })),
    ).toEqual({
      code: "E_IMATRIX_SHAPE",
      message: "The importance of a has 3 values; its rows need 2.",
      at: { file: "m.dat", tensor: "a" },
      remedy: "The matrix was collected from another model: collect one from this model.",
    });
    const experts = { name: "e", shape: [2, 1, 2], bytes: float32(1, 2, 3, 4) };
    await expect(compare([experts], [experts], { importance: matrixOf({ e: [1, 1] }) })).rejects.toThrow(
      "The importance of e has 2 values; its rows need 2 for each of 2 experts.",
    );
    await expect(compare([a], [a2], { importance: matrixOf({ z: [1, 1] }) })).rejects.toThrow(
      "The importance matrix has no entry for any tensor of the model.",
    );
  });

  test("a type whose plugin is missing", async () => {
    const unknown = { ...a2, dtype: "Q4_UNHEARD", bytes: new Uint8Array(4) };
    expect(await failure(compare([a], [unknown]))).toMatchObject({
      code: "E_SCHEME_UNKNOWN",
      message: expect.stringContaining("Q4_UNHEARD"),
      at: { file: "quantized.bin", tensor: "a" },
    });
  });

  test("rows that no worker has room for", async () => {
    const columns = (1 << 22) + 1;
    const long = { name: "w", shape: [columns], bytes: new Uint8Array(0) };
    expect(await failure(compare([long], [long]))).toEqual({
      code: "E_MEMORY",
      message: "w has rows of 4194305 weights; a worker handles whole rows of at most 4194304.",
      at: { tensor: "w" },
      remedy: "Compare models without this tensor.",
    });
  });

  test("weights that are no numbers, by the file they are in", async () => {
    const spoilt = { ...a, bytes: float32(1, 2, 3, Number.NaN) };
    for (const [original, quantized, file] of [
      [a, spoilt, "quantized.bin"],
      [spoilt, a, "original.bin"],
    ] as const)
      expect(await failure(compare([original], [quantized]))).toEqual({
        code: "E_NONFINITE",
        message: "a has NaN at row 1, column 1 (element 3)",
        at: { file, tensor: "a", row: 1, column: 1, offset: 17 },
        remedy: "Check the checkpoint, or pass --nonfinite zero to replace such weights.",
      });
    const { zeroed, total } = await compare([spoilt], [a], { nonfinite: "zero" });
    expect(zeroed).toBe(1);
    expect(total.metrics.maxError).toBe(4);
  });

  test("a run that was stopped", async () => {
    expect(await failure(compare([a], [a2], { signal: AbortSignal.abort() }))).toMatchObject({
      code: "E_ABORTED",
    });
    // A runner that ends early and quietly.
    const stop = new AbortController();
    const quiet: Runner = {
      id: "quiet",
      async *run(jobs, context) {
        for await (const receipt of runner.run(jobs, context)) {
          yield receipt;
          stop.abort();
          return;
        }
      },
    };
    expect(await failure(compare([a, b], [a2, b2], { runner: quiet, signal: stop.signal }))).toMatchObject({
      code: "E_ABORTED",
    });
  });
});
