import { readFileSync } from "node:fs";
import { type FewbitError, isFewbitError } from "@fewbit/core";
import { openFile } from "@fewbit/core/node";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readCollection, readImportance, writeImportance, writeLegacyImportance } from "../src/imatrix.js";
import { checkImportance, filterImportance } from "../src/importance.js";
import { openGguf } from "../src/reader.js";
import { alone, build, cat, info, pair, source, string, u32, u64 } from "./build.js";
import { model } from "./model.js";
import { missing, shared } from "./shared.js";

const floats = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);
const padded = (...values: number[]): Uint8Array =>
  cat(floats(...values), Array(32 - ((values.length * 4) % 32 || 32)).fill(0));

async function refusal(bytes: Uint8Array<ArrayBuffer>): Promise<FewbitError> {
  const outcome = await readImportance(source(bytes, "m.imatrix")).catch((error: unknown) => error);
  if (!isFewbitError(outcome)) throw new Error(`not refused: ${String(outcome)}`);
  return outcome;
}

const keys = [
  pair("imatrix.datasets", 9, cat(u32(8), u64(2), string("a.txt"), string("b.txt"))),
  pair("imatrix.chunk_count", 4, u32(3)),
  pair("imatrix.chunk_size", 4, u32(512)),
];
const gguf = (sums: number[], counts: number[], name = "w") =>
  build({
    pairs: keys,
    infos: [
      info({
        name: `${name}.in_sum2`,
        dims: [sums.length / counts.length, counts.length],
        type: 0,
        offset: 0,
      }),
      info({
        name: `${name}.counts`,
        dims: [1, counts.length],
        type: 0,
        offset: Math.ceil(sums.length / 8) * 32,
      }),
    ],
    data: cat(padded(...sums), padded(...counts)),
  });

