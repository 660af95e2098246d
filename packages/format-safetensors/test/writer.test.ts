import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import {
  createRegistry,
  type Draft,
  isFewbitError,
  type MetadataEntry,
  type Model,
  nameOf,
} from "@fewbit/core";
import { openModel } from "@fewbit/core/node";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import plugin, { dtypes, openSafetensors, shardNames, writeIndex, writer } from "../src/index.js";
import { alone, beside, source } from "./build.js";
import { missing, shared } from "./shared.js";

type DraftTensor = Draft["tensors"][number];

function tensor(name: string, dtype: string, shape: readonly number[], file = 0): DraftTensor {
  const bytes = (shape.reduce((a, b) => a * b, 1) * (dtypes.get(dtype)?.bits ?? 8)) / 8;
  return { name, dtype, shape, parts: [{ name: "", dtype, shape, bytes, per: "row" }], file };
}
const text = (key: string, value: string): MetadataEntry => ({ key, type: "string", value });
const draft = (tensors: readonly DraftTensor[], metadata: readonly MetadataEntry[] = []): Draft => ({
  metadata,
  tensors,
  files: 1,
});
const header = (asked: Draft): string => {
  const bytes = writer.layout(asked).files[0]!.header;
  return Buffer.from(bytes.subarray(8)).toString();
};
const filled = ({ header, size }: { header: Uint8Array; size: number }): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(size);
  bytes.set(header);
  return bytes;
};
/** A model as a draft that copies it. */
const copyOf = ({ metadata, tensors, files }: Model): Draft => ({
  metadata,
  tensors: tensors.map(({ name, dtype, shape, file }) => tensor(name, dtype, shape, file)),
  files: files.length,
});

test("the widest elements come first, then names in the order of their bytes; spaces align the data", () => {
  const asked = draft(
    [
      tensor("b", "U8", [3]),
      tensor("\u{1f600}", "F32", []),
      tensor("\uff5e", "F32", [2]),
      tensor("a", "BF16", [1]),
      tensor("long", "I64", [1]),
    ],
    [text("format", "pt")],
  );
  const said = header(asked);
  expect(said.trimEnd()).toBe(
    '{"__metadata__":{"format":"pt"},"long":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},' +
      '"\uff5e":{"dtype":"F32","shape":[2],"data_offsets":[8,16]},"\u{1f600}":{"dtype":"F32","shape":[],"data_offsets":[16,20]},' +
      '"a":{"dtype":"BF16","shape":[1],"data_offsets":[20,22]},"b":{"dtype":"U8","shape":[3],"data_offsets":[22,25]}}',
  );
  const { files, places } = writer.layout(asked);
  expect(files[0]!.header.length % 8).toBe(0);
  expect(files[0]!.size).toBe(files[0]!.header.length + 25);
  expect(places.map((place) => [place.tensor, place.offset - files[0]!.header.length])).toEqual([
    ["long", 0],
    ["\uff5e", 8],
    ["\u{1f600}", 16],
    ["a", 20],
    ["b", 22],
  ]);
});

test("the format's own library writes the same header", () => {
  // What the Python package safetensors 0.8.0 wrote for these; it offers no F4 and F6.
  const tensors = [...dtypes]
    .filter(([dtype]) => !/^F[46](_|$)/.test(dtype))
    .flatMap(([dtype]) =>
      ['\u00e9\n\u0007"', "\u{1f600}", "\uff5e", "z\u007f"].map((name) =>
        tensor(`${name} ${dtype}`, dtype, [3]),
      ),
    );
  const { header, size } = writer.layout(draft(tensors, [text("format", "pt")])).files[0]!;
  expect([tensors.length, size, createHash("sha256").update(header).digest("hex")]).toEqual([
    76,
    5936,
    "5a989c650fe57142ee2c8822ec020a6fc34e03a9308f74f261bc457ae2f1db14",
  ]);
});

