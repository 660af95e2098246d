import { FewbitError, isFewbitError, type Source } from "@fewbit/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { openGguf, reader } from "../src/reader.js";
import { scan } from "../src/scan.js";
import { alone, build, cat, info, pair, small, source, string, u32, u64 } from "./build.js";

async function refusal(bytes: Uint8Array<ArrayBuffer>, name?: string): Promise<FewbitError> {
  const outcome = await scan(source(bytes, name)).catch((error: unknown) => error);
  if (!isFewbitError(outcome)) throw new Error(`not refused: ${String(outcome)}`);
  return outcome;
}

const f32 = (name: string | Uint8Array, offset: number | bigint = 0, dims: (number | bigint)[] = [8, 2]) =>
  info({ name, dims, type: 0, offset });
const data = new Uint8Array(64);

describe("a good file", () => {
  test("is described by its model", async () => {
    const model = await openGguf(source(small()), alone);
    expect(model).toMatchObject({
      format: "gguf",
      warnings: [],
      metadata: [{ key: "general.architecture", type: "string", value: "llama" }],
      tensors: [
        { name: "a.weight", shape: [2, 8], dtype: "F32", file: 0, bytes: 64 },
        { name: "b.weight", shape: [32], dtype: "Q8_0", file: 0, bytes: 34 },
      ],
    });
    expect(model.tensors[1]!.offset - model.tensors[0]!.offset).toBe(64);
    expect(model.metadata[0]!.raw).toEqual(string("llama"));
  });

  test("is recognised by its first bytes or its name", () => {
    expect(reader.sniff(small(), "model.bin")).toBe(true);
    expect(reader.sniff(new Uint8Array(0), "MODEL.GGUF")).toBe(true);
    expect(reader.sniff(new Uint8Array(0), "model.gguf.partial")).toBe(true);
    expect(reader.sniff(new TextEncoder().encode("GGML"), "model.bin")).toBe(false);
  });

  test("may be longer than one block, in one value or in many", async () => {
    const tokens = Array.from({ length: 40_000 }, (_, i) => `token ${i}`);
    const bytes = build({
      pairs: [
        pair("tokenizer.ggml.tokens", 9, cat(u32(8), u64(tokens.length), ...tokens.map((t) => string(t)))),
        pair("numbers", 9, cat(u32(6), u64(100_000), new Uint8Array(400_000))),
        pair("last", 4, u32(7)),
      ],
      infos: [f32("w")],
      data,
    });
    let calls = 0;
    const whole = source(bytes);
    const counting: Source = {
      ...whole,
      read: (offset, into) => {
        calls++;
        return whole.read(offset, into);
      },
    };
    const { metadata, tensors } = await scan(counting);
    expect(metadata[0]!.value).toEqual(tokens);
    expect(metadata[1]!.value).toEqual(new Float32Array(100_000));
    expect(metadata[2]!.value).toBe(7);
    expect(tensors[0]!.offset).toBe(bytes.length - 64);
    expect(calls).toBeGreaterThan(2);
    expect(calls).toBeLessThan(12);
  });

  test("has values of every type", async () => {
    const value = (type: number, ...bytes: number[]) => pair(`k${type}`, type, Uint8Array.from(bytes));
    const { metadata } = await scan(
      source(
        build({
          pairs: [
            value(0, 255),
            value(1, 255),
            value(2, 255, 255),
            value(3, 255, 255),
            value(4, 255, 255, 255, 255),
            value(5, 255, 255, 255, 255),
            value(6, 0, 0, 192, 63),
            value(7, 1),
            value(10, ...Array(8).fill(255)),
            value(11, ...Array(8).fill(255)),
            value(12, 0, 0, 0, 0, 0, 0, 248, 63),
            pair("bools", 9, cat(u32(7), u64(2), [1, 0])),
            pair("words", 9, cat(u32(10), u64(1), Array(8).fill(255))),
            pair("nested", 9, cat(u32(9), u64(2), u32(0), u64(1), [5], u32(0), u64(0))),
            pair("mixed", 9, cat(u32(9), u64(2), u32(0), u64(1), [5], u32(1), u64(0))),
            pair("none", 9, cat(u32(4), u64(0))),
          ],
        }),
      ),
    );
    expect(metadata.map(({ type, value }) => [type, value])).toEqual([
      ["u8", 255],
      ["i8", -1],
      ["u16", 65535],
      ["i16", -1],
      ["u32", 4294967295],
      ["i32", -1],
      ["f32", 1.5],
      ["bool", true],
      ["u64", 18446744073709551615n],
      ["i64", -1n],
      ["f64", 1.5],
      ["array<bool>", [true, false]],
      ["array<u64>", BigUint64Array.of(18446744073709551615n)],
      ["array<array<u8>>", [Uint8Array.of(5), new Uint8Array(0)]],
      ["array<array>", [Uint8Array.of(5), new Int8Array(0)]],
      ["array<u32>", new Uint32Array(0)],
    ]);
  });
});

