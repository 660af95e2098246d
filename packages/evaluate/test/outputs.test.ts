import { FewbitError } from "@fewbit/core";
import { describe, expect, test } from "vitest";
import { compareOutputs, type OutputRequest } from "../src/outputs.js";
import { perplexity } from "../src/perplexity.js";
import { BOS, type FakeModel, fakeEngine, finish, logSoftmax, noise, tokensOf } from "./fake-engine.js";

const vocabulary = 37;
const text = Array.from({ length: 159 }, (_, i) => String.fromCharCode(40 + ((i * i) % 80))).join("");

/** The reference's logits, and something on top. */
const version = (seed: number, amount: number): FakeModel => ({
  vocabulary,
  logits: (token, position) => {
    const change = noise(vocabulary, seed, token, position);
    return noise(vocabulary, 1, token, position).map((x, i) => x + amount * change[i]!);
  },
});

const models = {
  reference: version(0, 0),
  same: version(0, 0),
  near: version(2, 0.05),
  far: version(3, 0.7),
};

const run = (options: Partial<OutputRequest> = {}, all: Readonly<Record<string, FakeModel>> = models) => {
  const engine = fakeEngine(all);
  const work = compareOutputs({
    engine,
    reference: "reference",
    candidates: ["near", "far"],
    text,
    context: 16,
    ...options,
  });
  return finish(work).then((ended) => ({ ...ended, engine }));
};

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b) / values.length;
const errorOfMean = (values: readonly number[]): number =>
  Math.sqrt(mean(values.map((x) => (x - mean(values)) ** 2)) / (values.length - 1));
const quantile = (values: readonly number[], fraction: number): number => {
  const sorted = values.toSorted((a, b) => a - b);
  const at = fraction * (sorted.length - 1);
  const [a, b] = [sorted[Math.floor(at)]!, sorted[Math.ceil(at)]!];
  return a + (b - a) * (at - Math.floor(at));
};

/** Everything about each scored token, from the definitions. */
function tokensScored(candidate: FakeModel) {
  const tokens = [BOS, ...tokensOf(text, vocabulary)];
  return Array.from({ length: 10 * 7 }, (_, i) => {
    const [chunk, position] = [Math.floor(i / 7), 8 + (i % 7)];
    const [token, next] = [tokens[16 * chunk + position]!, tokens[16 * chunk + position + 1]!];
    const p = logSoftmax(models.reference.logits(token, position));
    const q = logSoftmax(candidate.logits(token, position));
    const top = (row: Float64Array): number => row.indexOf(row.reduce((a, b) => Math.max(a, b)));
    return {
      loss: -q[next]!,
      expected: -p[next]!,
      kld: p.reduce((sum, x, i) => sum + Math.exp(x) * (x - q[i]!), 0),
      change: Math.exp(q[next]!) - Math.exp(p[next]!),
      same: top(p) === top(q) ? 1 : 0,
    };
  });
}

describe.each(["near", "far"] as const)("a candidate that is %s", (name) => {
  test("has the figures of the definitions", async () => {
    const { value } = await run();
    const found = value.candidates.find(({ file }) => file === name)!;
    const tokens = tokensScored(models[name]);
    const of = (pick: (token: (typeof tokens)[number]) => number): number[] => tokens.map(pick);
    const close = (value: number, expected: number): void =>
      expect(Math.abs(value - expected)).toBeLessThan(1e-6 + 1e-5 * Math.abs(expected));

    const ratios = of(({ loss, expected }) => loss - expected);
    close(found.logRatio.value, mean(ratios));
    close(found.logRatio.error, errorOfMean(ratios));
    close(found.perplexityRatio.value, Math.exp(mean(ratios)));
    close(found.perplexityRatio.error, Math.exp(mean(ratios)) * errorOfMean(ratios));
    const [own, reference] = [Math.exp(mean(of((t) => t.loss))), Math.exp(mean(of((t) => t.expected)))];
    close(found.perplexity.value, own);
    close(found.perplexity.error, own * errorOfMean(of((t) => t.loss)));
    close(value.reference.perplexity.value, reference);
    close(found.perplexityDifference.value, own - reference);
    close(
      found.perplexityDifference.error,
      errorOfMean(of(({ loss, expected }) => own * loss - reference * expected)),
    );
    const covariance =
      mean(of(({ loss, expected }) => loss * expected)) -
      mean(of((t) => t.loss)) * mean(of((t) => t.expected));
    close(
      found.correlation,
      covariance / 69 / (errorOfMean(of((t) => t.loss)) * errorOfMean(of((t) => t.expected))),
    );
    for (const [figures, values] of [
      [found.kld, of(({ kld }) => kld)],
      [found.deltaP, of(({ change }) => change)],
    ] as const) {
      close(figures.mean, mean(values));
      close(figures.error, errorOfMean(values));
      for (const [key, fraction] of [
        ["max", 1],
        ["p999", 0.999],
        ["p99", 0.99],
        ["p95", 0.95],
        ["p90", 0.9],
        ["p75", 0.75],
        ["median", 0.5],
        ["p25", 0.25],
        ["p10", 0.1],
        ["p5", 0.05],
        ["p1", 0.01],
        ["p01", 0.001],
        ["min", 0],
      ] as const)
        close(figures[key], quantile(values, fraction));
    }
    const squares = of(({ change }) => change * change);
    close(found.deltaP.rms, Math.sqrt(mean(squares)));
    close(found.deltaP.rmsError, (0.5 / Math.sqrt(mean(squares))) * errorOfMean(squares));
    const same = mean(of((t) => t.same));
    close(found.sameTop.value, same);
    close(found.sameTop.error, Math.sqrt((same * (1 - same)) / 69));

    expect(found.chunks).toHaveLength(10);
    const third = tokens.slice(14, 21);
    close(found.chunks[2]!.kld, mean(third.map(({ kld }) => kld)));
    close(found.chunks[2]!.loss, mean(third.map(({ loss }) => loss)));
    close(found.chunks[2]!.referenceLoss, mean(third.map(({ expected }) => expected)));
    close(found.chunks[2]!.deltaPRms, Math.sqrt(mean(third.map(({ change }) => change ** 2))));
    close(found.chunks[2]!.sameTop, mean(third.map(({ same }) => same)));
  });
});