describe("the GGUF form", () => {
  test("is sums divided by counts", async () => {
    const matrix = await readImportance(source(gguf([2, 4, 6, 9, 3, 0], [2, 3]), "m.gguf"));
    expect(matrix).toEqual({
      tensors: new Map([["w", Float32Array.of(1, 2, 3, 3, 1, 0)]]),
      datasets: ["a.txt", "b.txt"],
      chunks: 3,
      file: "m.gguf",
      warnings: [],
    });
  });

  test("gives experts that were never used the weight 1, and says so", async () => {
    const matrix = await readImportance(source(gguf([2, 4, 0, 0], [2, 0])));
    expect(matrix.tensors.get("w")).toEqual(Float32Array.of(1, 2, 1, 1));
    expect(matrix.warnings).toEqual([
      'No text reached 1 of the 2 experts of "w"; all their columns count the same.',
    ]);
  });

  const one = (name: string, type = 0) => info({ name, dims: [8], type, offset: 0 });
  test.each<[string, Uint8Array<ArrayBuffer>, string, RegExp]>([
    ["NaN", gguf([1, Number.NaN], [1]), "E_IMATRIX_VALUE", /Value 1 of the importance entry "w" is NaN/],
    ["infinity", gguf([Infinity, 1], [1]), "E_IMATRIX_VALUE", /Value 0 .* is Infinity/],
    ["a negative sum", gguf([1, -1], [1]), "E_IMATRIX_VALUE", /Value 1 .* is -1/],
    ["a negative count", gguf([1, 1], [-2]), "E_IMATRIX_VALUE", /Value 0 .* is -2/],
    [
      "a model",
      build({ infos: [one("a.weight")], data: new Uint8Array(32) }),
      "E_IMATRIX_FORMAT",
      /none of its 1 tensors is named ….in_sum2/,
    ],
    [
      "sums alone",
      build({ infos: [one("w.in_sum2")], data: new Uint8Array(32) }),
      "E_IMATRIX_FORMAT",
      /"w" has sums without counts/,
    ],
    [
      "counts alone",
      build({ infos: [one("w.counts")], data: new Uint8Array(32) }),
      "E_IMATRIX_FORMAT",
      /"w" has counts without sums/,
    ],
    [
      "integers",
      build({
        infos: [one("w.in_sum2", 26), info({ name: "w.counts", dims: [1], type: 0, offset: 32 })],
        data: new Uint8Array(64),
      }),
      "E_IMATRIX_FORMAT",
      /"w.in_sum2" is I32; it must be F32/,
    ],
    [
      "broken rows",
      build({
        infos: [one("w.in_sum2"), info({ name: "w.counts", dims: [3], type: 0, offset: 32 })],
        data: new Uint8Array(64),
      }),
      "E_IMATRIX_FORMAT",
      /8 sums for 3 counts/,
    ],
  ])("is refused with %s", async (_, bytes, code, words) => {
    const error = await refusal(bytes);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(words);
    expect(error.at.file).toBe("m.imatrix");
    expect(error.at.offset).toBeLessThan(bytes.length);
    expect(error.remedy).toContain("again");
  });

  test("is written as it is read", async () => {
    const entry = fc.integer({ min: 1, max: 4 }).chain((experts) =>
      fc.record({
        sums: fc.integer({ min: 1, max: 9 }).chain((columns) =>
          fc.array(fc.float({ min: 0, max: 1e6, noNaN: true }), {
            minLength: columns * experts,
            maxLength: columns * experts,
          }),
        ),
        counts: fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: experts, maxLength: experts }),
      }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(fc.stringMatching(/^[a-z_.]{1,20}$/), entry, {
          minKeys: 1,
          maxKeys: 6,
          noNullPrototype: true,
        }),
        async (entries) => {
          const collected = new Map(
            Object.entries(entries).map(([name, { sums, counts }]) => [
              name,
              { sums: Float32Array.from(sums), counts: Float32Array.from(counts) },
            ]),
          );
          const bytes = writeImportance({ entries: collected, datasets: ["t"], chunks: 2, chunkSize: 64 });
          const matrix = await readImportance(source(Uint8Array.from(bytes)));
          expect([...matrix.tensors.keys()]).toEqual([...collected.keys()].sort());
          expect(matrix).toMatchObject({ datasets: ["t"], chunks: 2, warnings: [] });
          for (const [name, { sums, counts }] of collected)
            expect(matrix.tensors.get(name)).toEqual(
              sums.map((sum, i) => sum / counts[Math.floor((i * counts.length) / sums.length)]!),
            );
        },
      ),
      { numRuns: 50 },
    );
  });
});

describe("the legacy form", () => {
  const entry = (name: string, calls: number, values: number[]) =>
    cat(u32(name.length), new TextEncoder().encode(name), u32(calls), u32(values.length), floats(...values));

  test("is values divided by calls", async () => {
    const bytes = cat(
      u32(2),
      entry("a", 2, [2, 3]),
      entry("b", 0, [5]),
      u32(7),
      u32(5),
      new TextEncoder().encode("c.txt"),
    );
    expect(await readImportance(source(bytes, "m.dat"))).toEqual({
      tensors: new Map([
        ["a", Float32Array.of(1, 1.5)],
        ["b", Float32Array.of(5)],
      ]),
      datasets: ["c.txt"],
      chunks: 7,
      file: "m.dat",
      warnings: [],
    });
    const short = await readImportance(source(cat(u32(1), entry("a", 1, [2]))));
    expect(short).toMatchObject({ datasets: [], chunks: 0 });
  });

  test.each<[string, Uint8Array<ArrayBuffer>, string, number, RegExp]>([
    ["nothing", cat(), "E_IMATRIX_FORMAT", 0, /ends early/],
    ["no entries", cat(u32(0), u32(0)), "E_IMATRIX_FORMAT", 0, /promises 0 entries/],
    [
      "too many entries",
      cat(u32(1e6), entry("a", 1, [1])),
      "E_IMATRIX_FORMAT",
      0,
      /1000000 entries and has 21 bytes/,
    ],
    [
      "an endless name",
      cat(u32(1), u32(0x7fffffff), Array(20).fill(97)),
      "E_IMATRIX_FORMAT",
      4,
      /2147483647 bytes long/,
    ],
    ["a name of -1", cat(u32(1), u32(-1), Array(20).fill(97)), "E_IMATRIX_FORMAT", 4, /-1 bytes long/],
    [
      "too many values",
      cat(u32(1), u32(1), [97], u32(1), u32(1000), u32(0)),
      "E_IMATRIX_FORMAT",
      13,
      /hold 1000 values/,
    ],
    [
      "an entry twice",
      cat(u32(2), entry("a", 1, [1]), entry("a", 1, [1])),
      "E_IMATRIX_FORMAT",
      21,
      /"a" occurs twice/,
    ],
    ["NaN", cat(u32(1), entry("a", 1, [1, Number.NaN])), "E_IMATRIX_VALUE", 21, /Value 1 .*"a" is NaN/],
    [
      "a tail",
      cat(u32(1), entry("a", 1, [1]), u32(1), u32(0), [1, 2]),
      "E_IMATRIX_FORMAT",
      29,
      /2 unexplained bytes/,
    ],
  ])("is refused with %s", async (_, bytes, code, offset, words) => {
    const error = await refusal(bytes);
    expect(error.code).toBe(code);
    expect(error.at.offset).toBe(offset);
    expect(error.message).toMatch(words);
  });

  test("any prefix of it is refused or read, never another error", async () => {
    const whole = cat(u32(2), entry("abc", 2, [2, 3]), entry("b", 0, [5]), u32(7), u32(1), [97]);
    for (let length = 0; length < whole.length; length++) {
      const outcome = await readImportance(source(whole.slice(0, length))).catch((error: unknown) => error);
      if (outcome instanceof Error && !isFewbitError(outcome)) throw outcome;
    }
  });
});

