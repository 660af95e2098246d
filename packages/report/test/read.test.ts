import { describe, expect, test } from "vitest";
import { DocumentError, mergeReports, readReport } from "../src/read.js";
import { sample } from "./sample.js";

/** As `fewbit --json` writes it. */
const saved = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (_, item) =>
      typeof item === "number" && !Number.isFinite(item) ? String(item) : item,
    ),
  );

const errorDocument = {
  original: ["folder/model-f16.gguf"],
  quantized: ["model-Q4_K_M.gguf"],
  seconds: 1,
  total: {
    tensors: 2,
    originalBytes: 1600,
    quantizedBytes: 500,
    originalBitsPerWeight: 16,
    quantizedBitsPerWeight: 5,
    count: 800,
    mse: 1,
    rmse: 1,
    sqnr: 20,
    maxError: 2,
    cosine: 0.99,
  },
  types: {},
  tensors: [
    {
      name: "a",
      shape: [10, 70],
      original: { dtype: "F16", bytes: 1400 },
      quantized: { dtype: "Q4_K", bytes: 400 },
      count: 700,
      mse: 1,
      rmse: 1,
      sqnr: 20,
      maxError: 2,
      cosine: 0.99,
    },
    {
      name: "b",
      shape: [100],
      original: { dtype: "F16", bytes: 200 },
      quantized: { dtype: "F16", bytes: 200 },
      count: 100,
      mse: 0,
      rmse: 0,
      sqnr: "Infinity",
      maxError: 0,
      cosine: 1,
    },
  ],
  missing: [],
};

test("what was saved is read back as it was", () => {
  const data = sample(3, 2);
  expect(readReport(saved(data))).toEqual(data);
});

test("unknown fields are left out, null is absent", () => {
  const { candidates, ...rest } = sample(1);
  const read = readReport({
    ...rest,
    later: 1,
    text: null,
    candidates: [{ ...candidates[0], kld: null, extra: {} }],
  });
  expect(read).not.toHaveProperty("later");
  expect(read).not.toHaveProperty("text");
  expect(read.candidates[0]).not.toHaveProperty("kld");
});

test("an error document is a report of one candidate", () => {
  const { reference, candidates } = readReport(errorDocument);
  expect(reference).toEqual({
    name: "model-f16",
    file: "model-f16.gguf",
    bytes: 1600,
    bitsPerWeight: 16,
    type: "F16",
    parameters: 800,
  });
  expect(candidates).toHaveLength(1);
  expect(candidates[0]).toMatchObject({
    name: "model-Q4_K_M",
    type: "Q4_K",
    bitsPerWeight: 5,
    weights: { sqnr: 20 },
  });
  expect(candidates[0]!.tensors![1]!.sqnr).toBe(Number.POSITIVE_INFINITY);
});

describe("what is no document", () => {
  const data = saved(sample(2, 1)) as { candidates: Record<string, unknown>[]; reference: object };
  test.each([
    [3, "The document is 3; it should be an object."],
    [[], "The document is a list; it should be an object."],
    [{}, 'It has neither "reference" and "candidates"'],
    [{ ...data, candidates: {} }, "candidates is an object; it should be a list."],
    [
      { ...data, reference: { ...data.reference, bytes: -1 } },
      "reference.bytes is -1; it should be a number that is not negative.",
    ],
    [
      { ...data, candidates: [data.candidates[0], { ...data.candidates[1], kld: { mean: "high" } }] },
      'candidates[1].kld.mean is "high"; it should be a number.',
    ],
    [
      { ...data, candidates: [{ ...data.candidates[0], name: undefined }] },
      "candidates[0].name is missing; it should be a text.",
    ],
    [{ ...data, versions: { node: 20 } }, "versions.node is 20; it should be a text."],
  ])("%#", (document, message) => {
    expect(() => readReport(document)).toThrow(DocumentError);
    expect(() => readReport(document)).toThrow(message);
  });
});

describe("documents together", () => {
  test("a candidate gets what each knows, and the first counts", () => {
    const all = sample(3, 1);
    const first = { ...all, candidates: all.candidates.slice(0, 2).map(({ tensors: _, ...rest }) => rest) };
    const second = {
      ...all,
      candidates: all.candidates.slice(1).map((each) => ({ ...each, name: "other" })),
      commands: ["again"],
    };
    const merged = mergeReports(first, second);
    expect(merged.candidates.map(({ name }) => name)).toEqual(["model-Q8_0", "model-Q6_K", "other"]);
    expect(merged.candidates[0]!.tensors).toBeUndefined();
    expect(merged.candidates[1]!.tensors).toEqual(all.candidates[1]!.tensors);
    expect(merged.commands).toEqual([...all.commands!, "again"]);
  });
  test("of other references are refused", () => {
    const data = sample(1);
    const other = { ...data, reference: { ...data.reference, file: "other.gguf" } };
    expect(() => mergeReports(data, other)).toThrow(
      "Its reference is other.gguf, and that of the results before is model-bf16.gguf.",
    );
  });
});
