// A fitted minimum can come so close to the largest weight that a trial scale explodes, and llama.cpp's rounding wraps
// beyond ±2²². The kernels notice and round the same way. The seeds are those of thousands whose bytes show it.

import { expect, test } from "vitest";
import { generator } from "../../../tooling/cases.js";
import { encodeWith } from "../../../tooling/identity.js";
import { type GgmlType, oracleEncode, oracleFolder } from "../../../tooling/oracle.js";
import plugin from "../src/index.js";
import { reference } from "../src/reference.js";

const COLUMNS = 1024;

/** Negative weights in two narrow bands, and an importance that hides most of them. */
function hidden(seed: number): { rows: Float32Array; importance: Float32Array } {
  const { uniform } = generator(seed);
  const band = 10 ** (-8 * uniform());
  const spread = 10 ** (-8 * uniform());
  const zeros = uniform();
  return {
    rows: Float32Array.from({ length: COLUMNS }, (_, i) =>
      i % 16 === 3 ? -1 : -band + spread * band * uniform(),
    ),
    importance: Float32Array.from({ length: COLUMNS }, () =>
      uniform() < zeros ? 0 : 10 ** (16 * uniform() - 12),
    ),
  };
}

const seeds: Readonly<Record<string, readonly number[]>> = {
  Q4_1: [175, 494, 1764],
  Q5_1: [362, 643, 1115],
  Q2_K: [232, 1256, 1928],
  Q4_K: [1731, 1915, 2326],
  Q5_K: [337, 362, 559],
};

test.each(plugin.schemes)("$id wraps like its reference and llama.cpp", async (scheme) => {
  const codec = await scheme.load();
  expect(seeds[scheme.id]).toHaveLength(3);
  for (const seed of seeds[scheme.id]!) {
    const { rows, importance } = hidden(seed);
    const ours = encodeWith(scheme, codec, rows, COLUMNS, importance);
    const slow = new Uint8Array(ours.length);
    reference.get(scheme.id)!.encode(rows, [slow], { columns: COLUMNS, importance });
    expect(Buffer.compare(ours, slow), `reference, seed ${seed}`).toBe(0);
    if (!oracleFolder) continue;
    const theirs = oracleEncode(scheme.id as GgmlType, rows, COLUMNS, importance);
    expect(Buffer.compare(ours, theirs), `llama.cpp, seed ${seed}`).toBe(0);
  }
});
