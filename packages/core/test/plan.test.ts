import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { makePlan, splitJobs, summarise } from "../src/plan.js";
import { createRegistry } from "../src/registry.js";
import type { ImportanceMatrix, Model, Recipe, Scheme } from "../src/types.js";
import plugin, { everything, flatWriter, modelOf, topScheme } from "./top16.js";

const registry = createRegistry([plugin]);
const context = { options: {} };
const plan = (model: Model, recipe: Recipe, more: object = {}) =>
  makePlan({ model, recipe, context, registry, writer: flatWriter, ...more }).plan;

/** A registry whose TOP16 does something else with importance. */
const withImportance = (importance: Scheme["importance"]) =>
  createRegistry([{ ...plugin, schemes: [{ ...topScheme, importance }] }]);
const matrix = (values: Record<string, number[]>): ImportanceMatrix => ({
  tensors: new Map(Object.entries(values).map(([name, row]) => [name, Float32Array.from(row)])),
  datasets: [],
  chunks: 0,
});

describe("a plugin that breaks its promises while a plan is made", () => {
  const from = modelOf("x", [
    { name: "a", shape: [8, 32], bytes: 1024 },
    { name: "b", shape: [8, 32], bytes: 1024 },
  ]);
  const all = everything("TOP16");
  const oops = () => {
    throw new TypeError("oops");
  };
  const broken = createRegistry([{ ...plugin, schemes: [{ ...topScheme, layout: oops }] }]);
  const remedy = "Report it to the authors of the plugin that brings it.";

  test.each<[string, Recipe, object]>([
    ["The recipe all-TOP16 leaves out b.", { ...all, assign: (m, c) => all.assign(m, c).slice(0, 1) }, {}],
    [
      "The recipe all-TOP16 assigns a twice.",
      { ...all, assign: (m, c) => [...all.assign(m, c), all.assign(m, c)[0]!] },
      {},
    ],
    [
      "The recipe all-TOP16 assigns c, which the model lacks.",
      { ...all, assign: () => [{ tensor: "c", scheme: "keep", reason: "" }] },
      {},
    ],
    ["The recipe all-TOP16 failed: oops", { ...all, assign: oops }, {}],
    ["The recipe all-TOP16 failed: oops", { ...all, metadata: oops }, {}],
    ["The layout of top16:TOP16 failed: oops", all, { registry: broken }],
    ["The writer flat failed: oops", all, { writer: { ...flatWriter, layout: oops } }],
  ])("%s", (message, recipe, more) => {
    expect(() => plan(from, recipe, more)).toThrow(
      expect.objectContaining({ code: "E_PLUGIN_FAILED", message, remedy }),
    );
  });
});

describe("an output that is split", () => {
  const from = modelOf("x", [
    { name: "a", shape: [8, 32], bytes: 1024 },
    { name: "b", shape: [4, 32], bytes: 512 },
    { name: "c", shape: [8, 32], bytes: 1024 },
  ]);

  test("each tensor lies in the file it was given, by the bytes it takes there", () => {
    let seen: readonly number[] = [];
    const made = plan(from, everything("TOP16"), {
      assignFiles: (bytes: readonly number[]) => {
        seen = bytes;
        return [1, 1, 2];
      },
    });
    expect(seen).toEqual(made.tensors.map(({ to }) => to.parts.reduce((sum, part) => sum + part.bytes, 0)));
    expect(made.tensors.map(({ to }) => to.parts[0]!.file)).toEqual([1, 1, 2]);
    expect(made.files).toHaveLength(3);
  });

  test("one file where all are given the first", () => {
    expect(plan(from, everything("keep"), { assignFiles: () => [0, 0, 0] }).files).toHaveLength(1);
  });
});

