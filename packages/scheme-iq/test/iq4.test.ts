// llama.cpp finds the level of IQ4_NL and IQ4_XS by comparing two differences in single precision; here, and in the
// kernel, the middle between two values decides.

import { expect, test } from "vitest";
import { nearestLevel, values } from "../src/reference/iq4.js";

const f = Math.fround;

/** As llama.cpp does it for x between two neighbours. */
const isNearerToLower = (x: number, lower: number, upper: number): boolean => f(x - lower) < f(upper - x);

/** The `steps`-th single-precision number after x. */
function after(x: number, steps: number): number {
  const float = Float32Array.of(x);
  const bits = new Int32Array(float.buffer);
  bits[0] = bits[0]! + (x < 0 ? -steps : steps);
  return float[0]!;
}

test.each(values.slice(1).map((upper, i) => [values[i]!, upper, i] as const))(
  "between %i and %i",
  (lower, upper, level) => {
    const middle = (lower + upper) / 2;
    const some = [-1e-30, 0, 1e-30, lower, after(lower, 1), after(upper, -1)];
    for (let steps = -1000; steps <= 1000; steps++) some.push(after(middle, steps));
    for (let i = 0; i < 1000; i++) some.push(f(lower + ((upper - lower) * i) / 1000));
    for (const x of some.filter((x) => x >= lower && x < upper))
      expect(nearestLevel(x) === level, `${x}`).toBe(isNearerToLower(x, lower, upper));
  },
);

test("beyond the ends, and what is no number", () => {
  expect([-1e9, -127, 113, 1e9, Number.POSITIVE_INFINITY, Number.NaN].map(nearestLevel)).toEqual([
    0, 0, 15, 15, 15, 15,
  ]);
});
