import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRegistry } from "@fewbit/core";
import { openModel } from "@fewbit/core/node";
import { afterAll, describe, expect, test } from "vitest";
import plugin from "../src/index.js";
import { openSafetensors } from "../src/reader.js";
import { alone, beside, build, bytesOf, checkpoint, entry, refused, source } from "./build.js";

const NAME = "model.safetensors.index.json";
const { siblings } = checkpoint();
const open = (index: string | Uint8Array, files: Readonly<Record<string, Uint8Array>> = siblings) =>
  openSafetensors(source((typeof index === "string" ? bytesOf(index) : index).slice(), NAME), beside(files));
const map = (weights: string, rest = "") => `{"weight_map":{${weights}}${rest}}`;
const both = '"a":"s1.safetensors","b":"s2.safetensors"';

/** Refused by the index alone: no file beside it may be touched. */
const refusedUnopened = (index: string) =>
  refused(() =>
    openSafetensors(source(bytesOf(index).slice(), NAME), async (name) => {
      throw new Error(`${name} was opened`);
    }),
  );

test("shards are opened in the order of their names, and joined", async () => {
  const model = await open(checkpoint().bytes);
  expect(model).toMatchObject({
    format: "safetensors",
    warnings: [],
    metadata: [{ key: "format", type: "string", value: "pt" }],
    tensors: [
      { name: "a", shape: [2], dtype: "F32", file: 0, bytes: 8 },
      { name: "b", shape: [4], dtype: "U8", file: 1, bytes: 4 },
    ],
  });
  expect(model.files.map((at) => at.kind === "blob" && at.name)).toEqual([
    "s1.safetensors",
    "s2.safetensors",
  ]);
});

describe("names that an index must not give", () => {
  test.each([
    "../s1.safetensors",
    "..\\\\s1.safetensors",
    "/etc/s1.safetensors",
    "sub/s1.safetensors",
    "./s1.safetensors",
    "C:s1.safetensors",
    "C:\\\\s1.safetensors",
    "https://example.org/s1.safetensors",
    "file:s1.safetensors",
    "s1.safetensors\\u0000",
    "s1\\u0000.safetensors",
    "s1\\u001b[2J.safetensors",
    "%2e%2e%2fs1.safetensors",
    "s1.safetensors?x",
    "s1.safetensors#x",
    "a?.safetensors",
    "s1.bin",
    "s1",
    "",
    "..",
    ".",
    ".safetensors",
    "/etc/passwd",
    NAME,
  ])("%s", async (name) => {
    const index = map(`"a":"${name}"`);
    const error = await refusedUnopened(index);
    expect(error).toMatchObject({
      code: "E_INDEX_PATH",
      at: { file: NAME, offset: index.indexOf(`"${name}"`) + 1, key: 'weight_map["a"]' },
    });
    expect(error.message).not.toMatch(/[\0\x1b]/);
    expect(error.remedy).toContain("Do not trust this index");
  });
});

describe("a malformed index", () => {
  test.each([
    ["an array", "[]", "E_INDEX_FORMAT", 0, "an object is expected"],
    ["nothing", "", "E_INDEX_FORMAT", 0, "ends early"],
    ["cut short", '{"weight_map":{"a":', "E_INDEX_FORMAT", 0, "ends early"],
    ["too deep", `{"x":${"[".repeat(1000)}`, "E_INDEX_FORMAT", 5 + 63, "nested more than 64"],
    ["without weight_map", '{"metadata":{}}', "E_INDEX_FORMAT", 0, "has no weight_map"],
    ["an empty weight_map", map(""), "E_INDEX_FORMAT", 14, "is empty"],
    ["a weight_map that is a list", '{"weight_map":[]}', "E_INDEX_FORMAT", 14, "not an object"],
    ["a number for a file", map('"a":5'), "E_INDEX_FORMAT", 19, "is not a text"],
    ["a list for a file", map('"a":["s1.safetensors"]'), "E_INDEX_FORMAT", 19, "is not a text"],
    ["metadata that is a text", map(both, ',"metadata":"x"'), "E_INDEX_FORMAT", undefined, "not an object"],
    ["half of a character", map('"\\ud800":"s1.safetensors"'), "E_INDEX_FORMAT", 16, "half of a character"],
    [
      "a tensor twice",
      map('"a":"s1.safetensors","a":"s2.safetensors"'),
      "E_INDEX_DUP",
      undefined,
      '"a" occurs twice',
    ],
    [
      "a tensor twice, escaped",
      map('"a":"s1.safetensors","\\u0061":"s1.safetensors"'),
      "E_INDEX_DUP",
      undefined,
      "twice",
    ],
    ["two maps", map(both, ',"weight_map":{}'), "E_INDEX_DUP", undefined, '"weight_map" occurs twice'],
  ])("%s", async (_, index, code, offset, message) => {
    const error = await refusedUnopened(index);
    expect(error).toMatchObject({ code, at: { file: NAME, key: expect.any(String) } });
    if (offset !== undefined) expect(error.at.offset).toBe(offset);
    expect(error.message).toContain(message);
  });

  test("not UTF-8", async () => {
    expect(await refused(() => open(Uint8Array.of(0x7b, 0x22, 0xff)))).toMatchObject({
      code: "E_INDEX_FORMAT",
      at: { offset: 2 },
    });
  });
});

