import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  EntropyObserver,
  entropyRange,
  Histogram,
  MinMaxObserver,
  MovingAverageObserver,
  MseObserver,
  mseRange,
  PercentileObserver,
  percentileRange,
  type RangeObserver,
} from "../src/index.js";

const value = fc.float({ noNaN: true, noDefaultInfinity: true });
const batch = fc.array(value, { minLength: 1, maxLength: 30 }).map((values) => Float32Array.from(values));
const batches = fc.array(batch, { minLength: 1, maxLength: 8 });

/** Values of a bell, and some far from it. */
function bell(count: number, seed: number, outliers = 0): Float32Array {
  let state = seed;
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  return Float32Array.from({ length: count }, (_, i) =>
    i < outliers
      ? 40 * (random() - 0.5)
      : Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random()),
  );
}

describe("every observer", () => {
  const kinds: Readonly<Record<string, () => RangeObserver>> = {
    "min-max": () => new MinMaxObserver(),
    "moving average": () => new MovingAverageObserver(0.1),
    percentile: () => new PercentileObserver(0.9),
    entropy: () => new EntropyObserver(4),
    MSE: () => new MseObserver(4),
  };

  test.each(Object.entries(kinds))(
    "%s: two that are merged know as much as one that saw all",
    (_, create) => {
      fc.assert(
        fc.property(batches, batches, (first, second) => {
          const [one, a, b] = [create(), create(), create()];
          for (const values of [...first, ...second]) one.observe(values);
          for (const values of first) a.observe(values);
          for (const values of second) b.observe(values);
          a.merge(b);
          const [found, expected] = [a.range(), one.range()];
          const scale = Math.max(Math.abs(expected.min), Math.abs(expected.max), 1e-45);
          expect(Math.abs(found.min - expected.min) / scale).toBeLessThan(1e-9);
          expect(Math.abs(found.max - expected.max) / scale).toBeLessThan(1e-9);
        }),
        { numRuns: 25 },
      );
    },
  );

  test.each(Object.entries(kinds))("%s: has seen nothing at first", (_, create) => {
    const observer = create();
    expect(observer.range()).toEqual({ min: 0, max: 0 });
    observer.merge(create());
    observer.observe(new Float32Array(0));
    expect(observer.range()).toEqual({ min: 0, max: 0 });
    observer.observe(new Float32Array(4));
    const { min, max } = observer.range();
    expect(Math.max(Math.abs(min), Math.abs(max))).toBeLessThan(1e-40);
  });
});

test("min-max is the smallest and the largest", () => {
  fc.assert(
    fc.property(batches, (all) => {
      const observer = new MinMaxObserver();
      for (const values of all) observer.observe(values);
      const flat = all.flatMap((values) => [...values]);
      expect(observer.range().min).toBe(Math.min(...flat) + 0);
      expect(observer.range().max).toBe(Math.max(...flat) + 0);
    }),
  );
});

test("the moving average weighs batches by age", () => {
  const share = 0.25;
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer(), fc.integer()), { minLength: 1, maxLength: 20 }), (pairs) => {
      const observer = new MovingAverageObserver(share);
      let [weight, min, max] = [0, 0, 0];
      pairs.forEach(([a, b], i) => {
        const [low, high] = [Math.fround(Math.min(a, b)), Math.fround(Math.max(a, b))];
        observer.observe(Float32Array.of(low, high));
        const own = share * (1 - share) ** (pairs.length - 1 - i);
        weight += own;
        min += own * low;
        max += own * high;
      });
      const range = observer.range();
      const near = (x: number, y: number): void =>
        expect(Math.abs(x - y)).toBeLessThanOrEqual(1e-9 * Math.max(1, 2 ** 31));
      near(range.min, min / weight);
      near(range.max, max / weight);
    }),
  );
  expect(() => new MovingAverageObserver(0)).toThrow("A share is above 0 and at most 1, not 0.");
});

describe("the histogram", () => {
  test("counts each value in its bin, in the narrowest bins that hold all", () => {
    fc.assert(
      fc.property(batches, (all) => {
        const histogram = new Histogram();
        for (const values of all) histogram.observe(values);
        const flat = all.flatMap((values) => [...values]);
        const { width, from, counts } = histogram.data();
        const most = Math.max(...flat.map(Math.abs));
        expect(from).toBe(-2048 * width);
        expect(Math.log2(width)).toSatisfy(Number.isInteger);
        expect(most).toBeLessThan(2048 * width);
        if (width > 2 ** -160) expect(most).toBeGreaterThanOrEqual(1024 * width);
        const expected = new Float64Array(4096);
        for (const x of flat) expected[Math.floor(x / width) + 2048]!++;
        expect(counts.findIndex((count, bin) => count !== expected[bin])).toBe(-1);
      }),
    );
  });

  test("is the same in whatever order and parts", () => {
    fc.assert(
      fc.property(batches, fc.integer({ min: 0, max: 8 }), (all, cut) => {
        const [whole, a, b] = [new Histogram(), new Histogram(), new Histogram()];
        for (const values of all) whole.observe(values);
        for (const values of all.slice(cut).reverse()) a.observe(values.slice().reverse());
        for (const values of all.slice(0, cut)) b.observe(values);
        const untouched = b.data();
        a.merge(b);
        expect(a.data()).toEqual(whole.data());
        expect(b.data()).toEqual(untouched);
      }),
      { numRuns: 25 },
    );
  });
});

