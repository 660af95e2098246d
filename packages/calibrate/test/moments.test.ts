import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MomentCollector, MomentSums } from "../src/moments.js";

describe("second moments", () => {
  test("are sums of products of columns", () => {
    const vectors = fc.integer({ min: 1, max: 35 }).chain((columns) =>
      fc.record({
        columns: fc.constant(columns),
        parts: fc.array(
          fc
            .integer({ min: 1, max: 150 })
            .chain((count) =>
              fc
                .integer({ min: 1, max: 1e6 })
                .map((seed) =>
                  Float32Array.from({ length: columns * count }, (_, i) => Math.sin(seed * (i + 1)) * 4),
                ),
            ),
          { minLength: 1, maxLength: 3 },
        ),
      }),
    );
    fc.assert(
      fc.property(vectors, ({ columns, parts }) => {
        const sums = new MomentSums(columns);
        for (const part of parts) sums.add(part);
        const { count, sums: found } = sums.moment();
        const expected = new Float64Array(columns * columns);
        for (const part of parts)
          for (let at = 0; at < part.length; at += columns)
            for (let i = 0; i < columns; i++)
              for (let j = 0; j < columns; j++) expected[i * columns + j]! += part[at + i]! * part[at + j]!;
        expect(count).toBe(parts.reduce((n, part) => n + part.length / columns, 0));
        for (let i = 0; i < expected.length; i++)
          expect(Math.abs(found[i]! - expected[i]!)).toBeLessThanOrEqual(
            2 ** -24 * Math.abs(expected[i]!) + 1e-10,
          );
      }),
      { numRuns: 30 },
    );
  });

  test("are collected where the expression matches, of weights of one matrix", () => {
    const collector = new MomentCollector("ffn_(up|exps)");
    const about = { columns: 2, values: Float32Array.of(1, 2, 3, 4), experts: 1 };
    collector.see({ weight: "blk.0.ffn_up.weight", ...about });
    collector.see({ weight: "blk.0.attn_q.weight", ...about });
    expect(collector.moments).toEqual(
      new Map([["blk.0.ffn_up.weight", { columns: 2, count: 2, sums: Float32Array.of(10, 14, 14, 20) }]]),
    );
    expect(() => collector.see({ weight: "blk.0.ffn_exps.weight", ...about, experts: 4 })).toThrow(
      "blk.0.ffn_exps.weight has several matrices; second moments are collected for weights of one.",
    );
    expect(() =>
      collector.see({
        weight: "blk.1.ffn_up.weight",
        ...about,
        columns: 30_000,
        values: new Float32Array(0),
      }),
    ).toThrow(/has 30000 columns; second moments are collected for at most 24576/);
  });
});