describe("shards that do not belong to their index", () => {
  test("missing", async () => {
    const { "s2.safetensors": _, ...rest } = siblings;
    const error = await refused(() => open(map(both), rest));
    expect(error).toMatchObject({ code: "E_INDEX_MISSING", at: { file: NAME, key: 'weight_map["b"]' } });
    expect(error.message).toMatch(/^The index names "s2\.safetensors", which cannot be opened: there is no/);
  });

  test("without the tensor, or with it elsewhere", async () => {
    for (const weights of [
      `${both},"z":"s2.safetensors"`,
      `${both},"__proto__":"s2.safetensors"`,
      '"a":"s2.safetensors","b":"s1.safetensors"',
    ])
      expect((await refused(() => open(map(weights)))).code).toBe("E_INDEX_MISMATCH");
    expect(({} as { x?: unknown }).x).toBeUndefined();
  });

  test("with a tensor that another has", async () => {
    const again = build(`{${entry("b", "U8", "[4]", "[0,4]")},${entry("a", "U8", "[0]", "[4,4]")}}`, 4);
    const error = await refused(() => open(map(both), { ...siblings, "s2.safetensors": again }));
    expect(error).toMatchObject({
      code: "E_INDEX_DUP",
      at: { file: "s2.safetensors", tensor: "a", offset: Buffer.from(again).indexOf('"a"') + 1 },
    });
    expect(error.message).toBe('The tensor "a" is in s1.safetensors and in s2.safetensors.');
  });

  test("malformed: the error names the shard", async () => {
    const error = await refused(() => open(map(both), { ...siblings, "s2.safetensors": build("[]") }));
    expect(error).toMatchObject({ code: "E_ST_JSON", at: { file: "s2.safetensors", offset: 8 } });
  });

  test("a tensor that the index forgets, another total, other metadata: warnings", async () => {
    const more = build(
      `{"__metadata__":{"format":"tf"},${entry("b", "U8", "[4]", "[0,4]")},${entry("c", "U8", "[0]", "[4,4]")}}`,
      4,
    );
    const model = await open(map(both, ',"metadata":{"total_size":11}'), {
      ...siblings,
      "s2.safetensors": more,
    });
    expect(model.tensors.map(({ name }) => name)).toEqual(["a", "b", "c"]);
    expect(model.warnings).toEqual([
      'The shards give different values of the metadata "format"; the first is taken.',
      "1 tensors are in the shards and not in the index; they are taken as part of the model.",
      "The index says the tensors have 11 bytes; they have 12.",
    ]);
  });
});

describe("in a folder", () => {
  const folder = mkdtempSync(join(tmpdir(), "fewbit-safetensors-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  const registry = createRegistry([plugin]);
  const write = (name: string): string => {
    const home = join(folder, name);
    mkdirSync(home);
    writeFileSync(join(home, NAME), map(both));
    writeFileSync(join(home, "s1.safetensors"), siblings["s1.safetensors"]!);
    return home;
  };

  test("the index comes before a single file", async () => {
    const home = write("both");
    writeFileSync(join(home, "s2.safetensors"), siblings["s2.safetensors"]!);
    writeFileSync(join(home, "model.safetensors"), build("{}"));
    expect((await openModel(home, registry)).tensors).toHaveLength(2);
    rmSync(join(home, NAME));
    expect((await openModel(home, registry)).tensors).toHaveLength(0);
  });

  test("a shard that is a link out of it is refused, a link within is not", async () => {
    const home = write("linked");
    writeFileSync(join(folder, "outside.safetensors"), siblings["s2.safetensors"]!);
    symlinkSync("../outside.safetensors", join(home, "s2.safetensors"));
    const error = await refused(() => openModel(home, registry));
    expect(error.code).toBe("E_LINK");
    expect(error.message).toMatch(
      /^s2\.safetensors is a link that leads out of the model's folder, to .*outside/,
    );

    rmSync(join(home, "s2.safetensors"));
    writeFileSync(join(home, "blob"), siblings["s2.safetensors"]!);
    symlinkSync("blob", join(home, "s2.safetensors"));
    expect((await openModel(home, registry)).tensors).toHaveLength(2);
  });
});

test("a shard alone is a file like any other", async () => {
  const model = await openSafetensors(source(siblings["s1.safetensors"]!.slice(), "s1.safetensors"), alone);
  expect(model.tensors).toHaveLength(1);
});
