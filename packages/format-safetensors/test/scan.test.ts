import type { Source } from "@fewbit/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { openSafetensors, reader } from "../src/reader.js";
import { scan } from "../src/scan.js";
import { dtypes } from "../src/types.js";
import { alone, build, bytesOf, checkpoint, entry, refused, small, source } from "./build.js";

const refusal = (bytes: Uint8Array<ArrayBuffer>, name?: string) => refused(() => scan(source(bytes, name)));
/** The byte of the file where a piece of the header stands. */
const byteOf = (bytes: Uint8Array, piece: string): number => Buffer.from(bytes).indexOf(piece);

const good = entry("a", "U8", "[4]", "[0,4]");

describe("a good file", () => {
  test("is described by its model", async () => {
    expect(await openSafetensors(source(small()), alone)).toMatchObject({
      format: "safetensors",
      warnings: [],
      metadata: [{ key: "format", type: "string", value: "pt" }],
      tensors: [
        { name: "a.weight", shape: [2, 4], dtype: "F32", file: 0, offset: small().length - 38, bytes: 32 },
        { name: "b", shape: [3], dtype: "BF16", file: 0, offset: small().length - 6, bytes: 6 },
      ],
    });
  });

  test("is recognised by its first bytes or its name", () => {
    expect(reader.sniff(small(), "model.bin")).toBe(true);
    expect(reader.sniff(build("{}"), "")).toBe(true);
    expect(reader.sniff(new Uint8Array(0), "MODEL.SAFETENSORS")).toBe(true);
    expect(reader.sniff(new Uint8Array(0), "model.safetensors.index.json")).toBe(true);
    expect(reader.sniff(new Uint8Array(0), "model.safetensors.index.fp16.json")).toBe(true);
    expect(reader.sniff(bytesOf('{"a": 1} and more'), "config.json")).toBe(false);
    expect(reader.sniff(new Uint8Array(64), "model.bin")).toBe(false);
  });

  test("may have every dtype, with as many bytes as its bits take", async () => {
    const names = [...dtypes.keys()];
    expect(names).toHaveLength(22);
    let end = 0;
    const entries = names.map((dtype) => {
      const begin = end;
      end += dtypes.get(dtype)!.bits; // 8 elements
      return entry(dtype, dtype, "[2,4]", `[${begin},${end}]`);
    });
    const { tensors } = await scan(source(build(`{${entries.join()}}`, end)));
    const bytes = Object.fromEntries(tensors.map((tensor) => [tensor.dtype, tensor.bytes]));
    expect(bytes).toMatchObject({
      BOOL: 8,
      F4: 4,
      F6_E2M3: 6,
      F8_E4M3: 8,
      F8_E8M0: 8,
      BF16: 16,
      C64: 64,
      U64: 64,
    });
  });

  test("may hold scalars, nothing, gaps in no dimension, and no order", async () => {
    const { tensors } = await scan(
      source(
        build(
          `{${entry("late", "U8", "[2]", "[4,6]")},${entry("none", "F64", "[3,0]", "[4,4]")},${entry("one", "F32", "[]", "[0,4]")}}`,
          6,
        ),
      ),
    );
    expect(tensors.map(({ name, shape, bytes }) => [name, shape, bytes])).toEqual([
      ["late", [2], 2],
      ["none", [3, 0], 0],
      ["one", [], 4],
    ]);
  });

  test("keeps any name and any text as data", async () => {
    const names = [
      "__proto__",
      "constructor",
      "",
      "../../etc/passwd",
      "=1+1",
      "a\\u0000b",
      "\\ud83d\\ude00",
      "é",
    ];
    const entries = names.map((name) => entry(name, "U8", "[0]", "[0,0]"));
    const { tensors, metadata } = await scan(
      source(build(`{${entries.join()},"__metadata__":{"__proto__":"x","toString":"y"}}`)),
    );
    expect(tensors.map(({ name }) => name)).toEqual(names.map((name) => JSON.parse(`"${name}"`)));
    expect(metadata.map(({ key }) => key)).toEqual(["__proto__", "toString"]);
    expect(({} as { x?: unknown }).x).toBeUndefined();
  });

  test("may end its header with white space, and begin with it at the price of a warning", async () => {
    expect((await scan(source(build(`{${good}} \n\t\r `, 4)))).warnings).toEqual([]);
    expect((await scan(source(build(`  {${good}}`, 4)))).warnings.join()).toContain(
      "begins with white space",
    );
    const extra = good.replace("}", ',"extra":[{"x":null}]}');
    expect((await scan(source(build(`{${extra}}`, 4)))).warnings.join()).toContain("1 fields");
  });

  test("is read without its weights", async () => {
    const whole = source(small());
    const reads: [number, number][] = [];
    const watched: Source = {
      ...whole,
      read: (offset, into) => {
        reads.push([offset, into.length]);
        return whole.read(offset, into);
      },
    };
    await scan(watched);
    expect(reads).toEqual([
      [0, 8],
      [8, small().length - 8 - 38],
    ]);
  });
});