test("a big-endian file is read with its numbers right, and marked so that nobody quantizes it", async () => {
  const swap = (bytes: Uint8Array): Uint8Array => bytes.slice().reverse();
  const text = (value: string): Uint8Array => cat(swap(u64(value.length)), new TextEncoder().encode(value));
  const bytes = cat(
    new TextEncoder().encode("GGUF"),
    swap(u32(3)),
    swap(u64(1)),
    swap(u64(3)),
    text("a"),
    swap(u32(4)),
    swap(u32(258)),
    text("b"),
    swap(u32(9)),
    swap(u32(2)),
    swap(u64(2)),
    [1, 2, 3, 4],
    text("c"),
    swap(u32(9)),
    swap(u32(8)),
    swap(u64(1)),
    text("word"),
    text("w"),
    swap(u32(1)),
    swap(u64(8)),
    swap(u32(0)),
    swap(u64(0)),
  );
  const whole = cat(bytes, new Uint8Array(32 - (bytes.length % 32)), new Uint8Array(32));
  const model = await openGguf(source(whole), alone);
  expect(model.metadata).toEqual([
    { key: "a", type: "u32", value: 258 },
    { key: "b", type: "array<u16>", value: Uint16Array.of(0x0102, 0x0304) },
    { key: "c", type: "array<string>", value: ["word"] },
  ]);
  expect(model.tensors[0]).toMatchObject({ shape: [8], dtype: "F32 (big-endian)", bytes: 32 });
  expect(model.warnings).toEqual(["The file is big-endian: it can be inspected, and nothing else."]);
});