test("names and keys that objects reorder or lose are kept", () => {
  const asked = draft(
    [tensor("__proto__", "U8", []), tensor("10", "U8", []), tensor("9", "U8", [])],
    [text("__proto__", "x"), text("1", '\u0007\n"')],
  );
  expect(header(asked)).toContain('{"__metadata__":{"__proto__":"x","1":"\\u0007\\n\\""},"10":{');
  expect(header(asked)).toContain('"__proto__":{"dtype":"U8"');
});

test("an empty model is an object without members", () => {
  expect(header(draft([]))).toBe("{}      ");
});

describe("what it cannot hold", () => {
  const thrown = (asked: Draft): unknown => {
    try {
      writer.layout(asked);
    } catch (error) {
      return error;
    }
    throw new Error("not refused");
  };
  test.each<[string, Draft, string, string]>([
    [
      "an unknown dtype",
      draft([tensor("a", "Q4_K", [256])]),
      "E_ST_DTYPE",
      '"a" cannot be stored: safetensors has no dtype Q4_K',
    ],
    ["the metadata's name", draft([tensor("__metadata__", "U8", [1])]), "E_ST_NAME", '"__metadata__"'],
    ["half of a character", draft([tensor("\ud800", "U8", [1])]), "E_ST_NAME", '"\\ud800"'],
    ["a tensor twice", draft([tensor("a", "U8", [1]), tensor("a", "U8", [2])]), "E_ST_DUP", "twice"],
    ["a fraction", draft([tensor("a", "U8", [0.5])]), "E_ST_SHAPE", "[0.5]"],
    ["a part of a byte", draft([tensor("a", "F4", [3])]), "E_PLUGIN_FAILED", "no whole number of"],
    [
      "other bytes",
      draft([{ ...tensor("a", "F32", [2]), parts: tensor("a", "F32", [3]).parts }]),
      "E_PLUGIN_FAILED",
      "takes 8 bytes in one part; its scheme says 12 bytes",
    ],
    [
      "two parts",
      draft([
        {
          ...tensor("a", "U8", [2]),
          parts: [
            ...tensor("a", "U8", [2]).parts,
            { name: "scale", dtype: "F32", shape: [1], bytes: 4, per: "tensor" },
          ],
        },
      ]),
      "E_PLUGIN_FAILED",
      "4 bytes (scale)",
    ],
    [
      "a number as metadata",
      draft([], [{ key: "n", type: "u32", value: 1 }]),
      "E_ST_METADATA",
      '"n" of type u32',
    ],
    ["half of a character as metadata", draft([], [text("n", "\udfff")]), "E_ST_METADATA", '"n"'],
    ["a key twice", draft([], [text("n", "1"), text("n", "2")]), "E_ST_DUP", "twice"],
    [
      "100 MB of metadata",
      draft([], [text("n", "x".repeat(100_000_000))]),
      "E_ST_HEADER_LENGTH",
      "at most 100000000",
    ],
  ])("%s", (_, asked, code, message) => {
    const error = thrown(asked);
    if (!isFewbitError(error)) throw error;
    expect(error.code).toBe(code);
    expect(error.message).toContain(message);
    expect(error.remedy).toBeTruthy();
  });
});

