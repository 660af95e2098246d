// Blocks from the smallest subnormal to weights whose scales overflow half precision.

import { describe, expect, test } from "vitest";
import { generator, makeImportance } from "../../../tooling/cases.js";
import { encodeWith } from "../../../tooling/identity.js";
import { type GgmlType, oracleEncode, oracleFolder } from "../../../tooling/oracle.js";
import plugin from "../src/index.js";

const reason = oracleFolder ? "" : " (skipped: no prebuilt llama.cpp for this platform)";
const COLUMNS = 256;

/** Rows of blocks of 32 weights, each within a random power of two of its own, zeros and ties among them. */
function rowsBetween(lowest: number, highest: number, rows: number, seed: number): Float32Array {
  const random = generator(seed);
  let size = 0;
  return Float32Array.from({ length: rows * COLUMNS }, (_, i) => {
    if (i % 32 === 0) size = 2 ** (lowest + Math.floor(random.uniform() * (highest - lowest)));
    const kind = random.uniform();
    if (kind < 0.1) return 0;
    return (kind < 0.3 ? Math.floor(random.uniform() * 33 - 16) / 16 : random.uniform() * 2 - 1) * size;
  });
}

describe.each(plugin.schemes)("$id equals llama.cpp", (scheme) => {
  const compare = async (rows: Float32Array, importance: Float32Array | undefined, seed: number) => {
    const ours = encodeWith(scheme, await scheme.load(), rows, COLUMNS, importance);
    const theirs = oracleEncode(scheme.id as GgmlType, rows, COLUMNS, importance);
    const differing = ours.findIndex((byte, i) => byte !== theirs[i]);
    expect(differing < 0 ? "none" : `byte ${differing}, seed ${seed}`).toBe("none");
  };

  // Weights of errors are products of weights: beyond these bounds sums overflow to NaN, whose sign depends on the
  // processor.
  test.skipIf(!oracleFolder)(`over the range in which sums are finite${reason}`, async () => {
    const plain = scheme.importance !== "required";
    for (const matrix of [...(plain ? [undefined] : []), "skewed", "tiny", "halfZero"]) {
      const seed = 1 + Math.floor(Math.random() * 1e6);
      const importance = matrix ? makeImportance(matrix, COLUMNS, seed) : undefined;
      await compare(rowsBetween(-150, 16, 100, seed), importance, seed);
    }
  });

  // llama.cpp gives up on some of these. Here there is a result, and it does not depend on what was encoded before.
  test("any finite weights and importances are encoded, again and again the same", async () => {
    const block = [32, 256].find((columns) => !("unfit" in scheme.layout([1, columns])))!;
    const codec = await scheme.load();
    const importance = Float32Array.from(
      makeImportance("skewed", COLUMNS),
      (v, i) => v * 2 ** ((i % 250) - 125),
    );
    for (const lowest of [-150, 60, 120]) {
      const rows = rowsBetween(lowest, 128, 20, 1);
      const first = encodeWith(scheme, codec, rows, COLUMNS, importance);
      encodeWith(scheme, codec, rowsBetween(-20, 0, 20, 2), COLUMNS, importance);
      expect(encodeWith(scheme, codec, rows, COLUMNS, importance)).toEqual(first);
      const decoded = new Float32Array(rows.length);
      codec.decode([first], decoded, { columns: COLUMNS });
      const bad = decoded.findIndex((v) => !Number.isFinite(v));
      const invalid = codec.invalid!([first], { columns: COLUMNS });
      expect(bad < 0 ? -1 : bad - (bad % block)).toBe(invalid);
    }
  });
});