describe("the length of the header", () => {
  test.each([
    ["seven bytes", new Uint8Array(7), "E_ST_TRUNCATED", "The file has 7 bytes"],
    ["no bytes", new Uint8Array(0), "E_ST_TRUNCATED", "The file has 0 bytes"],
    ["none", build("", 0), "E_ST_HEADER_LENGTH", "said to be empty"],
    ["more than there is", build("{}", 0, 3n), "E_ST_HEADER_LENGTH", "3 bytes long; 2 bytes follow"],
    ["above 100 MB", build("{}", 0, 100_000_001n), "E_ST_HEADER_LENGTH", "at most 100000000 are allowed"],
    ["2⁶³", build("{}", 0, 2n ** 63n), "E_ST_HEADER_LENGTH", "9223372036854775808"],
    ["2⁶⁴ − 1", build("{}", 0, 2n ** 64n - 1n), "E_ST_HEADER_LENGTH", "18446744073709551615"],
    ["right only modulo 2³²", build("{}", 0, 2n ** 32n + 2n), "E_ST_HEADER_LENGTH", "4294967298"],
  ] as const)("%s", async (_, bytes, code, message) => {
    const error = await refusal(bytes as Uint8Array<ArrayBuffer>);
    expect(error).toMatchObject({ code, at: { offset: 0, key: "header_length", file: "model.safetensors" } });
    expect(error.message).toContain(message);
  });

  test.each([
    ["version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer", "git lfs pull"],
    ["<!DOCTYPE html><title>404</title>", "an HTML page", "direct link"],
    ["<html><title>404</title></html>", "an HTML page", "direct link"],
    ["PK\x03\x04 and so on", "a PyTorch checkpoint", "Convert"],
    ["GGUF\x03\0\0\0 and so on", "a GGUF file", ".gguf"],
    ["\0\0\0\0\0\0\0\0\0\0\0\0", "an interrupted write", "again"],
    ['{"error": "not found"}', "JSON", "model file itself"],
  ])("of what is another file is explained: %j", async (content, is, remedy) => {
    const error = await refusal(bytesOf(content).slice());
    expect(error.code).toBe("E_ST_HEADER_LENGTH");
    expect(error.message).toContain(`looks like ${is}`);
    expect(error.remedy).toContain(remedy);
  });
});