describe("the percentile", () => {
  test("leaves the share outside, up to a bin", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1e6 }),
        fc.double({ min: 0.5, max: 1, noNaN: true }),
        (seed, share) => {
          const values = bell(2000, seed);
          const histogram = new Histogram();
          histogram.observe(values);
          const { width } = histogram.data();
          const { min, max } = percentileRange(histogram.data(), share);
          const sorted = values.slice().sort();
          const outside = ((1 - share) / 2) * values.length;
          const below = sorted.filter((x) => x < min - width).length;
          const above = sorted.filter((x) => x > max + width).length;
          expect(below).toBeLessThanOrEqual(outside);
          expect(above).toBeLessThanOrEqual(outside);
          expect(sorted.filter((x) => x <= min + width).length).toBeGreaterThanOrEqual(outside);
          expect(sorted.filter((x) => x >= max - width).length).toBeGreaterThanOrEqual(outside);
        },
      ),
      { numRuns: 50 },
    );
  });

  test("of everything is the range of the bins", () => {
    const histogram = new Histogram();
    histogram.observe(Float32Array.of(-3, 1, 5));
    const { width } = histogram.data();
    expect(percentileRange(histogram.data(), 1)).toEqual({ min: -3, max: 5 + width });
    expect(() => percentileRange(histogram.data(), 0)).toThrow(RangeError);
  });
});

describe("the entropy", () => {
  /** As the slides say it, with arrays for distributions. */
  function naive(values: Float32Array, bits: number): number {
    const histogram = new Histogram();
    histogram.observe(values);
    const { width } = histogram.data();
    const bins: number[] = Array(2048).fill(0);
    const magnitude = (x: number): number => {
      const bin = Math.floor(x / width);
      return bin < 0 ? -bin - 1 : bin;
    };
    for (const x of values) bins[magnitude(x)]!++;
    const length = bins.findLastIndex((count) => count > 0) + 1;
    const levels = 2 ** (bits - 1);
    const divergenceOf = (cut: number): number => {
      const reference = bins.slice(0, cut);
      const inside = reference.reduce((a, b) => a + b, 0);
      reference[cut - 1]! += bins.slice(cut, length).reduce((a, b) => a + b, 0);
      const candidate: number[] = Array(cut).fill(0);
      const per = Math.max(1, cut / levels);
      const levelOf = (bin: number): number => {
        let level = 0;
        while (level < levels - 1 && bin >= Math.min(cut, Math.floor((level + 1) * per))) level++;
        return level;
      };
      for (let level = 0; level < levels; level++) {
        const own = [...candidate.keys()].filter((bin) => levelOf(bin) === level);
        const used = own.filter((bin) => bins[bin]! > 0);
        const sum = own.reduce((total, bin) => total + bins[bin]!, 0);
        for (const bin of used) candidate[bin] = sum / used.length;
      }
      return reference.reduce((total, count, bin) => {
        const p = count / values.length;
        const q = candidate[bin]! / inside;
        return p === 0 ? total : q === 0 ? Number.POSITIVE_INFINITY : total + p * Math.log(p / q);
      }, 0);
    };
    let best = { cut: length, divergence: divergenceOf(length) };
    for (let cut = levels; cut < length; cut++) {
      const divergence = divergenceOf(cut);
      if (divergence < best.divergence - 1e-12) best = { cut, divergence };
    }
    return best.cut * width;
  }

  test("is that of the slides", () => {
    for (const [seed, bits] of [
      [1, 4],
      [3, 3],
    ] as const) {
      const values = bell(3000, seed, 3);
      const histogram = new Histogram();
      histogram.observe(values);
      const max = naive(values, bits);
      expect(entropyRange(histogram.data(), bits)).toEqual({ min: -max, max });
    }
  });

  test("clips far outliers, and nothing of what is even", () => {
    const observer = new EntropyObserver(8);
    observer.observe(bell(100_000, 9, 5));
    const { max } = observer.range();
    expect(max).toBeGreaterThan(2.5);
    expect(max).toBeLessThan(8);
    const even = new EntropyObserver(8);
    even.observe(Float32Array.from({ length: 4096 }, (_, i) => (i - 2048) / 2048));
    expect(even.range().max).toBeGreaterThanOrEqual(1);
    expect(() => entropyRange(new Histogram().data(), 1)).toThrow("A quantizer has 2 to 8 bits here, not 1.");
  });
});

describe("the mean squared error", () => {
  /** Of the values themselves, not of bins. */
  const errorOf = (values: Float32Array, max: number, bits: number): number => {
    const levels = 2 ** (bits - 1) - 1;
    const scale = max / levels;
    return values.reduce((sum, x) => {
      const q = Math.max(-levels, Math.min(levels, Math.round(x / scale))) * scale;
      return sum + (x - q) ** 2;
    }, 0);
  };

  test.each([2, 3, 4, 6, 8])("of %i bits is the smallest there is, nearly", (bits) => {
    const values = bell(20_000, bits, 4);
    const observer = new MseObserver(bits);
    observer.observe(values);
    const { min, max } = observer.range();
    expect(min).toBe(-max);
    const found = errorOf(values, max, bits);
    const most = values.reduce((a, x) => Math.max(a, Math.abs(x)), 0);
    for (let i = 1; i <= 500; i++)
      expect(found).toBeLessThanOrEqual(1.03 * errorOf(values, (most * i) / 500, bits));
  });

  test("needs a quantizer", () => {
    expect(() => mseRange(new Histogram().data(), 17)).toThrow("A quantizer has 2 to 16 bits here, not 17.");
  });
});