describe("what was collected", () => {
  const collection = {
    entries: new Map([
      ["b", { sums: Float32Array.of(8, 16, 3, 6, 0, 0), counts: Float32Array.of(16, 3, 0) }],
      ["a", { sums: Float32Array.of(5), counts: Float32Array.of(24) }],
      ["unreached", { sums: Float32Array.of(0), counts: Float32Array.of(0) }],
    ]),
    datasets: ["x.txt", "y.txt"],
    chunks: 3,
    chunkSize: 8,
  };

  test("comes back as it was summed, with keys of others", async () => {
    const metadata = [{ key: "maker.note", type: "string", value: "mine" }];
    const read = await readCollection(
      source(new Uint8Array(writeImportance({ ...collection, metadata })), "m"),
    );
    expect(read).toEqual({
      ...collection,
      metadata: [expect.objectContaining(metadata[0]!)],
      legacy: false,
      warnings: [],
    });
  });

  test("in the legacy form: means times the chunks of the most frequent expert", async () => {
    const bytes = new Uint8Array(writeLegacyImportance(collection));
    expect(await readCollection(source(bytes, "m"))).toEqual({
      entries: new Map([
        ["a", { sums: Float32Array.of(Math.fround(5 / 24) * 3), counts: Float32Array.of(3) }],
        ["b", { sums: Float32Array.of(1, 2, 2, 4, 2, 2), counts: Float32Array.of(2) }],
      ]),
      datasets: ["y.txt"],
      chunks: 3,
      chunkSize: 0,
      legacy: true,
      warnings: [],
    });
    const matrix = await readImportance(source(bytes, "m"));
    expect(matrix.tensors.get("b")).toEqual(Float32Array.of(0.5, 1, 1, 2, 1, 1));
  });

  test("cannot be written in the legacy form where there is nothing", () => {
    expect(() => writeLegacyImportance({ ...collection, entries: new Map() })).toThrow(
      /No entry .* has data/,
    );
  });
});

