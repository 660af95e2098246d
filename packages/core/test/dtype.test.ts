import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { floatTypes } from "../src/dtype.js";

const decode = (type: string, bytes: Uint8Array, count: number): Float32Array => {
  const out = new Float32Array(count);
  floatTypes.get(type)!.decode(bytes, out);
  return out;
};

/** float16 by definition: sign · 2^(e−15) · (1 + m ⁄ 1024), subnormals without the one. */
function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const mantissa = bits & 1023;
  if (exponent === 31) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent === 0 ? mantissa * 2 ** -24 : (1 + mantissa / 1024) * 2 ** (exponent - 15));
}

describe("float types", () => {
  test("F16 decodes all 65,536 patterns", () => {
    const patterns = Uint16Array.from({ length: 65536 }, (_, i) => i);
    const values = decode("F16", new Uint8Array(patterns.buffer), 65536);
    for (let i = 0; i < 65536; i++)
      if (!Object.is(values[i], half(i))) expect(`${i}: ${values[i]}`).toBe(`${i}: ${half(i)}`);
  });

  test("BF16 is the upper half of a float32, NaN payloads included", () => {
    const patterns = Uint16Array.from({ length: 65536 }, (_, i) => i);
    const values = decode("BF16", new Uint8Array(patterns.buffer), 65536);
    const bits = new Uint32Array(values.buffer);
    for (let i = 0; i < 65536; i++) if (bits[i] !== (i << 16) >>> 0) expect(bits[i]).toBe((i << 16) >>> 0);
  });

  test("F64 rounds to float32", () => {
    const values = Float64Array.of(1 / 3, -0, 1e300);
    expect([...decode("F64", new Uint8Array(values.buffer), 3)]).toEqual([
      Math.fround(1 / 3),
      -0,
      Number.POSITIVE_INFINITY,
    ]);
  });

  test.each(["F32", "F16", "BF16", "F64"])(
    "%s finds the first NaN or infinity wherever it is, at any alignment",
    (type) => {
      const { bytes: size, nonfinite, decode } = floatTypes.get(type)!;
      fc.assert(
        fc.property(
          fc.uint8Array({ minLength: size, maxLength: 41 * size }),
          fc.integer({ min: 0, max: 7 }),
          (raw, shift) => {
            const count = Math.floor(raw.length / size);
            const bytes = new Uint8Array(count * size + shift).subarray(shift);
            bytes.set(raw.subarray(0, count * size));
            const values = type === "F64" ? new Float64Array(bytes.slice().buffer) : new Float32Array(count);
            if (values instanceof Float32Array) decode(bytes, values);
            expect(nonfinite(bytes)).toBe(values.findIndex((x) => !Number.isFinite(x)));
          },
        ),
        { numRuns: 500 },
      );
    },
  );

  test.each(["F16", "BF16", "F32"])("%s: one infinity among many finite weights is found", (type) => {
    const { bytes: size, nonfinite } = floatTypes.get(type)!;
    const infinity = { F16: [0x00, 0x7c], BF16: [0x80, 0x7f], F32: [0x00, 0x00, 0x80, 0xff] }[type]!;
    for (const at of [0, 1, 2, 500, 1000]) {
      const bytes = new Uint8Array(1001 * size);
      expect(nonfinite(bytes)).toBe(-1);
      bytes.set(infinity, at * size);
      expect(nonfinite(bytes)).toBe(at);
    }
  });

  test("an unknown name is unknown, even one that objects have", () => {
    expect(floatTypes.get("constructor")).toBeUndefined();
    expect(floatTypes.get("__proto__")).toBeUndefined();
  });
});