describe("plan", () => {
  test("is JSON without a path", () => {
    const made = plan(
      modelOf("/somewhere/model.raw", [{ name: "w", shape: [8, 32], bytes: 1024 }]),
      everything("TOP16"),
    );
    expect(JSON.parse(JSON.stringify(made))).toEqual(made);
    expect(JSON.stringify(made)).not.toContain("somewhere");
  });

  test("chunks cover every row once, never cross a matrix, and are whole", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 3000 }),
        fc.integer({ min: 1, max: 3000 }),
        (experts, rows, columns) => {
          const made = plan(
            modelOf("x", [
              { name: "w", shape: [experts, rows, columns], bytes: experts * rows * columns * 4 },
            ]),
            everything("TOP16"),
          );
          let next = 0;
          for (const job of splitJobs({
            plan: made,
            from: [{ kind: "file", path: "x" }],
            to: [{ kind: "file", path: "y" }],
            pass: "encode",
          })) {
            expect(job.firstRow).toBe(next);
            expect(Math.floor(job.firstRow / rows)).toBe(Math.floor((job.firstRow + job.rows - 1) / rows));
            expect(job.read).toMatchObject({
              offset: job.firstRow * columns * 4,
              bytes: job.rows * columns * 4,
            });
            expect(job.write[0]).toMatchObject({
              offset: 8 + job.firstRow * columns * 2,
              bytes: job.rows * columns * 2,
            });
            next += job.rows;
          }
          expect(next).toBe(experts * rows);
        },
      ),
      { numRuns: 50 },
    );
  });

  test("a tensor that has the type already is copied", () => {
    const made = plan(
      modelOf("x", [{ name: "w", shape: [2, 32], dtype: "TOP16", bytes: 128 }]),
      everything("TOP16"),
    );
    expect(made.tensors[0]!.to.plugin).toBeUndefined();
    expect(made.tensors[0]!.reason).toBe("asked for; already TOP16");
    const [job] = splitJobs({
      plan: made,
      from: [{ kind: "file", path: "x" }],
      to: [{ kind: "file", path: "y" }],
      pass: "encode",
    });
    expect(job).toMatchObject({ pass: "copy", read: { bytes: 128 }, write: [{ offset: 8, bytes: 128 }] });
  });

  test("a quantized source is refused unless allowed", () => {
    const model = modelOf("x", [{ name: "w", shape: [2, 32], dtype: "TOP16", bytes: 128 }]);
    expect(() => plan(model, everything("TENSOR8"))).toThrow(
      "w is TOP16 already; quantizing it again would add a second error to the first.",
    );
    expect(plan(model, everything("TENSOR8"), { allowRequantize: true }).tensors[0]!.from.plugin).toBe(
      "top16",
    );
  });

  test("importance goes to each expert's own chunk", () => {
    const model = modelOf("x", [{ name: "w", shape: [2, 3, 4], bytes: 96 }]);
    const importance = matrix({ w: [1, 2, 3, 4, 5, 6, 7, 8] });
    const made = plan(model, everything("TOP16"), {
      registry: withImportance("used"),
      context: { options: {}, importance },
    });
    expect(made.tensors[0]!.importance).toBe(true);
    const jobs = [
      ...splitJobs({
        plan: made,
        importance,
        from: [{ kind: "file", path: "x" }],
        to: [{ kind: "file", path: "y" }],
        pass: "encode",
      }),
    ];
    expect(jobs.map((job) => [job.firstRow, [...job.importance!]])).toEqual([
      [0, [1, 2, 3, 4]],
      [3, [5, 6, 7, 8]],
    ]);
  });

  test("importance that is missing or of another shape is refused by name", () => {
    const model = modelOf("x", [{ name: "w", shape: [2, 4], bytes: 32 }]);
    const required = withImportance("required");
    expect(() => plan(model, everything("TOP16"), { registry: required })).toThrow(
      "w becomes TOP16, which cannot be made without an importance matrix.",
    );
    expect(() =>
      plan(model, everything("TOP16"), {
        registry: required,
        context: { options: {}, importance: matrix({ v: [1] }) },
      }),
    ).toThrow("the one given has no entry for it");
    expect(() =>
      plan(model, everything("TOP16"), {
        registry: required,
        context: { options: {}, importance: matrix({ w: [1, 2] }) },
      }),
    ).toThrow("The importance of w has 2 values; its rows need 4.");
  });

  test("what the container cannot hold is refused", () => {
    const model = modelOf("x", [{ name: "w", shape: [2, 4], dtype: "BAD", bytes: 32 }]);
    const keep: Recipe = {
      ...everything("keep"),
      assign: (m) => m.tensors.map((t) => ({ tensor: t.name, scheme: "keep", reason: "copy" })),
    };
    expect(() => plan(model, keep)).toThrow("w cannot be stored as BAD: flat files hold nothing bad");
  });

  test("a row too long for a worker's memory is refused", () => {
    expect(() =>
      plan(modelOf("x", [{ name: "w", shape: [1, 2 ** 23], bytes: 2 ** 25 }]), everything("TOP16")),
    ).toThrow("w has rows of 8388608 weights");
  });

  test("an empty tensor takes no job", () => {
    const made = plan(modelOf("x", [{ name: "w", shape: [0, 32], bytes: 0 }]), everything("TOP16"));
    expect([
      ...splitJobs({
        plan: made,
        from: [{ kind: "file", path: "x" }],
        to: [{ kind: "file", path: "y" }],
        pass: "encode",
      }),
    ]).toEqual([]);
  });

  test("the summary counts weights, bytes and types", () => {
    const made = plan(
      modelOf("x", [
        { name: "w", shape: [8, 32], bytes: 1024 },
        { name: "v", shape: [64], bytes: 256 },
      ]),
      everything("TENSOR8"),
    );
    expect(summarise(made)).toMatchObject({
      weights: 320,
      bytesBefore: 1280,
      bytesAfter: 256 + 4 + 128,
      fileBytes: 8 + 388,
      bitsPerWeightBefore: 32,
    });
    expect(summarise(made).types.get("TENSOR8")).toEqual({ tensors: 1, weights: 256, bytes: 260 });
  });
});
