// Weights that lie on the lattice, or just between its points, at a scale that the search tries: ties in rounding, in
// the search for the nearest entry and between scales, down to where squares of sums underflow.
import { describe, expect, test } from "vitest";
import { generator } from "../../../tooling/cases.js";
import { encodeWith } from "../../../tooling/identity.js";
import { type GgmlType, oracleEncode, oracleFolder } from "../../../tooling/oracle.js";
import plugin from "../src/index.js";

const reason = oracleFolder ? "" : " (skipped: no prebuilt llama.cpp for this platform)";
const types = plugin.schemes.filter(({ id }) => id.startsWith("IQ2_"));

const weights: Readonly<Record<string, (random: ReturnType<typeof generator>) => number>> = {
  fifths: (r) => Math.floor(r.uniform() * 11 - 5) / 5,
  ternary: (r) => Math.floor(r.uniform() * 3) - 1,
  eighths: (r) => Math.round(r.normal() * 8) / 8,
  outliers: (r) => (r.uniform() < 0.02 ? 40 : 1) * r.normal(),
  scattered: (r) => r.normal() * 2 ** Math.floor(r.uniform() * 12 - 6),
};

const importances: Readonly<Record<string, (random: ReturnType<typeof generator>) => number>> = {
  ones: () => 1,
  powers: (r) => 2 ** Math.floor(r.uniform() * 20 - 10),
  tiny: (r) => r.uniform() * 1e-7,
  rare: (r) => (r.uniform() < 0.9 ? 0 : 1),
};

describe.each(types)("$id equals llama.cpp", (scheme) => {
  test.skipIf(!oracleFolder).each(Object.keys(weights))(`on %s of many sizes${reason}`, async (name) => {
    const codec = await scheme.load();
    const seed = 1 + Math.floor(Math.random() * 1e6);
    const random = generator(seed);
    const columns = 768;
    for (const importance of Object.keys(importances))
      for (let exponent = -30; exponent < 16; exponent += 5) {
        const rows = Float32Array.from({ length: 2 * columns }, () => weights[name]!(random) * 2 ** exponent);
        const matrix = Float32Array.from({ length: columns }, () => importances[importance]!(random));
        for (const given of scheme.importance === "required" ? [matrix] : [undefined, matrix]) {
          const ours = encodeWith(scheme, codec, rows, columns, given);
          const theirs = oracleEncode(scheme.id as GgmlType, rows, columns, given);
          const differing = ours.findIndex((byte, i) => byte !== theirs[i]);
          const what = `${importance}, 2^${exponent}, seed ${seed}`;
          expect(differing < 0 ? "none" : `byte ${differing} with ${what}`).toBe("none");
        }
      }
  });
});