describe("the text of the header", () => {
  test.each([
    ["a byte that is never UTF-8", [0x7b, 0x22, 0xff, 0x22, 0x7d], 10],
    ["a sequence that stops", [0x7b, 0x22, 0x61, 0xc3, 0x22, 0x7d], 11],
    ["a sequence that the end cuts", [0x7b, 0x22, 0xe2, 0x82], 10],
    ["a surrogate as bytes", [0x7b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x7d], 10],
    ["a byte too long for its character", [0x7b, 0x22, 0xc0, 0xaf, 0x22, 0x7d], 10],
    ["UTF-16", [0xff, 0xfe, 0x7b, 0, 0x7d, 0], 8],
  ])("%s is not UTF-8", async (_, header, offset) => {
    expect(await refusal(build(Uint8Array.from(header)))).toMatchObject({
      code: "E_ST_UTF8",
      at: { offset, key: "header" },
    });
  });

  test.each([
    ["an array", "[1]", 8],
    ["a text", '"a"', 8],
    ["a byte order mark", "\ufeff{}", 8],
    ["nothing but space", "   ", 11],
    ["cut short", `{${good}`, 8],
    ["cut in a text", `  {"a`, 10],
    ["NUL as padding", `{${good}}\0\0`, 8 + good.length + 2],
    ["two documents", "{}{}", 10],
    ["a comma too many", `{${good},}`, 8 + good.length + 2],
    ["no comma", `{${good} ${good}}`, 8 + good.length + 2],
    ["a comment", "{}//", 10],
    ["a key without quotes", "{a:1}", 9],
    ["single quotes", "{'a':1}", 9],
    ["a key without value", '{"a"}', 12],
    ["a leading zero", '{"a":01}', 14],
    ["a plus sign", '{"a":+1}', 13],
    ["a bare dot", '{"a":.5}', 13],
    ["NaN", '{"a":NaN}', 13],
    ["a word", '{"a":nullx}', 17],
    ["an escape that is none", '{"a\\x":1}', 10],
    ["half an escape", '{"a\\u12":1}', 10],
    ["a control character in a text", '{"a\n":1}', 10],
  ])("%s is not JSON as it must be", async (_, header, offset) => {
    expect(await refusal(build(header, 4))).toMatchObject({
      code: "E_ST_JSON",
      at: { offset, key: expect.any(String) },
    });
  });

  test("offsets count bytes, not characters", async () => {
    const name = "é\u07ff\u0800\u{1f600}€";
    expect((await refusal(build(`{"${name}":}`))).at.offset).toBe(8 + 2 + Buffer.byteLength(name) + 2);
  });

  test("nesting ends at 64, wherever it is", async () => {
    const nest = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
    const extra = (depth: number) => build(`{${good.replace("}", `,"x":${nest(depth)}}`)}}`, 4);
    expect((await scan(source(extra(62)))).tensors).toHaveLength(1);
    const error = await refusal(extra(63));
    expect(error.code).toBe("E_ST_JSON");
    expect(error.message).toContain("nested more than 64 deep");
    expect((await refusal(build(`{"__metadata__":${nest(100_000)}}`))).code).toBe("E_ST_JSON");
    expect((await refusal(build(`{"a":${'{"a":'.repeat(100_000)}`))).code).toBe("E_ST_JSON");
  });

  test("half of a character is no name", async () => {
    const error = await refusal(build(`{${entry("a\\ud800", "U8", "[0]", "[0,0]")}}`));
    expect(error).toMatchObject({ code: "E_ST_NAME", at: { offset: 10, key: "tensor[0].name" } });
    const metadata = await refusal(build('{"__metadata__":{"a":"\\udc00"}}'));
    expect(metadata).toMatchObject({ code: "E_ST_METADATA", at: { offset: 30, key: '__metadata__["a"]' } });
  });
});

describe("what occurs twice", () => {
  test.each([
    ["a tensor", `{${good},${good}}`, 8 + good.length + 3],
    ["a tensor in another spelling", `{${good},${good.replace('"a"', '"\\u0061"')}}`, 8 + good.length + 3],
    ["a field", `{${good.replace('"shape"', '"dtype":"I8","shape"')}}`, 8 + 20],
    ["a field in another spelling", `{${good.replace('"shape"', '"dtyp\\u0065":"I8","shape"')}}`, 8 + 20],
    ["a metadata key", '{"__metadata__":{"k":"1","k":"2"}}', 8 + 26],
    ["the metadata", '{"__metadata__":{},"__metadata__":{}}', 8 + 20],
    ["a key that is ignored", `{${good.replace("}", ',"x":{"y":1,"y":1}}')}}`, undefined],
  ])("%s is refused", async (_, header, offset) => {
    const error = await refusal(build(header, 4));
    expect(error.code).toBe("E_ST_DUP");
    if (offset !== undefined) expect(error.at.offset).toBe(offset);
    expect(error.message).toContain("other readers would silently take one");
  });
});

const wrong = (code: string, piece: string, key: string, message: string) => ({ code, piece, key, message });