describe("what is refused, where and with which words", () => {
  const named = (key: string) => pair(key, 4, u32(1));
  test.each<[string, Uint8Array<ArrayBuffer>, string, number, string, RegExp]>([
    ["an empty file", build().subarray(0, 0), "E_GGUF_TRUNCATED", 0, "magic", /file has 0/],
    [
      "counts cut off",
      build().subarray(0, 20),
      "E_GGUF_TRUNCATED",
      16,
      "kv_count",
      /up to 24, the file has 20/,
    ],
    ["another magic", build({ magic: "GGML" }), "E_GGUF_MAGIC", 0, "magic", /no GGUF file/],
    ["version 1", build({ version: 1 }), "E_GGUF_VERSION", 4, "version", /version 1, which was replaced/],
    ["version 4", build({ version: 4 }), "E_GGUF_VERSION", 4, "version", /version 4; versions 2 and 3/],
    [
      "2^63 pairs",
      build({ pairCount: 2n ** 63n }),
      "E_GGUF_COUNT",
      16,
      "kv_count",
      /9223372036854775808 metadata/,
    ],
    [
      "2^60 tensors",
      build({ infoCount: 2n ** 60n }),
      "E_GGUF_COUNT",
      8,
      "tensor_count",
      /tensors of at least 24/,
    ],
    ["an empty key", build({ pairs: [named("")] }), "E_GGUF_KEY", 24, "kv[0].key", /is empty/],
    [
      "NUL in a key",
      build({ pairs: [named("a\0b")] }),
      "E_GGUF_KEY",
      24,
      "kv[0].key",
      /"a\\u0000b" contains NUL/,
    ],
    [
      "a key that is no text",
      build({ pairs: [pair(Uint8Array.of(0xff), 4, u32(1))] }),
      "E_GGUF_UTF8",
      24,
      "kv[0].key",
      /not UTF-8/,
    ],
    [
      "a key twice",
      build({ pairs: [named("k"), named("k")] }),
      "E_GGUF_DUP_KEY",
      41,
      "kv[1].key",
      /24 and at byte 41/,
    ],
    ["value type 13", build({ pairs: [pair("k", 13, u64(0))] }), "E_GGUF_TYPE", 33, "kv[0].type", /type 13/],
    [
      "a string past the end",
      build({ pairs: [pair("k", 8, u64(2n ** 40n))] }),
      "E_GGUF_STRING",
      37,
      "kv[0].value.length",
      /1099511627776 bytes long/,
    ],
    [
      "element type 13",
      build({ pairs: [pair("k", 9, cat(u32(13), u64(0)))] }),
      "E_GGUF_TYPE",
      37,
      "kv[0].value.type",
      /array "k" has the type 13/,
    ],
    [
      "an array that wraps",
      build({ pairs: [pair("k", 9, cat(u32(10), u64(2n ** 61n)))] }),
      "E_GGUF_ARRAY",
      41,
      "kv[0].value.count",
      /2305843009213693952 u64/,
    ],
    [
      "nine nested arrays",
      build({ pairs: [pair("k", 9, cat(...Array(20).fill(cat(u32(9), u64(1)))))] }),
      "E_GGUF_NESTING",
      37,
      "kv[0].value",
      /more than 8 deep/,
    ],
    [
      "a boolean of 2",
      build({ pairs: [pair("k", 7, Uint8Array.of(2))] }),
      "E_GGUF_BOOL",
      37,
      "kv[0].value",
      /as 2/,
    ],
    [
      "an alignment of 24",
      build({ pairs: [pair("general.alignment", 4, u32(24))] }),
      "E_GGUF_ALIGNMENT",
      53,
      "kv[0].value",
      /is 24; it must be a power of two/,
    ],
    [
      "an alignment of type u64",
      build({ pairs: [pair("general.alignment", 10, u64(32))] }),
      "E_GGUF_ALIGNMENT",
      49,
      "kv[0].type",
      /stored as u64; it must be u32/,
    ],
    [
      "token scores as bytes",
      build({ pairs: [pair("tokenizer.ggml.scores", 9, cat(u32(0), u64(1), [1]))] }),
      "E_GGUF_VALUE",
      57,
      "kv[0].type",
      /scores is stored as array<u8>; it must be array<f32> or array<i32>/,
    ],
    ["an empty name", build({ infos: [f32("")], data }), "E_GGUF_NAME", 24, "tensor[0].name", /empty name/],
    [
      "a name of 65",
      build({ infos: [f32("x".repeat(65))], data }),
      "E_GGUF_NAME",
      24,
      "tensor[0].name",
      /65 bytes long/,
    ],
    [
      "a name twice",
      build({ infos: [f32("w"), f32("w", 64)], data: cat(data, data) }),
      "E_GGUF_DUP_TENSOR",
      65,
      "tensor[1].name",
      /"w" occurs twice, at byte 24 and at byte 65/,
    ],
    [
      "five dimensions",
      build({ infos: [f32("w", 0, [1, 1, 1, 1, 1])], data }),
      "E_GGUF_NDIMS",
      33,
      "tensor[0].n_dims",
      /5 dimensions/,
    ],
    [
      "a dimension of 2^53",
      build({ infos: [f32("w", 0, [1, 2n ** 53n])], data }),
      "E_GGUF_SHAPE",
      45,
      "tensor[0].dims[1]",
      /Dimension 1 of "w" is 9007199254740992/,
    ],
    [
      "a shape that wraps to nothing",
      build({ infos: [f32("w", 0, [2n ** 32n, 2n ** 32n, 0])], data }),
      "E_GGUF_SHAPE",
      37,
      "tensor[0].dims",
      /overflows 64 bits/,
    ],
    [
      "an unknown tensor type",
      build({ infos: [info({ name: "w", dims: [32], type: 99, offset: 0 })], data }),
      "E_GGUF_TENSOR_TYPE",
      45,
      "tensor[0].type",
      /type 99, which is not defined/,
    ],
    [
      "a removed tensor type",
      build({ infos: [info({ name: "w", dims: [32], type: 4, offset: 0 })], data }),
      "E_GGUF_TENSOR_TYPE",
      45,
      "tensor[0].type",
      /\(Q4_2\), which was removed/,
    ],
    [
      "half a block",
      build({ infos: [info({ name: "w", dims: [48], type: 8, offset: 0 })], data }),
      "E_GGUF_BLOCK",
      37,
      "tensor[0].dims[0]",
      /Q8_0 with rows of 48/,
    ],
    [
      "data cut off",
      build({ infos: [f32("w")], data: data.subarray(0, 60) }),
      "E_GGUF_BOUNDS",
      57,
      "tensor[0].offset",
      /96 to 160; the file has 156 bytes/,
    ],
    [
      "an offset that wraps",
      build({ infos: [f32("w", 2n ** 64n - 32n)], data }),
      "E_GGUF_BOUNDS",
      57,
      "tensor[0].offset",
      /lies at bytes/,
    ],
    [
      "an odd offset",
      build({ infos: [f32("w", 4, [8])], data }),
      "E_GGUF_OFFSET",
      49,
      "tensor[0].offset",
      /no multiple of the alignment 32/,
    ],
    [
      "two tensors in one place",
      build({ infos: [f32("v"), f32("w", 32)], data: cat(data, data) }),
      "E_GGUF_OVERLAP",
      98,
      "tensor[1].offset",
      /"v" and of "w" overlap/,
    ],
    [
      "a gap",
      build({ infos: [f32("v", 32)], data: cat(data, data) }),
      "E_GGUF_HOLE",
      57,
      "tensor[0].offset",
      /32 unexplained bytes/,
    ],
    [
      "another order",
      build({ infos: [f32("v", 64), f32("w", 0)], data: cat(data, data) }),
      "E_GGUF_OFFSET",
      57,
      "tensor[0].offset",
      /must begin at 0/,
    ],
  ])("%s", async (_, bytes, code, offset, key, words) => {
    const error = await refusal(Uint8Array.from(bytes), "folder/model.gguf");
    expect(error.code).toBe(code);
    expect(error.at).toMatchObject({ file: "folder/model.gguf", offset, key });
    expect(error.message).toMatch(words);
    expect(error.remedy).toMatch(/\w/);
  });

  test.each([
    ["PK\x03\x04rest", /zip archive.*PyTorch/],
    ["version https://git-lfs.github.com/spec/v1", /Git LFS pointer/],
    ["<!DOCTYPE html>", /HTML page/],
    ['\x10\0\0\0\0\0\0\0{"a":', /safetensors/],
    ["\0\0\0\0\0\0\0\0", /interrupted write/],
    ["tjgg\x03\0\0\0", /old GGML/],
    ["FUGG\x03\0\0\0", /reversed/],
    ['{"error": "not found"}', /JSON/],
    ["\x1f\x8b\x08\0", /compressed/],
    ["hello there", /no GGUF file/],
  ])("says what a foreign file looks like: %j", async (head, words) => {
    const error = await refusal(Uint8Array.from(head, (c) => c.charCodeAt(0)));
    expect(error.code).toBe("E_GGUF_MAGIC");
    expect(error.message).toMatch(words);
  });
});