describe("a matrix held against a model", () => {
  const plain = model({ layers: 2, width: 32 });
  const values = (n: number) => new Float32Array(n).fill(1);
  const matrix = (...entries: [string, number][]) => ({
    tensors: new Map(entries.map(([name, n]) => [name, values(n)])),
    datasets: [],
    chunks: 0,
    file: "m.gguf",
  });

  test("lists what is missing and what is unknown", () => {
    const fit = checkImportance(plain, matrix(["blk.0.attn_q.weight", 32], ["blk.7.attn_q.weight", 32]));
    expect(fit.unknown).toEqual(["blk.7.attn_q.weight"]);
    expect(fit.missing).toContain("blk.1.attn_q.weight");
    expect(fit.missing).not.toContain("blk.0.attn_q.weight");
    expect(fit.missing.join()).not.toMatch(/norm|token_embd|(^|,)output\.weight/);
  });

  test("refuses another width, but leaves out a token embedding's", () => {
    expect(() => checkImportance(plain, matrix(["blk.0.attn_q.weight", 16]))).toThrow(
      /"blk.0.attn_q.weight" has 16 values; its rows need 32/,
    );
    expect(checkImportance(plain, matrix(["token_embd.weight", 16])).matrix.tensors.size).toBe(0);
  });

  test("wants a row per expert", () => {
    const moe = model({ layers: 1, width: 32, experts: 4 });
    expect(checkImportance(moe, matrix(["blk.0.ffn_up_exps.weight", 128])).unknown).toEqual([]);
    expect(() => checkImportance(moe, matrix(["blk.0.ffn_up_exps.weight", 32]))).toThrow(
      /32 for each of 4 experts/,
    );
  });

  test("can be narrowed", () => {
    const both = matrix(["blk.0.attn_q.weight", 32], ["blk.0.ffn_up.weight", 32]);
    const names = (m: { tensors: ReadonlyMap<string, unknown> }) => [...m.tensors.keys()];
    expect(names(filterImportance(both, { include: ["ffn"] }))).toEqual(["blk.0.ffn_up.weight"]);
    expect(names(filterImportance(both, { exclude: ["ffn"] }))).toEqual(["blk.0.attn_q.weight"]);
    expect(names(filterImportance(both, {}))).toHaveLength(2);
    expect(() => filterImportance(both, { include: ["a"], exclude: ["b"] })).toThrow(/not both/);
  });
});

const absent = missing("hostile/manifest.json");
describe.skipIf(absent !== undefined)(`hostile matrices${absent ? ` (${absent})` : ""}`, () => {
  interface Case {
    file: string;
    format: string;
    expected: string;
    alternative_ok?: string;
    error_code?: string;
    offset?: number;
    model?: string;
  }
  const cases: Case[] = absent ? [] : JSON.parse(readFileSync(shared("hostile/manifest.json"), "utf8")).cases;
  const own = cases.filter(({ format }) => format.startsWith("imatrix"));

  test.each(own.map((c) => [c.file, c] as const))("%s", async (file, c) => {
    const run = async () => {
      const opened = await openFile(shared(`hostile/${file}`));
      const matrix = await readImportance(opened).finally(() => opened.close());
      if (c.model === undefined) return;
      const other = await openFile(shared(`hostile/${c.model}`));
      checkImportance(await openGguf(other, alone), matrix);
      await other.close();
    };
    const outcome = await run().catch((error: unknown) => error);
    if (c.expected === "accept" || c.alternative_ok === "accept") {
      if (outcome instanceof Error) throw outcome;
      return;
    }
    if (!isFewbitError(outcome)) throw new Error(`accepted, or another error: ${String(outcome)}`);
    expect(outcome.code).toBe(c.error_code);
    if (c.offset !== undefined) expect(outcome.at.offset).toBe(c.offset);
  });

  test("were all run", () => expect(own.length).toBeGreaterThan(5));
});

const noTiny = missing("golden-model/tiny.imatrix.gguf");
test.skipIf(noTiny !== undefined)(
  `a matrix of llama.cpp's fits its model${noTiny ? ` (${noTiny})` : ""}`,
  async () => {
    const opened = await openFile(shared("golden-model/tiny.imatrix.gguf"));
    const matrix = await readImportance(opened);
    await opened.close();
    const other = await openFile(shared("golden-model/tiny-bf16.gguf"));
    const fit = checkImportance(await openGguf(other, alone), matrix);
    await other.close();
    expect(matrix.tensors.size).toBeGreaterThan(10);
    expect(fit.missing).toEqual([]);
    expect(fit.unknown).toEqual([]);
  },
);