describe("an entry", () => {
  test.each([
    ["null", '"a":null', wrong("E_ST_ENTRY", "null", "tensor[0]", '"a" is null')],
    ["a list", '"a":["U8",[1],[0,1]]', wrong("E_ST_ENTRY", '["U8"', "tensor[0]", "a list of 3 values")],
    ["a text", '"a":"U8"', wrong("E_ST_ENTRY", 'U8"', "tensor[0]", 'the text "U8"')],
    [
      "without dtype",
      '"a":{"shape":[],"data_offsets":[0,1]}',
      wrong("E_ST_ENTRY", '{"shape', "tensor[0].dtype", "has no dtype"),
    ],
    [
      "without shape",
      '"a":{"dtype":"U8","data_offsets":[0,1]}',
      wrong("E_ST_ENTRY", '{"dtype', "tensor[0].shape", "has no shape"),
    ],
    [
      "without offsets",
      '"a":{"dtype":"U8","shape":[]}',
      wrong("E_ST_ENTRY", '{"dtype', "tensor[0].data_offsets", "has no data_offsets"),
    ],
    [
      "of unknown dtype",
      entry("a", "F31", "[]", "[0,4]"),
      wrong("E_ST_DTYPE", "F31", "tensor[0].dtype", '"F31"; known are BOOL, F4'),
    ],
    [
      "of lower-case dtype",
      entry("a", "f32", "[]", "[0,4]"),
      wrong("E_ST_DTYPE", "f32", "tensor[0].dtype", '"f32"'),
    ],
    [
      "of dtype constructor",
      entry("a", "constructor", "[]", "[0,4]"),
      wrong("E_ST_DTYPE", "constructor", "tensor[0].dtype", '"constructor"'),
    ],
    [
      "of dtype __proto__",
      entry("a", "__proto__", "[]", "[0,4]"),
      wrong("E_ST_DTYPE", "__proto__", "tensor[0].dtype", '"__proto__"'),
    ],
    [
      "of numeric dtype",
      '"a":{"dtype":5,"shape":[],"data_offsets":[0,4]}',
      wrong("E_ST_DTYPE", "5", "tensor[0].dtype", "the dtype 5"),
    ],
    [
      "of shape null",
      entry("a", "U8", "null", "[0,4]"),
      wrong("E_ST_SHAPE", "null", "tensor[0].shape", "is null"),
    ],
    [
      "of negative dimensions",
      entry("a", "U8", "[-1,-4]", "[0,4]"),
      wrong("E_ST_SHAPE", "-1", "tensor[0].shape[0]", "is -1"),
    ],
    [
      "of minus zero",
      entry("a", "U8", "[-0]", "[0,0]"),
      wrong("E_ST_SHAPE", "-0", "tensor[0].shape[0]", "is -0"),
    ],
    [
      "of a fraction",
      entry("a", "U8", "[2,2.5]", "[0,5]"),
      wrong("E_ST_SHAPE", "2.5", "tensor[0].shape[1]", "is 2.5"),
    ],
    [
      "of an exponent",
      entry("a", "U8", "[1e1]", "[0,10]"),
      wrong("E_ST_SHAPE", "1e1", "tensor[0].shape[0]", "plain digits"),
    ],
    [
      "of 1e999",
      entry("a", "U8", "[0,1e999]", "[0,0]"),
      wrong("E_ST_SHAPE", "1e999", "tensor[0].shape[1]", "1e999"),
    ],
    [
      "of a text",
      entry("a", "U8", '["2",2]', "[0,4]"),
      wrong("E_ST_SHAPE", '2",2', "tensor[0].shape[0]", 'the text "2"'),
    ],
    [
      "of true",
      entry("a", "U8", "[true]", "[0,4]"),
      wrong("E_ST_SHAPE", "true", "tensor[0].shape[0]", "is true"),
    ],
    [
      "of nested lists",
      entry("a", "U8", "[[2],2]", "[0,4]"),
      wrong("E_ST_SHAPE", "[2],2", "tensor[0].shape[0]", "a list of 1 value"),
    ],
    [
      "of a product that wraps",
      entry("a", "F32", "[4294967296,4294967296]", "[0,4]"),
      wrong("E_ST_SHAPE", "[4294967296,", "tensor[0].shape", "64-bit"),
    ],
    [
      "of a product that wraps beside a zero",
      entry("a", "F32", "[4294967296,4294967296,0]", "[0,0]"),
      wrong("E_ST_SHAPE", "[4294967296,", "tensor[0].shape", "64-bit"),
    ],
    [
      "of a huge dimension beside a zero",
      entry("a", "U8", "[0,9007199254740992]", "[0,0]"),
      wrong("E_ST_SHAPE", "9007199254740992", "tensor[0].shape[1]", "no file can hold"),
    ],
    [
      "of endless digits",
      entry("a", "U8", `[1${"0".repeat(400)}]`, "[0,4]"),
      wrong("E_ST_SHAPE", "[10000", "tensor[0].shape", "64-bit"),
    ],
    [
      "of 65 dimensions",
      entry("a", "U8", `[${Array(65).fill(1)}]`, "[0,1]"),
      wrong("E_ST_SHAPE", "[1,1,", "tensor[0].shape", "65 dimensions"),
    ],
    [
      "with offsets reversed",
      entry("a", "U8", "[4]", "[4,0]"),
      wrong("E_ST_OFFSETS", "[4,0]", "tensor[0].data_offsets", "ends before that, at 0"),
    ],
    [
      "with a negative offset",
      entry("a", "U8", "[4]", "[-4,0]"),
      wrong("E_ST_OFFSETS", "-4", "tensor[0].data_offsets[0]", "is -4"),
    ],
    [
      "with a fraction as offset",
      entry("a", "U8", "[4]", "[0,4.0]"),
      wrong("E_ST_OFFSETS", "4.0", "tensor[0].data_offsets[1]", "is 4.0"),
    ],
    [
      "with texts as offsets",
      entry("a", "U8", "[4]", '["0","4"]'),
      wrong("E_ST_ENTRY", '0","4', "tensor[0].data_offsets[0]", 'the text "0"'),
    ],
    [
      "with three offsets",
      entry("a", "U8", "[4]", "[0,4,8]"),
      wrong("E_ST_ENTRY", "[0,4,8]", "tensor[0].data_offsets", "a list of 3 values"),
    ],
    [
      "past the file",
      entry("a", "U8", "[1024]", "[0,1024]"),
      wrong("E_ST_BOUNDS", "[0,1024]", "tensor[0].data_offsets", "the file has 4 bytes of data"),
    ],
    [
      "at 2⁵³ + 1",
      entry("a", "U8", "[9007199254740993]", "[0,9007199254740993]"),
      wrong("E_ST_BOUNDS", "[0,900", "tensor[0].data_offsets", "ends at offset 9007199254740993"),
    ],
    [
      "of more elements than bytes",
      entry("a", "F32", "[4]", "[0,4]"),
      wrong("E_ST_SIZE", "[0,4]", "tensor[0].data_offsets", "takes 16 bytes; its offsets give it 4"),
    ],
    [
      "of half a byte",
      entry("a", "F4", "[3]", "[0,2]"),
      wrong("E_ST_SIZE", "[3]", "tensor[0].shape", "takes 12 bits"),
    ],
    [
      "of three quarters of a byte",
      entry("a", "F6_E2M3", "[5]", "[0,4]"),
      wrong("E_ST_SIZE", "[5]", "tensor[0].shape", "takes 30 bits"),
    ],
  ] as const)("%s is refused", async (_, header, { code, piece, key, message }) => {
    const bytes = build(`{${header}}`, 4);
    const error = await refusal(bytes);
    expect(error).toMatchObject({ code, at: { offset: byteOf(bytes, piece), key } });
    expect(error.at.tensor).toBe("a");
    expect(error.message).toContain(message);
    expect(error.remedy).toBeTruthy();
  });
});

