import type { Draft, Model } from "@fewbit/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { splitBy, splitting, verbatim } from "../src/split.js";
import { writer } from "../src/writer.js";
import { model } from "./model.js";

describe("which file a tensor goes into", () => {
  test.each([
    ["one file where there is no limit", {}, [10, 20, 30], [0, 0, 0]],
    ["so many tensors each", { maxTensors: 2 }, [1, 1, 1, 1, 1], [0, 0, 1, 1, 2]],
    ["so many bytes each, with their padding", { maxBytes: 64 }, [1, 32, 33, 1], [0, 0, 1, 2]],
    ["exactly full", { maxBytes: 64 }, [32, 32, 64, 32, 32], [0, 0, 1, 2, 2]],
    ["one that is too large has its own", { maxBytes: 64 }, [1000, 1, 1000, 1], [0, 1, 2, 3]],
    ["either limit", { maxBytes: 96, maxTensors: 2 }, [32, 32, 32, 64, 64], [0, 0, 1, 1, 2]],
    ["none in the first", { maxTensors: 2, emptyFirst: true }, [1, 1, 1], [1, 1, 2]],
    ["a large one first, and none in the first", { maxBytes: 32, emptyFirst: true }, [64, 1], [1, 2]],
    ["empty tensors", { maxBytes: 32 }, [0, 32, 0, 32], [0, 0, 0, 1]],
    ["no tensors", { maxTensors: 1 }, [], []],
  ])("%s", (_, limit, sizes, files) => {
    expect(splitBy(limit)(sizes)).toEqual(files);
  });

  test("in order, within the limits, and no file that could have been left out", () => {
    const size = fc.nat(500);
    fc.assert(
      fc.property(
        fc.array(size, { minLength: 1 }),
        fc.integer({ min: 1, max: 9 }),
        size,
        (sizes, count, limit) => {
          const files = splitBy({ maxTensors: count, maxBytes: limit })(sizes);
          const padded = sizes.map((bytes) => Math.ceil(bytes / 32) * 32);
          const of = (file: number) => padded.filter((_, i) => files[i] === file);
          const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
          expect(files).toEqual([...files].sort((a, b) => a - b));
          for (let file = 0; file <= files.at(-1)!; file++) {
            const own = of(file);
            expect(own.length).toBeGreaterThan(0);
            expect(own.length).toBeLessThanOrEqual(count);
            if (own.length > 1) expect(sum(own)).toBeLessThanOrEqual(limit);
            const next = of(file + 1)[0];
            if (next !== undefined && own.length < count) expect(sum(own) + next).toBeGreaterThan(limit);
          }
        },
      ),
    );
  });

  test("more files than GGUF can count are refused", () => {
    const sizes = Array.from({ length: 65536 }, () => 1);
    expect(() => splitBy({ maxTensors: 1 })(sizes)).toThrow(
      expect.objectContaining({
        code: "E_USAGE",
        message: "The output would have 65536 files; GGUF counts up to 65535.",
        remedy: "Allow more bytes or tensors in each file.",
      }),
    );
    expect(splitBy({ maxTensors: 1 })(sizes.slice(1)).at(-1)).toBe(65534);
  });
});

describe("what a recipe says of a split output", () => {
  const context = { options: {} };
  const from: Model = model({ layers: 2 });
  const leftovers = ["split.no", "split.count", "split.tensors.count"].map((key) => ({
    key,
    type: "u16",
    value: 0,
  }));

  test("the keys come last, in llama-gguf-split's order, whatever the model says of itself", () => {
    const metadata = splitting(verbatim).metadata!(
      { ...from, metadata: [...leftovers, ...from.metadata] },
      context,
    );
    expect(metadata.map(({ key }) => key)).toEqual([
      ...from.metadata.map(({ key }) => key),
      "split.no",
      "split.tensors.count",
      "split.count",
    ]);
  });

  test("one file says nothing of a split", () => {
    expect(verbatim.metadata!({ ...from, metadata: [...leftovers, ...from.metadata] }, context)).toEqual(
      from.metadata,
    );
    const draft: Draft = { metadata: [...from.metadata, ...leftovers], tensors: [], files: 1 };
    expect(writer.layout(draft)).toEqual(writer.layout({ ...draft, metadata: from.metadata }));
  });

  test("every tensor is kept, in the order of the model", () => {
    const shuffled = { ...from, tensors: [...from.tensors].reverse() };
    expect(verbatim.assign(shuffled, context).map(({ tensor, scheme }) => [tensor, scheme])).toEqual(
      shuffled.tensors.map(({ name }) => [name, "keep"]),
    );
  });
});
