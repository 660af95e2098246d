import { expect, test } from "vitest";
import { addSums, compareTensors, measure, metricsOf } from "../src/metrics.js";

test("metrics of a known pair", () => {
  const metrics = compareTensors(Float32Array.of(1, 2, 3, 4), Float32Array.of(1, 2, 3, 2));
  expect(metrics.mse).toBe(1);
  expect(metrics.rmse).toBe(1);
  expect(metrics.maxError).toBe(2);
  expect(metrics.sqnr).toBeCloseTo(10 * Math.log10(30 / 4), 10);
  expect(metrics.cosine).toBeCloseTo(22 / Math.sqrt(30 * 18), 10);
});

test("nothing lost is infinite SQNR, and zeros are like zeros", () => {
  expect(compareTensors(Float32Array.of(1, 2), Float32Array.of(1, 2)).sqnr).toBe(Number.POSITIVE_INFINITY);
  expect(compareTensors(new Float32Array(4), new Float32Array(4)).cosine).toBe(1);
  expect(compareTensors(new Float32Array(4), Float32Array.of(0, 0, 0, 1)).cosine).toBe(0);
});

test("a NaN is not lost in the maximum", () => {
  expect(compareTensors(Float32Array.of(1, 1), Float32Array.of(Number.NaN, 1)).maxError).toBeNaN();
});

test("sums of chunks are the sums of the whole", () => {
  const x = Float32Array.from({ length: 100 }, (_, i) => Math.sin(i));
  const y = x.map((v) => Math.round(v * 4) / 4);
  const parts = addSums(
    measure(x.subarray(0, 37), y.subarray(0, 37)),
    measure(x.subarray(37), y.subarray(37)),
  );
  const whole = compareTensors(x, y);
  expect(metricsOf(parts).mse).toBeCloseTo(whole.mse, 12);
  expect(metricsOf(parts).maxError).toBe(whole.maxError);
});

test("important columns count for more", () => {
  const x = Float32Array.of(1, 2, 3, 4);
  const y = Float32Array.of(1, 1, 3, 2);
  const sums = measure(x, y, Float32Array.of(5, 0.5));
  // columns: 1 and 3 without an error, 2 and 4 with errors of 1 and 2
  expect(sums.weighted).toEqual({ signal: 5 * (1 + 9) + 0.5 * (4 + 16), noise: 0.5 * (1 + 4) });
  expect(metricsOf(sums).weightedSqnr).toBeCloseTo(10 * Math.log10(60 / 2.5), 10);
  expect(sums).toMatchObject(measure(x, y));
  expect(metricsOf(measure(x, y))).not.toHaveProperty("weightedSqnr");
  expect(() => measure(x, y, new Float32Array(3))).toThrow("measure: 4 weights in rows of 3");
});

test("weighted sums are those of the chunks that have them", () => {
  const x = Float32Array.of(1, 2);
  const y = Float32Array.of(1, 1);
  const without = measure(x, y);
  const weighted = measure(x, y, Float32Array.of(1, 3));
  expect(addSums(without, without)).not.toHaveProperty("weighted");
  expect(addSums(without, weighted).weighted).toEqual({ signal: 13, noise: 3 });
  expect(addSums(weighted, without).weighted).toEqual({ signal: 13, noise: 3 });
  expect(addSums(weighted, weighted).weighted).toEqual({ signal: 26, noise: 6 });
});

test("different lengths are a mistake of the caller", () => {
  expect(() => measure(new Float32Array(2), new Float32Array(3))).toThrow(RangeError);
});
