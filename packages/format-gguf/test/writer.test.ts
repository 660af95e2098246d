import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Draft, MetadataEntry, Model, Output, Source } from "@fewbit/core";
import { openFile } from "@fewbit/core/node";
import { GGMLQuantizationType, gguf } from "@huggingface/gguf";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openGguf } from "../src/reader.js";
import { recipes } from "../src/recipes.js";
import { tensorTypes } from "../src/types.js";
import { writer } from "../src/writer.js";
import { alone, build, cat, info, pair, small, source, string, u32, u64 } from "./build.js";
import { draft, storedTypes } from "./model.js";
import { missing, shared } from "./shared.js";

/** The files of an output, with `fill` in place of each tensor's data. */
function files(
  { files, places }: Output,
  { tensors }: Draft,
  fill: (name: string) => Uint8Array,
): Uint8Array<ArrayBuffer>[] {
  return files.map(({ header, size }, file) => {
    const bytes = new Uint8Array(size);
    bytes.set(header);
    places.forEach((place, i) => {
      if (place.file === file) bytes.set(fill(tensors[i]!.name), place.offset);
    });
    return bytes;
  });
}

const alike = (size: number, name: string) => new Uint8Array(size).fill(name.length);

describe("a file rewritten", () => {
  test("is the same file", async () => {
    const model = await openGguf(source(small()), alone);
    const plan = draft(model);
    const data = new Map(model.tensors.map((t) => [t.name, small().slice(t.offset, t.offset + t.bytes)]));
    const [bytes] = files(writer.layout(plan), plan, (name) => data.get(name)!);
    // The hand-made file has sevens where padding belongs.
    const want = small();
    want.fill(0, want.length - 30);
    expect(bytes).toEqual(want);
  });

  const scalar = fc.oneof(
    fc.tuple(fc.constantFrom(0, 1), fc.uint8Array({ minLength: 1, maxLength: 1 })),
    fc.tuple(fc.constantFrom(2, 3), fc.uint8Array({ minLength: 2, maxLength: 2 })),
    // NaN and its payloads come along with every other bit pattern.
    fc.tuple(
      fc.constantFrom(4, 5, 6),
      fc.oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.constant(Uint8Array.of(1, 0, 0xa0, 0x7f))),
    ),
    fc.tuple(fc.constant(7), fc.constantFrom(Uint8Array.of(0), Uint8Array.of(1))),
    // Text of any bytes, as vocabularies have it.
    fc.tuple(fc.constant(8), fc.uint8Array({ maxLength: 40 }).map(string)),
    fc.tuple(
      fc.constantFrom(10, 11, 12),
      fc.oneof(fc.uint8Array({ minLength: 8, maxLength: 8 }), fc.constant(new Uint8Array(8).fill(255))),
    ),
  );
  const value: fc.Arbitrary<readonly [number, Uint8Array]> = fc.oneof(
    scalar,
    scalar.chain(([type, one]) =>
      fc
        .array(fc.constant(one), { maxLength: 5 })
        .map((all): [number, Uint8Array] => [9, cat(u32(type), u64(all.length), ...all)]),
    ),
    fc.constant<[number, Uint8Array]>([
      9,
      cat(u32(9), u64(2), u32(0), u64(1), [5], u32(8), u64(1), string("x")),
    ]),
  );
  const key = fc.oneof(
    fc.constantFrom("__proto__", "constructor", "version", "tensor_count"),
    fc.string({ minLength: 1, maxLength: 12, unit: "grapheme" }).filter((text) => !text.includes("\0")),
  );
  const shapeOf = fc.tuple(
    fc.constantFrom(...[...tensorTypes.values()].map((type) => type.id)),
    fc.integer({ min: 0, max: 2 }),
    fc.array(fc.integer({ min: 2, max: 3 }), { maxLength: 3 }),
  );

  test("is the same for any metadata and tensors", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.tuple(key, value), { selector: ([name]) => name, maxLength: 8 }),
        fc.array(shapeOf, { maxLength: 5 }),
        fc.constantFrom(undefined, 8, 64, 4096),
        async (entries, shapes, alignment) => {
          const step = alignment ?? 32;
          let offset = 0;
          const infos = shapes.map(([id, blocks, rows], i) => {
            const { block, bytes } = [...tensorTypes.values()].find((type) => type.id === id)!;
            const at = offset;
            offset += Math.ceil((blocks * bytes * rows.reduce((a, b) => a * b, 1)) / step) * step;
            return info({ name: `tensor.${i}`, dims: [blocks * block, ...rows], type: id, offset: at });
          });
          const pairs = entries.map(([name, [type, bytes]]) => pair(name, type, bytes));
          if (alignment) pairs.push(pair("general.alignment", 4, u32(alignment)));
          const whole = build({ pairs, infos, data: new Uint8Array(offset).fill(3), alignment: step });
          const model = await openGguf(source(whole), alone);
          const output = writer.layout(draft(model));
          const { header, size } = output.files[0]!;
          expect(header).toEqual(whole.subarray(0, whole.length - offset));
          expect(size).toBe(whole.length);
          expect(output.places.map((place) => place.offset)).toEqual(model.tensors.map((t) => t.offset));
          // And from the values alone, as far as values can say it.
          const plain = model.metadata.filter(({ type }) => !type.includes("array<array"));
          const again = writer.layout({
            metadata: plain.map(({ key, type, value }) => ({ key, type, value })),
            tensors: [],
            files: 1,
          });
          const reread = await openGguf(source(Uint8Array.from(again.files[0]!.header)), alone);
          expect(reread.metadata.map(({ key, type, value }) => ({ key, type, value }))).toEqual(
            plain.map(({ key, type, value }) => ({ key, type, value })),
          );
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe("what cannot be written", () => {
  const entry = (type: string, value: unknown, key = "k"): Draft => ({
    metadata: [{ key, type, value }],
    tensors: [],
    files: 1,
  });
  const tensors = (...names: string[]): Draft => ({
    metadata: [],
    files: 1,
    tensors: names.map((name) => ({
      name,
      dtype: "F32",
      shape: [2],
      file: 0,
      parts: [{ name: "", dtype: "F32", shape: [2], bytes: 8, per: "tensor" }],
    })),
  });
  const one = (change: Partial<Draft["tensors"][number]>): Draft => {
    const plan = tensors("w");
    return { ...plan, tensors: [{ ...plan.tensors[0]!, ...change }] };
  };
  test.each<[string, Draft, string, RegExp]>([
    ["an unknown value type", entry("u7", 1), "E_GGUF_TYPE", /"1" is no u7/],
    ["a value of another type", entry("u32", "1"), "E_GGUF_TYPE", /"1" is no u32/],
    ["a value out of range", entry("u8", 256), "E_GGUF_TYPE", /"256" is no u8/],
    ["a fraction", entry("i32", 1.5), "E_GGUF_TYPE", /"1.5" is no i32/],
    ["an array of something else", entry("array<u8>", ["x"]), "E_GGUF_TYPE", /"x" is no u8/],
    ["no array", entry("array<u8>", 5), "E_GGUF_TYPE", /"5" is no array<u8>/],
    ["an empty key", entry("u8", 1, ""), "E_GGUF_KEY", /cannot hold the metadata key ""/],
    ["half a character in a key", entry("u8", 1, "\ud800"), "E_GGUF_KEY", /cannot hold/],
    [
      "a key twice",
      {
        ...entry("u8", 1),
        metadata: [
          { key: "k", type: "u8", value: 1 },
          { key: "k", type: "u8", value: 1 },
        ],
      },
      "E_GGUF_DUP_KEY",
      /written twice/,
    ],
    ["an odd alignment", entry("u32", 24, "general.alignment"), "E_GGUF_ALIGNMENT", /cannot be the u32 "24"/],
    ["a name twice", tensors("w", "w"), "E_GGUF_DUP_TENSOR", /"w" is to be written twice/],
    ["a long name", tensors("x".repeat(65)), "E_GGUF_NAME", /cannot hold the tensor name/],
    ["five dimensions", one({ shape: [2, 2, 2, 2, 2] }), "E_GGUF_NDIMS", /5 dimensions; GGUF allows 4/],
    [
      "a foreign type",
      one({ dtype: "INT8_CHANNEL" }),
      "E_GGUF_TENSOR_TYPE",
      /GGUF has no tensor type INT8_CHANNEL/,
    ],
    [
      "parts of another size",
      one({ shape: [3] }),
      "E_PLUGIN_FAILED",
      /as F32 takes 12 bytes in one part; its scheme says 8 bytes/,
    ],
    [
      "two parts",
      one({
        parts: [
          { name: "", dtype: "F32", shape: [2], bytes: 8, per: "row" },
          { name: "scale", dtype: "F32", shape: [1], bytes: 4, per: "row" },
        ],
      }),
      "E_PLUGIN_FAILED",
      /8 bytes, 4 bytes \(scale\)/,
    ],
  ])("%s", (_, plan, code, words) => {
    try {
      writer.layout(plan);
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({ code });
      expect((error as Error).message).toMatch(words);
    }
  });

  test("accepts says why", () => {
    expect(writer.accepts("Q4_K")).toBe(true);
    expect(writer.accepts("constructor")).toBe("GGUF has no tensor type constructor");
  });
});

describe("a split output", () => {
  test("is read back as one model", async () => {
    const model: Model = {
      ...(await openGguf(source(small()), alone)),
      files: [
        { kind: "file", path: "a" },
        { kind: "file", path: "b" },
      ],
    };
    const split = { ...model, tensors: model.tensors.map((t, file) => ({ ...t, file })) };
    const metadata: MetadataEntry[] = [
      { key: "split.count", type: "u16", value: 9 },
      ...model.metadata,
      { key: "general.alignment", type: "u32", value: 64 },
    ];
    const plan = draft(split, metadata);
    const written = files(writer.layout(plan), plan, (name) => alike(8, name));
    const names = writer.fileNames("/out/m.gguf", 2);
    expect(names).toEqual(["/out/m-00001-of-00002.gguf", "/out/m-00002-of-00002.gguf"]);
    const sibling = async (name: string): Promise<Source> =>
      source(written[names.indexOf(`/out/${name}`)]!, name);
    const again = await openGguf(source(written[0]!, names[0]), sibling);
    expect(again.metadata.map(({ key, type, value }) => [key, type, value])).toEqual([
      ["general.architecture", "string", "llama"],
      ["general.alignment", "u32", 64],
      ["split.no", "u16", 0],
      ["split.count", "u16", 2],
      ["split.tensors.count", "i32", 2],
    ]);
    expect(again.tensors.map((t) => [t.name, t.file])).toEqual([
      ["a.weight", 0],
      ["b.weight", 1],
    ]);
    // Alignment is said in the first file only, so the second has the default.
    expect(again.tensors[0]!.offset % 64).toBe(0);
    expect(written[1]!.length % 32).toBe(0);
  });

  test("file names", () => {
    expect(writer.fileNames("m.gguf", 1)).toEqual(["m.gguf"]);
    expect(writer.fileNames("m-00003-of-00007.gguf", 2)).toEqual([
      "m-00001-of-00002.gguf",
      "m-00002-of-00002.gguf",
    ]);
    expect(writer.fileNames("m", 100_000)[99_999]).toBe("m-100000-of-100000.gguf");
  });
});

describe("read by @huggingface/gguf", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "fewbit-gguf-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test("our files say the same", async () => {
    const metadata: MetadataEntry[] = [
      { key: "general.architecture", type: "string", value: "llama" },
      { key: "a.u8", type: "u8", value: 255 },
      { key: "a.i16", type: "i16", value: -2 },
      { key: "a.u32", type: "u32", value: 4294967295 },
      { key: "a.f32", type: "f32", value: 1.5 },
      { key: "a.f64", type: "f64", value: Math.PI },
      { key: "a.bool", type: "bool", value: true },
      { key: "a.u64", type: "u64", value: 18446744073709551615n },
      { key: "a.i64", type: "i64", value: -9223372036854775808n },
      { key: "a.words", type: "array<string>", value: ["é", "", "two words"] },
      { key: "a.numbers", type: "array<i32>", value: Int32Array.of(-1, 2, 3) },
    ];
    const every = [...tensorTypes.values()];
    const plan: Draft = {
      metadata,
      files: 1,
      tensors: every.map(({ name, block, bytes }) => {
        const shape = [3, 2, block];
        return {
          name: `t.${name}`,
          dtype: name,
          shape,
          file: 0,
          parts: [{ name: "", dtype: name, shape, bytes: bytes * 6, per: "row" }],
        };
      }),
    };
    const output = writer.layout(plan);
    const path = join(folder, "m.gguf");
    writeFileSync(path, files(output, plan, () => Uint8Array.of(1))[0]!);
    const theirs = await gguf(path, { allowLocalFile: true, typedMetadata: true });
    for (const { key, value } of metadata)
      expect(theirs.typedMetadata[key]!.value, key).toEqual(key === "a.numbers" ? [-1, 2, 3] : value);
    expect(theirs.metadata).toMatchObject({
      version: 3,
      tensor_count: BigInt(every.length),
      kv_count: BigInt(metadata.length),
    });
    expect(
      theirs.tensorInfos.map((t) => [
        t.name,
        GGMLQuantizationType[t.dtype],
        t.shape.map(Number),
        Number(t.offset),
      ]),
    ).toEqual(
      every.map(({ name, block }, i) => [
        `t.${name}`,
        name,
        [block, 2, 3],
        output.places[i]!.offset - output.files[0]!.header.length,
      ]),
    );
    expect(Number(theirs.tensorDataOffset)).toBe(output.files[0]!.header.length);
  });
});

