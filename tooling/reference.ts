// A readable reference stands beside every kernel: both are held to the same bytes, on named rows and on any.
import type { Codec, Scheme } from "@fewbit/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { importanceCases, makeImportance, makeRows, weightCases } from "./cases.js";
import { encodeWith } from "./identity.js";

const COLUMNS = 768;

/** Registers the tests of one scheme: what it writes and reads equals what its plain TypeScript does. */
export function testReference(scheme: Scheme, slow: Codec): void {
  describe(`the kernel of ${scheme.id} equals its reference`, () => {
    const bytesOf = (columns: number): number => {
      const parts = scheme.layout([1, columns]);
      return "unfit" in parts ? 0 : parts[0]!.bytes;
    };
    const block = [32, 64, 128, 256].find((columns) => bytesOf(columns) > 0)!;
    const bytes = bytesOf(block);
    const plain = scheme.importance === "required" ? [] : [undefined];
    const matrices = scheme.importance === "ignored" ? [] : Object.keys(importanceCases);

    const encodeSlowly = (rows: Float32Array, columns: number, importance?: Float32Array): Uint8Array => {
      const out = new Uint8Array((rows.length / block) * bytes);
      slow.encode(rows, [out], importance ? { columns, importance } : { columns });
      return out;
    };

    test.each(Object.keys(weightCases))("encoding %s", async (name) => {
      const codec = await scheme.load();
      const rows = makeRows(name, 3, COLUMNS, 5);
      for (const matrix of [...plain, ...matrices]) {
        const importance = matrix ? makeImportance(matrix, COLUMNS) : undefined;
        const ours = encodeWith(scheme, codec, rows, COLUMNS, importance);
        expect(Buffer.compare(ours, encodeSlowly(rows, COLUMNS, importance)), matrix ?? "no importance").toBe(
          0,
        );
      }
    });

    test("encoding and decoding any weights between −1000 and 1000", async () => {
      const codec = await scheme.load();
      const weight = fc.float({ noNaN: true, min: -1000, max: 1000 });
      const weights = fc.array(weight, { minLength: block, maxLength: block });
      const weighing = fc.array(fc.float({ noNaN: true, min: 0, max: 100 }), {
        minLength: block,
        maxLength: block,
      });
      fc.assert(
        fc.property(weights, weighing, (w, v) => {
          const rows = Float32Array.from(w);
          for (const importance of [...plain, ...(matrices.length ? [Float32Array.from(v)] : [])]) {
            const encoded = encodeWith(scheme, codec, rows, block, importance);
            expect(encoded).toEqual(encodeSlowly(rows, block, importance));
            const ours = new Float32Array(block);
            const theirs = new Float32Array(block);
            codec.decode([encoded], ours, { columns: block });
            slow.decode([encoded], theirs, { columns: block });
            expect(ours).toEqual(theirs);
          }
        }),
        { numRuns: 200 },
      );
    });

    test("decoding any bytes", async () => {
      const codec = await scheme.load();
      fc.assert(
        fc.property(fc.uint8Array({ minLength: bytes, maxLength: bytes }), (encoded) => {
          const ours = new Float32Array(block);
          const theirs = new Float32Array(block);
          codec.decode([encoded], ours, { columns: block });
          slow.decode([encoded], theirs, { columns: block });
          expect(ours).toEqual(theirs); // distinguishes −0 from 0
        }),
        { numRuns: 300 },
      );
    });
  });
}
