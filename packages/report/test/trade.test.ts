import { describe, expect, test } from "vitest";
import { factsOf } from "../src/facts.js";
import { knee, type Offer, paretoFront } from "../src/trade.js";
import { sample } from "./sample.js";

const offer = (size: number, loss: number): Offer => ({ size, loss });

describe("the Pareto front", () => {
  test("leaves out what is larger and worse, or as large and worse", () => {
    const [a, b, c, d, e] = [offer(2, 1), offer(3, 0.5), offer(3, 0.6), offer(4, 0.5), offer(5, 0.1)];
    expect(paretoFront([e, d, c, b, a])).toEqual([a, b, e]);
  });
  test("keeps one of equals, and none that is no number", () => {
    const twin = offer(2, 1);
    expect(paretoFront([twin, offer(2, 1), offer(1, Number.NaN)])).toEqual([twin]);
    expect(paretoFront([])).toEqual([]);
  });
  test("an infinite loss may only be the smallest", () => {
    const infinite = offer(1, Number.POSITIVE_INFINITY);
    expect(paretoFront([infinite, offer(2, 1)])).toHaveLength(2);
    expect(paretoFront([offer(1, 1), offer(2, Number.POSITIVE_INFINITY)])).toHaveLength(1);
  });
});

describe("the knee", () => {
  test("is the one furthest below the line, on a logarithmic axis", () => {
    // ln: 0, -4, -5: the line from the first to the last passes -2.5 at the middle.
    const front = [offer(2, 1), offer(4, Math.exp(-4)), offer(6, Math.exp(-5))];
    expect(knee(front, Math.log)).toBe(front[1]);
  });
  test("is none on a straight line, above it, or between fewer than three", () => {
    const straight = [2, 3, 4].map((size) => offer(size, Math.exp(-size)));
    expect(knee(straight, Math.log)).toBeUndefined();
    expect(knee([offer(2, 1), offer(4, Math.exp(-1)), offer(6, Math.exp(-5))], Math.log)).toBeUndefined();
    expect(knee(straight.slice(0, 2), Math.log)).toBeUndefined();
    expect(knee([], Math.log)).toBeUndefined();
  });
});

describe("facts", () => {
  test("say who is beaten by whom, and who is not measured", () => {
    const data = sample(8);
    const [first, ...rest] = data.candidates;
    const broken = { ...first!, kld: { mean: Number.NaN } };
    const facts = factsOf({ ...data, candidates: [broken, ...rest] });
    expect(facts.unmeasured.map(({ label }) => label)).toEqual(["Q8_0"]);
    const q2 = facts.standings.find(({ label }) => label === "Q2_K")!;
    expect(q2.beatenBy).toBeUndefined();
    expect(facts.smallest!.label).toBe("IQ2_XXS");
    expect(facts.closest!.label).toBe("Q6_K");
    for (const { onFront, beatenBy, loss } of facts.standings)
      if (!Number.isNaN(loss)) expect(onFront).toBe(beatenBy === undefined);
  });
  test("an exact copy is the closest, and never the best trade", () => {
    const data = sample(6);
    const copy = { ...data.candidates[0]!, type: "F16", name: "f16", bitsPerWeight: 16, kld: { mean: 0 } };
    const facts = factsOf({ ...data, candidates: [copy, ...data.candidates] });
    expect(facts.closest!.label).toBe("F16");
    expect(facts.best?.label).not.toBe("F16");
  });
  test("neighbours within twice their error are said to be close", () => {
    const data = sample(2);
    const reportOf = (error: number) => ({
      ...data,
      candidates: data.candidates.map((candidate, i) => ({
        ...candidate,
        kld: { mean: 0.01 + 0.01 * i, error },
      })),
    });
    expect(factsOf(reportOf(0.003)).close).toEqual([]);
    expect(factsOf(reportOf(0.004)).close.map((pair) => pair.map(({ label }) => label))).toEqual([
      ["Q6_K", "Q8_0"],
    ]);
  });
  test("one that beats all others is the best trade", () => {
    const data = sample(2);
    const [good, bad] = data.candidates;
    const facts = factsOf({
      ...data,
      candidates: [
        { ...good!, bitsPerWeight: 2 },
        { ...bad!, bitsPerWeight: 4 },
      ],
    });
    expect(facts.best!.candidate.file).toBe(good!.file);
  });
  test("labels differ even where types, names and files do not", () => {
    const data = sample(2);
    const twins = [data.candidates[0]!, data.candidates[0]!];
    const { standings } = factsOf({ ...data, candidates: twins });
    expect(new Set(standings.map(({ label }) => label)).size).toBe(2);
  });
  test("without divergences, the error of the weights decides; without both, nothing", () => {
    const data = sample(4);
    const weights = data.candidates.map(({ kld: _, ...rest }) => rest);
    expect(factsOf({ ...data, candidates: weights }).measure).toBe("weights");
    const sizes = weights.map(({ weights: _, ...rest }) => rest);
    const facts = factsOf({ ...data, candidates: sizes });
    expect(facts.measure).toBeUndefined();
    expect(facts.best).toBeUndefined();
  });
});
