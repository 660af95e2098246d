// Importance matrices that are there already: adding them, and looking at them. Checked once by hand against
// llama-imatrix: merged files are the same to the byte, and the figures of --show-statistics to the digit.
import type { StoredCollection } from "@fewbit/format-gguf";
import { describe, expect, test } from "vitest";
import { importanceStatistics, mergeCollections } from "../src/index.js";

const matrix = (
  entries: Record<string, [sums: number[], counts: number[]]>,
  more: Partial<StoredCollection> = {},
): StoredCollection => ({
  entries: new Map(
    Object.entries(entries).map(([name, [sums, counts]]) => [
      name,
      { sums: Float32Array.from(sums), counts: Float32Array.from(counts) },
    ]),
  ),
  datasets: ["a"],
  chunks: 1,
  chunkSize: 4,
  legacy: false,
  warnings: [],
  ...more,
});

describe("merging", () => {
  test("adds sums and counts, and keeps what only one has", () => {
    const merged = mergeCollections([
      {
        name: "a.gguf",
        collection: matrix({
          x: [[1, 2], [4]],
          y: [
            [1, 2, 3, 4],
            [4, 0],
          ],
        }),
      },
      {
        name: "b.gguf",
        collection: matrix({ x: [[3, 5], [8]], z: [[7], [4]] }, { datasets: ["b", "c"], chunkSize: 8 }),
      },
    ]);
    expect(merged).toEqual({
      entries: matrix({
        x: [[4, 7], [12]],
        y: [
          [1, 2, 3, 4],
          [4, 0],
        ],
        z: [[7], [4]],
      }).entries,
      datasets: ["a", "b", "c"],
      chunks: 3,
      chunkSize: 4,
    });
  });

  test("takes the legacy form for chunks, and one count for all experts", () => {
    const legacy = matrix({ y: [[1, 2, 3, 4], [2]] }, { legacy: true, chunkSize: 0, datasets: ["old"] });
    const modern = matrix({
      y: [
        [10, 10, 10, 10],
        [4, 0],
      ],
    });
    for (const order of [
      [legacy, modern],
      [modern, legacy],
    ]) {
      const merged = mergeCollections(order.map((collection, i) => ({ name: `${i}`, collection })));
      expect(merged).toMatchObject({ chunks: 3, chunkSize: 4 });
      expect(merged.entries).toEqual(
        matrix({
          y: [
            [14, 18, 22, 26],
            [12, 8],
          ],
        }).entries,
      );
    }
    expect(mergeCollections([{ name: "l", collection: legacy }])).toMatchObject({
      chunks: 2,
      chunkSize: 512,
    });
    expect(mergeCollections([{ name: "l", collection: legacy }], 16).entries).toEqual(
      matrix({ y: [[16, 32, 48, 64], [32]] }).entries,
    );
  });

  test("refuses matrices of different models", () => {
    const merge = (a: StoredCollection, b: StoredCollection) => () =>
      mergeCollections([
        { name: "a", collection: a },
        { name: "b", collection: b },
      ]);
    expect(merge(matrix({ x: [[1, 2], [4]] }), matrix({ x: [[1, 2, 3], [4]] }))).toThrow(
      expect.objectContaining({
        code: "E_IMATRIX_SHAPE",
        message: "The entry x has 3 values here and 2 in the files before.",
        at: { file: "b", tensor: "x" },
        remedy: "Only matrices of one model can be merged.",
      }),
    );
    expect(
      merge(
        matrix({
          x: [
            [1, 2],
            [4, 4],
          ],
        }),
        matrix({ x: [[1, 2], [4]] }),
      ),
    ).toThrow(/The entry x has 1 counts here and 2 in the files before/);
  });
});

describe("statistics", () => {
  test("of means of squares", () => {
    const { tensors, layers } = importanceStatistics(
      matrix({
        "blk.0.ffn_up.weight": [[4, 4, 8, 0], [4]],
        "blk.1.ffn_up.weight": [[4, 8, 8, 0], [4]],
        "blk.1.attn_q.weight": [
          [3, 4, 100, 100],
          [1, 0],
        ],
        "output.weight": [[2], [2]],
        "blk.2.unused.weight": [[0], [0]],
      }),
    );
    expect(tensors.map(({ tensor }) => tensor)).toEqual([
      "blk.1.attn_q.weight",
      "blk.1.ffn_up.weight",
      "blk.0.ffn_up.weight",
      "output.weight",
    ]);
    const [q, up1, up0, output] = tensors;
    expect(up0).toEqual({
      tensor: "blk.0.ffn_up.weight",
      kind: "ffn_up",
      layer: 0,
      sum: 4,
      min: 0,
      max: 2,
      mean: 1,
      deviation: Math.SQRT1_2,
      active: 0.75,
      count: 4,
      entropy: 1.5,
      normalizedEntropy: 0.75,
      zScore: 0.25,
      cosine: 0,
    });
    expect(up1!.cosine).toBeCloseTo((16 + 32 + 64) / Math.sqrt(96 * 144), 12);
    // The second expert was never used.
    expect(q).toMatchObject({ count: 2, sum: 7, max: 4 });
    expect(output).toMatchObject({ count: 1, entropy: 0, normalizedEntropy: 0, cosine: 0 });
    expect(output).not.toHaveProperty("layer");
    expect(layers).toEqual([
      { layer: 0, sum: 4, zScore: 0.25, cosine: 0 },
      {
        layer: 1,
        sum: (2 * 7 + 4 * 5) / 6,
        zScore: (2 * q!.zScore + 4 * up1!.zScore) / 6,
        cosine: (4 * up1!.cosine) / 6,
      },
    ]);
  });
});
