import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Softmax } from "../src/softmax.js";
import { logSoftmax, noise } from "./fake-engine.js";

const lengths = [1, 2, 3, 4, 5, 31, 32, 33, 2304, 50257];

describe.each(lengths)("a vocabulary of %i", (vocabulary) => {
  test("has its distribution", async () => {
    const softmax = await Softmax.create(vocabulary);
    for (let seed = 0; seed < 20; seed++) {
      const logits = noise(vocabulary, seed, 3, 4).map((x) => x * (1 + seed));
      const expected = logSoftmax(logits);
      const { peak, top, logSum } = softmax.distribution(logits)!;
      expect(peak).toBe(logits.reduce((a, b) => Math.max(a, b)));
      expect(top).toBe(logits.indexOf(peak));
      for (const i of [0, top, vocabulary - 1])
        expect(Math.abs(logits[i]! - logSum - expected[i]!)).toBeLessThan(2e-8);
    }
  });

  test("diverges by as much as it should", async () => {
    const softmax = await Softmax.create(vocabulary);
    for (const scale of [1e-3, 0.1, 3]) {
      const logits = noise(vocabulary, 1, 2, 3);
      const change = noise(vocabulary, 9, 8, 7);
      const other = logits.map((x, i) => x + change[i]! * scale);
      const p = softmax.distribution(logits)!;
      const q = softmax.distribution(other)!;
      const [a, b] = [logSoftmax(logits), logSoftmax(other)];
      const expected = a.reduce((sum, x, i) => sum + Math.exp(x) * (x - b[i]!), 0);
      const found = softmax.divergence(logits, p, q);
      expect(Math.abs(found - expected)).toBeLessThan(2e-8 + expected * 1e-6);
    }
  });

  test("does not diverge from itself", async () => {
    const softmax = await Softmax.create(vocabulary);
    const logits = noise(vocabulary, 5, 6, 7);
    const p = softmax.distribution(logits)!;
    expect(softmax.divergence(logits, p, p)).toBe(0);
  });

  test("tells logits that are NaN or infinite, wherever they are", async () => {
    const softmax = await Softmax.create(vocabulary);
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])
      for (const at of new Set([0, 1, 2, 3, vocabulary >> 1, vocabulary - 1].filter((i) => i < vocabulary))) {
        const logits = noise(vocabulary, 1, 1, at);
        logits[at] = bad;
        expect(softmax.distribution(logits)).toBeUndefined();
        logits[at] = 1;
        expect(softmax.distribution(logits)).toBeDefined();
      }
  });
});

test("the first of equal logits is the top", async () => {
  const softmax = await Softmax.create(9);
  expect(softmax.distribution(Float32Array.of(1, 3, 2, 3, 3, 0, 0, 0, 3))!.top).toBe(1);
  expect(softmax.distribution(new Float32Array(9).fill(-2))!.top).toBe(0);
});

test("any finite logits have a distribution", async () => {
  const softmax = await Softmax.create(7);
  const row = fc.float32Array({ minLength: 7, maxLength: 7, noNaN: true, noDefaultInfinity: true });
  fc.assert(
    fc.property(row, (logits) => {
      const { peak, top, sum } = softmax.distribution(logits)!;
      return logits[top] === peak && sum >= 1 && sum <= 7 + 1e-5;
    }),
  );
});

test("what is far below the highest counts for nothing, however far", async () => {
  const softmax = await Softmax.create(4);
  const logits = Float32Array.of(0, -1e30, -200, 0);
  const other = Float32Array.of(0, 1, -1e30, 0);
  const p = softmax.distribution(logits)!;
  expect(p.sum).toBeCloseTo(2, 12);
  const q = softmax.distribution(other)!;
  expect(softmax.divergence(logits, p, q)).toBeCloseTo(Math.log(2 + Math.E) - Math.log(2), 6);
});