describe("what is written is read back", () => {
  const names = fc.oneof(
    fc.string({ unit: "grapheme" }),
    fc.string({ unit: "binary" }),
    fc.constantFrom("__proto__", "constructor", "", "0", "a/b"),
  );
  const shapes = fc.array(fc.nat(5), { maxLength: 4 });
  const tensors = fc.uniqueArray(
    fc.tuple(names, fc.constantFrom(...dtypes.keys()), shapes).map(([name, dtype, shape]) =>
      // Whole bytes for any dtype.
      tensor(name, dtype, [...shape, 4]),
    ),
    { selector: ({ name }) => name, maxLength: 12 },
  );
  const metadata = fc.uniqueArray(
    fc.tuple(names, names).map(([key, value]) => text(key, value)),
    { selector: ({ key }) => key, maxLength: 5 },
  );

  test("in one file", async () => {
    await fc.assert(
      fc.asyncProperty(tensors, metadata, async (tensors, metadata) => {
        const asked = draft(tensors, metadata);
        const { files, places } = writer.layout(asked);
        const model = await openSafetensors(source(filled(files[0]!)), alone);
        expect(model.warnings).toEqual([]);
        expect(model.metadata).toEqual(metadata);
        expect(model.tensors.map(({ name, offset }) => [name, offset])).toEqual(
          places.map((place) => [place.tensor, place.offset]),
        );
        for (const { name, dtype, shape, parts } of tensors)
          expect(model.tensors.find((found) => found.name === name)).toMatchObject({
            dtype,
            shape,
            bytes: parts[0]!.bytes,
          });
        // Aligned: to the element, where it has whole bytes.
        for (const { offset, dtype } of model.tensors)
          expect(offset % Math.max(1, dtypes.get(dtype)!.bits / 8) < 1).toBe(true);
        // And once more: the same bytes.
        expect(writer.layout(copyOf(model)).files[0]!.header).toEqual(files[0]!.header);
      }),
      { numRuns: 300 },
    );
  });

  test("in shards with their index", async () => {
    await fc.assert(
      fc.asyncProperty(
        tensors,
        metadata,
        fc.integer({ min: 1, max: 3 }),
        async (tensors, metadata, count) => {
          const asked: Draft = {
            metadata,
            tensors: tensors.map((each, i) => ({ ...each, file: i % count })),
            files: count,
          };
          if (tensors.length < count) return;
          const names = shardNames(count);
          const shards = Object.fromEntries(
            writer.layout(asked).files.map((file, i) => [names[i]!, filled(file)]),
          );
          const index = source(writeIndex(asked, names).slice(), "model.safetensors.index.json");
          const model = await openSafetensors(index, beside(shards));
          expect(model.warnings).toEqual([]);
          expect(model.metadata).toEqual(metadata);
          expect(model.files.map(nameOf)).toEqual(names);
          expect(model.tensors.map(({ name, file }) => `${file} ${name}`).sort()).toEqual(
            asked.tensors.map(({ name, file }) => `${file} ${name}`).sort(),
          );
        },
      ),
      { numRuns: 200 },
    );
  });
});

const absent = missing("models/TinyStories-656K-sharded");
describe.skipIf(absent !== undefined)(
  `checkpoints of transformers${absent === undefined ? "" : ` (${absent})`}`,
  () => {
    const registry = createRegistry([plugin]);

    test.each([
      ["models/TinyStories-656K", 1, 656_000],
      ["models/TinyStories-656K-sharded", 3, 656_000],
      ["models/stories260K", 1, undefined],
    ] as const)("%s", async (path, files, weights) => {
      const model = await openModel(shared(path), registry);
      expect(model.warnings).toEqual([]);
      expect(model.files).toHaveLength(files);
      expect(model.metadata).toEqual([text("format", "pt")]);
      if (weights !== undefined)
        expect(model.tensors.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)).toBe(
          weights,
        );
    });

    test("are written byte for byte, headers and index", async () => {
      for (const path of ["models/TinyStories-656K", "models/TinyStories-656K-sharded"]) {
        const model = await openModel(shared(path), registry);
        for (const [i, { header, size }] of writer.layout(copyOf(model)).files.entries()) {
          const original = readFileSync(nameOf(model.files[i]!));
          expect(size).toBe(original.length);
          expect(original.subarray(0, header.length).equals(header)).toBe(true);
        }
      }
      const model = await openModel(shared("models/TinyStories-656K-sharded"), registry);
      const names = model.files.map((at) => basename(nameOf(at)));
      expect(names).toEqual(shardNames(3));
      const original = readFileSync(
        shared("models/TinyStories-656K-sharded/model.safetensors.index.json"),
        "utf8",
      );
      // transformers ends it with a newline, which this copy lost.
      expect(Buffer.from(writeIndex(copyOf(model), names)).toString()).toBe(`${original.trimEnd()}\n`);
    });
  },
);