const absent = missing("golden-model/tiny-results.json");
describe.skipIf(absent !== undefined)(`files that llama.cpp wrote${absent ? ` (${absent})` : ""}`, () => {
  interface Result {
    name: string;
    imatrix: number;
    rc: number;
    bytes: number;
    file_sha256: string;
  }

  test("have the size we plan, and the same bytes where nothing is encoded", async () => {
    const opened = await openFile(shared("golden-model/tiny-bf16.gguf"));
    const tiny = await openGguf(opened, alone);
    const { results } = JSON.parse(readFileSync(shared("golden-model/tiny-results.json"), "utf8")) as {
      results: Result[];
    };
    const bytes = readFileSync(shared("golden-model/tiny-bf16.gguf"));
    await opened.close();
    const at = new Map(tiny.tensors.map((t) => [t.name, t]));
    let sizes = 0;
    let hashes = 0;
    for (const { name, imatrix, rc, bytes: size, file_sha256 } of results) {
      const recipe = recipes.find(({ id }) => id === name);
      if (rc !== 0 || recipe === undefined) continue;
      // A matrix without a file leaves no metadata, as when the library is called and not the tool.
      const context = {
        options: {},
        ...(imatrix ? { importance: { tensors: new Map(), datasets: [], chunks: 0 } } : {}),
      };
      const stored = storedTypes(tiny, recipe.assign(tiny, context));
      const ordered = { ...tiny, tensors: [...stored.keys()].map((tensor) => at.get(tensor)!) };
      const plan = draft(ordered, recipe.metadata!(tiny, context), (tensor) => stored.get(tensor)!);
      const output = writer.layout(plan);
      expect(output.files[0]!.size, name).toBe(size);
      sizes++;
      if ([...stored].some(([tensor, dtype]) => at.get(tensor)!.dtype !== dtype)) continue;
      const [written] = files(output, plan, (tensor) =>
        bytes.subarray(at.get(tensor)!.offset, at.get(tensor)!.offset + at.get(tensor)!.bytes),
      );
      expect(createHash("sha256").update(written!).digest("hex"), name).toBe(file_sha256);
      hashes++;
    }
    expect(sizes).toBeGreaterThan(50);
    expect(hashes).toBeGreaterThan(0);
  });
});