describe("the data", () => {
  const of = (...entries: string[]) => `{${entries.join()}}`;
  const u8 = (name: string, begin: number, end: number) =>
    entry(name, "U8", `[${end - begin}]`, `[${begin},${end}]`);

  test.each([
    ["overlap", of(u8("a", 0, 4), u8("b", 2, 6)), 6, "E_ST_OVERLAP", '"a" and of "b" overlap at offset 2'],
    ["overlap of the same bytes", of(u8("a", 0, 4), u8("b", 0, 4)), 4, "E_ST_OVERLAP", '"a" and of "b"'],
    ["nothing inside something", of(u8("a", 0, 4), u8("b", 2, 2)), 4, "E_ST_OVERLAP", '"b" overlap'],
    [
      "hole",
      of(u8("a", 0, 4), u8("b", 6, 8)),
      8,
      "E_ST_HOLE",
      'There are 2 unexplained bytes before the data of "b"',
    ],
    ["gap at the start", of(u8("b", 4, 8)), 8, "E_ST_HOLE", "at offset 0"],
    ["a byte missing", of(u8("a", 0, 4)), 3, "E_ST_BOUNDS", "the file has 3 bytes of data"],
  ])("%s", async (_, header, data, code, message) => {
    const bytes = build(header, data);
    const error = await refusal(bytes);
    expect(error.code).toBe(code);
    expect(error.message).toContain(message);
    // The last entry of these is the one at fault.
    expect(error.at.offset).toBe(8 + header.lastIndexOf("["));
  });

  test("blame falls on the later entry, whichever lies first", async () => {
    const header = of(u8("a", 2, 6), u8("b", 0, 4));
    expect((await refusal(build(header, 6))).at).toMatchObject({
      tensor: "b",
      key: "tensor[1].data_offsets",
    });
  });

  test("bytes behind it are refused, also where there is none", async () => {
    const header = of(u8("a", 0, 4));
    expect(await refusal(build(header, 9))).toMatchObject({
      code: "E_ST_TRAILING",
      message: "5 bytes follow the last tensor; the format allows none.",
      at: { offset: 8 + header.length + 4, key: "data" },
    });
    expect((await refusal(build("{}", 1))).code).toBe("E_ST_TRAILING");
  });
});

