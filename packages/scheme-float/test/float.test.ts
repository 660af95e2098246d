// F32, F16 and BF16: one weight per block, so any number of columns and every bit pattern can be asked for.

import { describe, expect, test } from "vitest";
import { encodeWith } from "../../../tooling/identity.js";
import { oracleEncode, oracleFolder } from "../../../tooling/oracle.js";
import plugin from "../src/index.js";

const [f32, f16, bf16] = plugin.schemes;
const bits = (...values: number[]) => new Float32Array(Uint32Array.from(values).buffer);

test("F32 keeps every bit, signalling NaNs too", async () => {
  const rows = bits(0x3f800000, 0x80000000, 0x00000001, 0x7fa00001, 0xff800000);
  const codec = await f32.load();
  const bytes = encodeWith(f32, codec, rows, 5);
  expect(bytes).toEqual(new Uint8Array(rows.buffer));
  const decoded = new Float32Array(5);
  codec.decode([bytes], decoded, { columns: 5 });
  expect(new Uint32Array(decoded.buffer)).toEqual(new Uint32Array(rows.buffer));
});

describe.each([f16, bf16])("$id", (scheme) => {
  test("decodes every pattern and encodes it back", async () => {
    const codec = await scheme.load();
    const patterns = Uint16Array.from({ length: 65536 }, (_, i) => i);
    const decoded = new Float32Array(65536);
    codec.decode([new Uint8Array(patterns.buffer)], decoded, { columns: 65536 });
    const again = new Uint16Array(encodeWith(scheme, codec, decoded, 65536).buffer);
    const differing = [...patterns].filter((p) => !Number.isNaN(decoded[p]!) && again[p] !== p);
    expect(differing).toEqual([]);
  });

  test.each([1, 3, 7, 8, 9, 33])("takes rows of %i", async (columns) => {
    const codec = await scheme.load();
    const rows = Float32Array.from({ length: 3 * columns }, (_, i) => i - columns);
    const bytes = encodeWith(scheme, codec, rows, columns);
    const decoded = new Float32Array(rows.length);
    codec.decode([bytes], decoded, { columns });
    expect(decoded).toEqual(rows);
  });

  const reason = oracleFolder ? "" : " (skipped: no prebuilt llama.cpp for this platform)";
  test.skipIf(!oracleFolder)(`rounds as llama.cpp at and beside every halfway point${reason}`, async () => {
    const codec = await scheme.load();
    // Every pattern of the upper 16 bits, with lower bits around the halfway points of both types; NaN and infinity too.
    for (const low of [0x0000, 0x0001, 0x0fff, 0x1000, 0x1001, 0x7fff, 0x8000, 0x8001, 0xffff]) {
      const rows = new Float32Array(Uint32Array.from({ length: 65536 }, (_, i) => (i << 16) | low).buffer);
      const ours = new Uint16Array(encodeWith(scheme, codec, rows, 65536).buffer);
      const theirs = new Uint16Array(oracleEncode(scheme.id as "F16", rows, 65536).buffer);
      const differing = ours.findIndex((h, i) => h !== theirs[i]);
      expect(differing < 0 ? "none" : `${differing.toString(16)}, low ${low.toString(16)}`).toBe("none");
    }
  });
});

describe.each([f32, f16, bf16])("$id finds the first weight that is not finite", (scheme) => {
  test.each([0, 1, 6, 7, 8, 9, 18, 20])("at %i of 21", async (at) => {
    const codec = await scheme.load();
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const rows = new Float32Array(21).fill(1);
      expect(codec.invalid!([encodeWith(scheme, codec, rows, 21)], { columns: 21 })).toBe(-1);
      rows[at] = bad;
      rows[20] = bad;
      expect(codec.invalid!([encodeWith(scheme, codec, rows, 21)], { columns: 21 })).toBe(at);
    }
  });
});

test("F16 reports finite weights that overflow it", async () => {
  const codec = await f16.load();
  const encoded = (x: number) => encodeWith(f16, codec, Float32Array.of(0, 1, x, 2), 4);
  expect(codec.invalid!([encoded(65519)], { columns: 4 })).toBe(-1);
  expect(codec.invalid!([encoded(65520)], { columns: 4 })).toBe(2);
});