describe("damage", () => {
  test("every prefix of a file is refused, with an offset inside it", async () => {
    const whole = small();
    // Only the padding after the last tensor may be missing.
    const needed = whole.length - 64 + 34;
    for (let length = 0; length < needed; length++) {
      const error = await refusal(whole.slice(0, length));
      expect(error.at.offset).toBeLessThanOrEqual(length);
    }
    for (let length = needed; length <= whole.length; length++) await scan(source(whole.slice(0, length)));
  });

  test("any changed bytes give a model or a coded error", async () => {
    const whole = small();
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(whole.length - 1), fc.constantFrom(0, 1, 7, 127, 128, 254, 255)), {
          minLength: 1,
          maxLength: 3,
        }),
        async (changes) => {
          const bytes = whole.slice();
          for (const [at, value] of changes) bytes[at] = value;
          const outcome = await scan(source(bytes)).catch((error: unknown) => error);
          if (outcome instanceof Error && !isFewbitError(outcome)) throw outcome;
          if (isFewbitError(outcome)) expect(outcome.at.offset).toBeLessThanOrEqual(bytes.length);
          else
            for (const t of (outcome as { tensors: { offset: number; bytes: number }[] }).tensors)
              expect(t.offset + t.bytes).toBeLessThanOrEqual(bytes.length);
        },
      ),
      { numRuns: 3000 },
    );
  });

  test("every single bit", async () => {
    const whole = small();
    for (let bit = 0; bit < (whole.length - 128) * 8; bit++) {
      const bytes = whole.slice();
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      const outcome = await scan(source(bytes)).catch((error: unknown) => error);
      if (outcome instanceof Error && !isFewbitError(outcome)) throw outcome;
    }
  });

  test("a file that shrinks while it is read", async () => {
    const claimed: Source = { ...source(small().slice(0, 60)), size: 300 };
    await expect(scan(claimed)).rejects.toMatchObject({ code: "E_TRUNCATED" });
  });
});