test.each([
  ["null", "null", "is null; it must be an object"],
  ["a list", '["x"]', "a list of 1 value"],
  ["a number in it", '{"n":5}', '"n" is 5; it must be text'],
  ["an object in it", '{"n":{}}', "an object; it must be text"],
])("metadata that is %s is refused", async (_, metadata, message) => {
  const error = await refusal(build(`{"__metadata__":${metadata},${good}}`, 4));
  expect(error.code).toBe("E_ST_METADATA");
  expect(error.message).toContain(message);
});

describe("whatever is done to a good file", () => {
  /** A refusal of ours, or a model that keeps every rule. */
  async function survives(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    let found: Awaited<ReturnType<typeof scan>>;
    try {
      found = await scan(source(bytes));
    } catch (error) {
      const { code, at, remedy } = await refused(() => Promise.reject(error));
      expect(code).toMatch(/^E_ST_/);
      expect(at.offset).toBeLessThanOrEqual(bytes.length);
      expect(at.key).toBeTruthy();
      expect(remedy).toBeTruthy();
      return;
    }
    let end = found.dataOffset;
    for (const tensor of [...found.tensors].sort((a, b) => a.offset - b.offset || a.bytes - b.bytes)) {
      expect(tensor.offset).toBe(end);
      const count = tensor.shape.reduce((a, b) => a * b, 1);
      expect(tensor.bytes * 8).toBe(count * dtypes.get(tensor.dtype)!.bits);
      end += tensor.bytes;
    }
    expect(end).toBe(bytes.length);
  }

  test("no part of it is taken for it", async () => {
    const whole = small();
    for (let length = 0; length < whole.length; length++)
      await refusal(whole.slice(0, length)).then(({ code }) =>
        expect(code).toMatch(/^E_ST_(TRUNCATED|HEADER_LENGTH|BOUNDS)$/),
      );
  });

  test("every single changed byte", async () => {
    const whole = small();
    const header = whole.length - 38;
    for (let at = 0; at < header; at++)
      for (let value = 0; value < 256; value += at < 8 ? 1 : 7) {
        const bytes = whole.slice();
        bytes[at] = value;
        await survives(bytes);
      }
  });

  test("pieces of JSON put together anyhow", async () => {
    const pieces = [
      "{",
      "}",
      "[",
      "]",
      ",",
      ":",
      '"',
      '"a"',
      '"\\u0061"',
      "0",
      "-",
      "1e9",
      "null",
      " ",
      "\\",
      "é",
      '"dtype"',
      '"U8"',
      '"shape"',
      '"data_offsets"',
      '"__metadata__"',
      "[0,1]",
      good,
    ];
    await fc.assert(
      fc.asyncProperty(fc.array(fc.constantFrom(...pieces), { maxLength: 24 }), fc.nat(4), (parts, data) =>
        survives(build(parts.join(""), data)),
      ),
      { numRuns: 3000 },
    );
  });

  test("JSON of any kind agrees with JSON.parse", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(fc.string({ unit: "grapheme" }), fc.jsonValue({ maxDepth: 4 })),
        async (value) => {
          // As an ignored field of a good entry, anything that JSON.parse takes is taken.
          const header = `{${good.slice(0, -1)},"extra":${JSON.stringify(value)}}}`;
          expect((await scan(source(build(header, 4)))).tensors).toHaveLength(1);
        },
      ),
      { numRuns: 500 },
    );
  });

  test("of an index and its shards, too", async () => {
    const { bytes, siblings, name } = checkpoint();
    const open = (index: Uint8Array) =>
      openSafetensors(source(index.slice(), name), async (file) =>
        Object.hasOwn(siblings, file) ? source(siblings[file]!.slice(), file) : alone(file),
      );
    for (let at = 0; at < bytes.length; at++)
      for (let value = 0; value < 256; value += 11) {
        const changed = bytes.slice();
        changed[at] = value;
        const outcome = await open(changed).catch((error: unknown) => error);
        if (outcome instanceof Error)
          expect((await refused(() => Promise.reject(outcome))).code).toMatch(/^E_INDEX_/);
        else expect(outcome).toMatchObject({ tensors: [{ name: "a" }, { name: "b" }] });
      }
    for (let length = 0; length < bytes.length; length++)
      expect((await refused(() => open(bytes.slice(0, length)))).code).toBe("E_INDEX_FORMAT");
  });
});
