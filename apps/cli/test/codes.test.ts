// Where a code lies in a block is told by the report; what it means, by the scheme's decoder. They must agree.
import { CodeCounter } from "@fewbit/report";
import schemeAsymmetric from "@fewbit/scheme-asymmetric";
import schemeIq from "@fewbit/scheme-iq";
import schemeSymmetric from "@fewbit/scheme-symmetric";
import { describe, expect, test } from "vitest";
import { weights } from "./model.js";

const schemes = [schemeSymmetric, schemeAsymmetric, schemeIq].flatMap(({ schemes = [] }) => schemes);
const known = schemes.filter(({ id }) => CodeCounter.for(id) !== undefined);

const COLUMNS = 256;
const ROWS = 64;

test("the types that recipes use most have a picture of codes", () => {
  expect(known.map(({ id }) => id)).toEqual(
    expect.arrayContaining([
      "Q8_0",
      "Q6_K",
      "Q5_K",
      "Q4_K",
      "Q3_K",
      "Q2_K",
      "IQ4_XS",
      "IQ3_S",
      "IQ3_XXS",
      "IQ2_XXS",
    ]),
  );
});

describe.each(known)("$id", ({ id, load, layout }) => {
  const rows = weights(ROWS * COLUMNS, 7);
  const parts = layout([ROWS, COLUMNS]);
  if ("unfit" in parts) throw new Error(parts.unfit);
  const importance = new Float32Array(COLUMNS).fill(1);

  test("one code is one value wherever the scale is one", async () => {
    const codec = await load();
    const bytes = new Uint8Array(parts[0]!.bytes);
    const decoded = new Float32Array(rows.length);
    codec.encode(rows, [bytes], { columns: COLUMNS, importance });
    codec.decode([bytes], decoded, { columns: COLUMNS });
    const counter = CodeCounter.for(id)!;
    const codes = [...counter.codes(bytes)];
    const { group } = counter;
    expect(codes).toHaveLength(rows.length / group);

    if (group === 1) {
      // No type has a scale for fewer than 16 weights: within those, values follow codes, and rise or fall with them.
      for (let at = 0; at < codes.length; at += 16) {
        const pairs = codes.slice(at, at + 16).map((code, i) => [code, decoded[at + i]!] as const);
        pairs.sort(([a], [b]) => a - b);
        const falling = pairs[0]![1] > pairs.at(-1)![1];
        for (const [i, [code, value]] of pairs.entries()) {
          if (i === 0) continue;
          const [before, valueBefore] = pairs[i - 1]!;
          if (code === before) expect(value).toBe(valueBefore);
          else if (falling) expect(value).toBeLessThanOrEqual(valueBefore);
          else expect(value).toBeGreaterThanOrEqual(valueBefore);
        }
      }
      return;
    }
    // Entries of a codebook are patterns: signs and scale aside, one entry is one pattern anywhere in the tensor.
    const patterns = new Map<number, string>();
    let repeated = 0;
    for (const [i, code] of codes.entries()) {
      const values = [...decoded.subarray(i * group, (i + 1) * group)];
      const largest = Math.max(...values.map(Math.abs));
      if (largest === 0) continue;
      // The one-bit types shift all weights of a group a little: what is left when that is rounded away is -1, 0 or 1.
      const ternary = id.startsWith("IQ1");
      if (ternary && values.every((value) => value === values[0])) continue;
      const pattern = values
        .map((value) => (ternary ? Math.round(value / largest) + 0 : Math.abs(value / largest).toFixed(3)))
        .join(" ");
      const known = patterns.get(code);
      if (known !== undefined) repeated++;
      expect(known ?? pattern).toBe(pattern);
      patterns.set(code, pattern);
    }
    expect(repeated).toBeGreaterThan(10);
  });

  test("counts add up, and lie in range", async () => {
    const codec = await load();
    const bytes = new Uint8Array(parts[0]!.bytes);
    codec.encode(rows, [bytes], { columns: COLUMNS, importance });
    const counter = CodeCounter.for(id)!;
    counter.add(bytes.subarray(0, bytes.length / 2));
    counter.add(bytes.subarray(bytes.length / 2));
    const { counts } = counter.result();
    expect(counts.reduce((a, b) => a + b, 0)).toBe(rows.length / counter.group);
    expect(counts.filter((count) => count > 0).length).toBeGreaterThan(Math.min(counts.length, 256) / 4);
  });
});