test("perplexities are those of perplexity", async () => {
  const { value } = await run();
  for (const { file, perplexity: found } of [value.reference, ...value.candidates]) {
    const alone = await finish(perplexity({ engine: fakeEngine(models), model: file, text, context: 16 }));
    expect(found).toEqual(alone.value.perplexity);
  }
});

test("a model does not differ from itself at all", async () => {
  const { value } = await run({ candidates: ["same"] });
  const [{ kld, deltaP, sameTop, logRatio, perplexityDifference }] = value.candidates as [
    (typeof value.candidates)[number],
  ];
  expect(kld).toMatchObject({ mean: 0, error: 0, max: 0, median: 0, min: 0 });
  expect(deltaP).toMatchObject({ mean: 0, error: 0, rms: 0, rmsError: 0, max: 0, min: 0 });
  expect(sameTop).toEqual({ value: 1, error: 0 });
  expect(logRatio.value).toBe(0);
  expect(logRatio.error).toBeLessThan(1e-8);
  expect(perplexityDifference.value).toBe(0);
});

test("progress tells models and chunks, and how far a candidate is off", async () => {
  const { steps, value } = await run({ batch: 64 });
  expect(steps.slice(0, 3)).toEqual(
    ["reference", "near", "far"].map((file) => ({ file, done: 0, total: 0 })),
  );
  expect(steps.slice(3).map(({ file, done, total }) => [file, done, total])).toEqual([
    ["reference", 4, 30],
    ["near", 8, 30],
    ["far", 12, 30],
    ["reference", 16, 30],
    ["near", 20, 30],
    ["far", 24, 30],
    ["reference", 26, 30],
    ["near", 28, 30],
    ["far", 30, 30],
  ]);
  expect(steps.at(-1)!.kld).toBeCloseTo(value.candidates[1]!.kld.mean, 12);
});

test("the reference reads the text once, and every model reads the same tokens", async () => {
  const { engine } = await run({ candidates: ["near", "far", "same"], batch: 32 });
  const by = (name: string) => engine.decoded.filter(({ model }) => model === name).map(({ batch }) => batch);
  expect(by("reference")).toHaveLength(5);
  for (const name of ["near", "far", "same"]) expect(by(name)).toEqual(by("reference"));
});

