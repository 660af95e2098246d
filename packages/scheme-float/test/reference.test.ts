import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { makeRows, weightCases } from "../../../tooling/cases.js";
import { encodeWith } from "../../../tooling/identity.js";
import plugin from "../src/index.js";
import { reference } from "../src/reference.js";

/** Any finite float32, subnormals and both zeros included. */
const weight = fc.float({ noNaN: true, noDefaultInfinity: true });

describe.each(plugin.schemes)("the kernel of $id equals its reference", (scheme) => {
  const slow = reference.get(scheme.id)!;
  const parts = scheme.layout([1, 64]);
  const bytesOf64 = "unfit" in parts ? 0 : parts[0]!.bytes;

  test.each(Object.keys(weightCases))("encoding %s", async (name) => {
    const columns = 192;
    const rows = makeRows(name, 3, columns, 5);
    const expected = new Uint8Array((rows.length / 64) * bytesOf64);
    slow.encode(rows, [expected], { columns });
    expect(encodeWith(scheme, await scheme.load(), rows, columns)).toEqual(expected);
  });

  test("encoding and decoding any finite weights", async () => {
    const codec = await scheme.load();
    fc.assert(
      fc.property(fc.array(weight, { minLength: 64, maxLength: 64 }), (weights) => {
        const rows = Float32Array.from(weights);
        const expected = new Uint8Array(bytesOf64);
        slow.encode(rows, [expected], { columns: 64 });
        const bytes = encodeWith(scheme, codec, rows, 64);
        expect(bytes).toEqual(expected);
        const ours = new Float32Array(64);
        const theirs = new Float32Array(64);
        codec.decode([bytes], ours, { columns: 64 });
        slow.decode([bytes], theirs, { columns: 64 });
        expect(ours).toEqual(theirs); // distinguishes −0 from 0
      }),
      { numRuns: 1000 },
    );
  });

  test("decoding any bytes", async () => {
    const codec = await scheme.load();
    fc.assert(
      fc.property(fc.uint8Array({ minLength: bytesOf64, maxLength: bytesOf64 }), (bytes) => {
        const ours = new Float32Array(64);
        const theirs = new Float32Array(64);
        codec.decode([bytes], ours, { columns: 64 });
        slow.decode([bytes], theirs, { columns: 64 });
        expect(ours).toEqual(theirs);
      }),
      { numRuns: 1000 },
    );
  });
});
