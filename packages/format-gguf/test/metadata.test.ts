import type { ImportanceMatrix, MetadataEntry, Model } from "@fewbit/core";
import { describe, expect, test } from "vitest";
import { applyOverrides, outputMetadata, parseOverride, sourceFileType } from "../src/metadata.js";
import { model, tensor } from "./model.js";

const entry = (key: string, value: unknown = 1, type = "u32"): MetadataEntry => ({ key, type, value });
const withKeys = (...metadata: MetadataEntry[]): Model => ({ ...model({ layers: 1 }), metadata });
const keysOf = (metadata: readonly MetadataEntry[]) => metadata.map(({ key }) => key);
const matrix: ImportanceMatrix = {
  tensors: new Map([["a", Float32Array.of(1)]]),
  datasets: ["first.txt", "second.txt"],
  chunks: 5,
  file: "/some/where/m.gguf",
};

describe("the output's metadata", () => {
  test("moves version and file type to the end and drops the split", () => {
    const metadata = outputMetadata(
      withKeys(
        entry("general.file_type", 1),
        entry("a"),
        entry("split.no", 0, "u16"),
        entry("split.count", 2, "u16"),
        entry("b"),
      ),
      15,
    );
    expect(metadata).toEqual([
      entry("a"),
      entry("b"),
      entry("general.quantization_version", 2),
      entry("general.file_type", 15),
    ]);
  });

  test("tells where the importance came from, without the folder", () => {
    const metadata = outputMetadata(
      withKeys(entry("quantize.imatrix.file", "old", "string"), entry("a")),
      7,
      matrix,
    );
    expect(metadata.slice(-4)).toEqual([
      entry("quantize.imatrix.file", "m.gguf", "string"),
      entry("quantize.imatrix.dataset", "first.txt", "string"),
      entry("quantize.imatrix.entries_count", 1),
      entry("quantize.imatrix.chunks_count", 5),
    ]);
    expect(keysOf(metadata).filter((key) => key === "quantize.imatrix.file")).toHaveLength(1);
    const unnamed: ImportanceMatrix = { tensors: matrix.tensors, datasets: [], chunks: 0 };
    expect(keysOf(outputMetadata(withKeys(), 7, unnamed))).toEqual([
      "general.quantization_version",
      "general.file_type",
    ]);
    expect(keysOf(outputMetadata(withKeys(), 7, { ...unnamed, file: "m" }))).toHaveLength(4);
  });

  test("cuts long names to 127 bytes, between characters", () => {
    const long = { ...matrix, datasets: [`${"x".repeat(126)}é`] };
    const cut = outputMetadata(withKeys(), 7, long).find(({ key }) => key.endsWith(".dataset"))!.value;
    expect(cut).toBe("x".repeat(126));
  });
});

describe("the file type of a copy", () => {
  test("is the source's own", () => {
    expect(sourceFileType(withKeys(entry("general.file_type", 15)))).toBe(15);
  });

  test.each([
    [["F16", "F16", "F32"], 1],
    [["Q4_K", "Q6_K", "Q4_K"], 15],
    [["I8"], 0],
  ])("is guessed from %j", (dtypes, fileType) => {
    const from = { ...withKeys(), tensors: dtypes.map((dtype, i) => tensor(`t${i}`, [256, 256], dtype)) };
    expect(sourceFileType(from)).toBe(fileType | 1024);
  });
});

describe("overrides", () => {
  test.each<[string, MetadataEntry]>([
    ["a.b=int:42", entry("a.b", 42)],
    ["a=int:-42", entry("a", 42)],
    ["a=float:1e-5", entry("a", 1e-5, "f32")],
    ["a=bool:true", entry("a", true, "bool")],
    ["general.name=str:Mine = yours: both", entry("general.name", "Mine = yours: both", "string")],
    ["a=str:", entry("a", "", "string")],
  ])("%s", (text, want) => expect(parseOverride(text)).toEqual(want));

  test.each([
    ["a", /is not of the form KEY=TYPE:VALUE/],
    ["=int:1", /is not of the form/],
    ["a=long:1", /unknown type "long"/],
    ["a=int:1.5", /no whole number below 2\^32/],
    ["a=int:4294967296", /no whole number below/],
    ["a=float:x", /is no number/],
    ["a=bool:1", /neither true nor false/],
    [`a=str:${"x".repeat(128)}`, /longer than 127 bytes/],
    [`${"k".repeat(128)}=int:1`, /key longer than 127/],
    ["general.alignment=int:64", /the writer itself decides/],
    ["split.count=int:2", /the writer itself decides/],
  ])("%s is refused", (text, words) => expect(() => parseOverride(text)).toThrow(words));

  test("come after the file type and before the importance matrix's", () => {
    const metadata = outputMetadata(withKeys(entry("a"), entry("b")), 7, matrix);
    const result = applyOverrides(metadata, [
      entry("a", 5),
      entry("c", 1),
      entry("a", 6),
      entry("quantize.imatrix.file", "x", "string"),
    ]);
    expect(keysOf(result)).toEqual([
      "b",
      "general.quantization_version",
      "general.file_type",
      "c",
      "a",
      "quantize.imatrix.file",
      "quantize.imatrix.dataset",
      "quantize.imatrix.entries_count",
      "quantize.imatrix.chunks_count",
    ]);
    expect(result.find(({ key }) => key === "a")!.value).toBe(6);
    expect(result.find(({ key }) => key === "quantize.imatrix.file")!.value).toBe("m.gguf");
  });
});