describe("a large vocabulary", () => {
  const large = (seed: number): FakeModel => ({
    vocabulary: 1 << 17,
    logits: (token) => new Float32Array(1 << 17).fill(0.5, 0, 1 + ((token + seed) % 7)),
  });
  const all = { reference: large(0), near: large(1), far: large(2) };
  const long = text.repeat(13);

  test("has fewer chunks in a batch, so that their logits fit", async () => {
    const { engine } = await run({ text: long, context: 256, candidates: ["near"], chunks: 4 }, all);
    // 128 rows of 2^17 logits are 64 MiB: two chunks, 128 MiB.
    expect(engine.options[0]).toMatchObject({ size: 512, sequences: 2 });
    const asked = await run({ text: long, context: 256, candidates: ["near"], batch: 2048, chunks: 4 }, all);
    expect(asked.engine.options[0]).toMatchObject({ size: 2048, sequences: 8 });
  });

  test("keeps the context of one candidate at a time", async () => {
    const { engine, value } = await run({ text: long, context: 256, batch: 256, chunks: 2 }, all);
    expect(engine.mostOpen).toBe(3);
    const many = { ...all, a: large(3), b: large(4), c: large(5) };
    const candidates = ["near", "far", "a", "b", "c"];
    const crowded = await run({ text: long, context: 256, batch: 256, chunks: 2, candidates }, many);
    expect(crowded.engine.mostOpen).toBe(2);
    expect(crowded.value.candidates.slice(0, 2)).toEqual(value.candidates);
  });
});

test("rounding as llama-perplexity does lifts what is improbable", async () => {
  // The token that comes is 20 nats below the highest: its probability is not what the reference says.
  const steep = (extra: number): FakeModel => ({
    vocabulary,
    logits: (token) =>
      Float32Array.from({ length: vocabulary }, (_, i) => (i === token % 5 ? 0 : -20 - extra)),
  });
  const all = { reference: steep(0), near: steep(0.5) };
  const options = { candidates: ["near"], text: "a".repeat(159) };
  const exact = (await run(options, all)).value;
  const rounded = (await run({ ...options, rounding: "llama-perplexity" }, all)).value;
  expect(Math.log(exact.reference.perplexity.value)).toBeCloseTo(20, 5);
  expect(Math.log(rounded.reference.perplexity.value)).toBeCloseTo(16, 5);
  expect(rounded.candidates[0]!.perplexity.value).toBeCloseTo(exact.candidates[0]!.perplexity.value, -3);
  expect(exact.candidates[0]!.logRatio.value).toBeCloseTo(0.5, 5);
  expect(rounded.candidates[0]!.logRatio.value).toBeCloseTo(4.5, 5);
});

test("rounding as llama-perplexity does changes little where nothing is improbable", async () => {
  const exact = (await run()).value;
  const rounded = (await run({ rounding: "llama-perplexity" })).value;
  for (const [i, { kld, perplexity, deltaP, sameTop }] of rounded.candidates.entries()) {
    const plain = exact.candidates[i]!;
    expect(kld.mean).not.toBe(plain.kld.mean);
    expect(Math.abs(kld.mean / plain.kld.mean - 1)).toBeLessThan(0.01);
    expect(Math.abs(perplexity.value / plain.perplexity.value - 1)).toBeLessThan(1e-6);
    expect(Math.abs(deltaP.p95 - plain.deltaP.p95)).toBeLessThan(1e-4);
    expect(sameTop).toEqual(plain.sameTop);
  }
});

describe("errors", () => {
  const failure = async (
    options: Partial<OutputRequest>,
    all: Readonly<Record<string, FakeModel>> = models,
  ): Promise<FewbitError> => {
    const thrown = await run(options, all).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(thrown).toBeInstanceOf(FewbitError);
    return thrown as FewbitError;
  };

  test("a text that is too short", async () => {
    expect(await failure({ context: 81 })).toMatchObject({
      code: "E_TEXT",
      message: "The text has 160 tokens; chunks of 81 need at least 162.",
    });
  });

  test.each(["reference", "far"] as const)("logits of the %s that are infinite", async (name) => {
    const broken = {
      ...models,
      [name]: {
        vocabulary,
        logits: (token: number, position: number) => {
          const logits = models[name].logits(token, position);
          if (position === 10) logits[3] = Number.NEGATIVE_INFINITY;
          return logits;
        },
      },
    };
    expect(await failure({}, broken)).toMatchObject({
      code: "E_LOGITS",
      message: "The logits after token 11 of chunk 1 are NaN or infinite.",
      at: { file: name },
    });
  });

  test("another vocabulary", async () => {
    const other = {
      ...models,
      far: { ...models.far, spelling: (id: number) => (id === 9 ? "\n" : `<${id}>`) },
    };
    expect(await failure({}, other)).toMatchObject({
      code: "E_MODEL_MISMATCH",
      message: 'Token 9 is "\\n" here and "<9>" in the reference, reference.',
      at: { file: "far" },
      remedy: "Compare versions of one model.",
    });
    const larger = { ...models, far: { ...models.far, vocabulary: 38 } };
    expect(await failure({}, larger)).toMatchObject({
      code: "E_MODEL_MISMATCH",
      message: "It has 38 tokens, and the reference, reference, has 37.",
    });
  });
});
