// Blocks from the smallest subnormal to the largest float, where scales overflow half precision and their inverses
// single precision: llama.cpp's conversions of infinity show in the bytes.

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

  test.skipIf(!oracleFolder)(`over the whole range of float32${reason}`, async () => {
    const seed = 1 + Math.floor(Math.random() * 1e6);
    await compare(rowsBetween(-150, 128, 400, seed), undefined, seed);
  });

  // With importance, squares of squares of weights are summed: beyond these bounds they overflow to NaN, whose sign
  // depends on the processor.
  if (scheme.importance === "ignored") return;
  test.skipIf(!oracleFolder)(`over the range in which weighted sums are finite${reason}`, async () => {
    for (const matrix of ["skewed", "tiny", "halfZero"]) {
      const seed = 1 + Math.floor(Math.random() * 1e6);
      await compare(rowsBetween(-150, 24, 100, seed), makeImportance(matrix, COLUMNS, seed), seed);
    }
  });
});