describe("split files", () => {
  const keys = (no: number, count: number, total: number) => [
    pair("split.no", 2, u32(no).slice(0, 2)),
    pair("split.count", 2, u32(count).slice(0, 2)),
    pair("split.tensors.count", 5, u32(total)),
  ];
  const shard = (no: number, name: string, count = 2, total = 2) =>
    build({
      pairs: [
        ...(no === 0 ? [pair("general.architecture", 8, string("llama"))] : []),
        ...keys(no, count, total),
      ],
      infos: [f32(name)],
      data,
    });
  const folder = (files: Record<string, Uint8Array<ArrayBuffer>>) => async (name: string) => {
    const bytes = files[name];
    if (bytes === undefined) throw new FewbitError("E_IO", "there is no such file", { file: name });
    return source(bytes, name);
  };
  const open = (
    first: Uint8Array<ArrayBuffer>,
    second?: Uint8Array<ArrayBuffer>,
    name = "m-00001-of-00002.gguf",
  ) => openGguf(source(first, name), folder(second ? { "m-00002-of-00002.gguf": second } : {}));

  test("say where the missing one was looked for", async () => {
    const sibling = async (name: string) => {
      throw new FewbitError("E_IO", "opening failed", { file: `models/${name}` });
    };
    await expect(openGguf(source(shard(0, "a"), "m-00001-of-00002.gguf"), sibling)).rejects.toMatchObject({
      code: "E_SPLIT_MISSING",
      at: { file: "models/m-00002-of-00002.gguf" },
    });
  });

  test("are one model with the metadata of the first", async () => {
    const model = await open(shard(0, "a"), shard(1, "b"));
    expect(model.tensors.map(({ name, file }) => [name, file])).toEqual([
      ["a", 0],
      ["b", 1],
    ]);
    expect(model.metadata[0]!.key).toBe("general.architecture");
    expect(model.files).toHaveLength(2);
  });

  test.each<[string, () => Promise<unknown>, string, RegExp]>([
    [
      "one is missing",
      () => open(shard(0, "a")),
      "E_SPLIT_MISSING",
      /split into 2 files, and m-00002-of-00002.gguf cannot/,
    ],
    [
      "the second was given",
      () => open(shard(1, "b"), undefined, "m-00002-of-00002.gguf"),
      "E_SPLIT_MISMATCH",
      /is shard 2 of 2/,
    ],
    [
      "one says another number",
      () => open(shard(0, "a"), shard(0, "b")),
      "E_SPLIT_MISMATCH",
      /it is shard 1; by its name it is shard 2/,
    ],
    [
      "they disagree on how many",
      () => open(shard(0, "a"), shard(1, "b", 3)),
      "E_SPLIT_MISMATCH",
      /has 3 files; the first says 2/,
    ],
    [
      "the total is wrong",
      () => open(shard(0, "a", 2, 5), shard(1, "b", 2, 5)),
      "E_SPLIT_MISMATCH",
      /promises 5 tensors; .* have 2/,
    ],
    [
      "a tensor is in both",
      () => open(shard(0, "a"), shard(1, "a")),
      "E_GGUF_DUP_TENSOR",
      /"a" occurs in m-00001-of-00002.gguf and in m-00002/,
    ],
    [
      "the name hides the split",
      () => open(shard(0, "a"), shard(1, "b"), "m.gguf"),
      "E_SPLIT_MISMATCH",
      /which its name does not say/,
    ],
    [
      "the second is cut",
      () => open(shard(0, "a"), shard(1, "b").slice(0, 100)),
      "E_GGUF_TRUNCATED",
      /ends early/,
    ],
  ])("are refused where %s", async (_, outcome, code, words) => {
    const error = await outcome().catch((thrown: unknown) => thrown);
    if (!isFewbitError(error)) throw new Error("accepted");
    expect(error.code).toBe(code);
    expect(error.message).toMatch(words);
    expect(error.remedy).toMatch(/\w/);
  });
});
