import { FewbitError } from "@fewbit/core";
import { describe, expect, test } from "vitest";
import { type PerplexityRequest, perplexity } from "../src/perplexity.js";
import { BOS, fakeEngine, finish, logSoftmax, noise, tokensOf } from "./fake-engine.js";

const vocabulary = 37;
const text = Array.from({ length: 99 }, (_, i) => String.fromCharCode(40 + ((i * i) % 80))).join("");
const model = {
  vocabulary,
  logits: (token: number, position: number) => noise(vocabulary, 1, token, position),
};

const run = (options: Partial<PerplexityRequest> = {}, fake = model, engine = fakeEngine({ m: fake })) =>
  finish(perplexity({ engine, model: "m", text, context: 16, ...options }));

/** From -ln p of single tokens, as the definition has it. */
function expected(losses: readonly number[]) {
  const mean = losses.reduce((a, b) => a + b) / losses.length;
  const variance = losses.reduce((sum, x) => sum + (x - mean) ** 2, 0) / losses.length;
  const error = Math.sqrt(variance / (losses.length - 1));
  return { perplexity: Math.exp(mean), error: Math.exp(mean) * error };
}

/** -ln p of the token after each of a chunk's tokens from `from` on. */
const lossesOf = (tokens: readonly number[], next: readonly number[], from: number): number[] =>
  tokens
    .slice(from, tokens.length - 1)
    .map((token, i) => -logSoftmax(model.logits(token, from + i))[next[from + i + 1]!]!);

describe("chunks side by side", () => {
  test("begin with BOS, and have their second half scored", async () => {
    const tokens = [BOS, ...tokensOf(text, vocabulary)];
    const chunks = Array.from({ length: 6 }, (_, i) => tokens.slice(16 * i, 16 * i + 16));
    const losses = chunks.map((chunk) => lossesOf([BOS, ...chunk.slice(1)], chunk, 8));
    const { value, steps } = await run();
    const all = expected(losses.flat());
    expect(value.perplexity.value).toBeCloseTo(all.perplexity, 5);
    expect(value.perplexity.error).toBeCloseTo(all.error, 5);
    expect(value).toMatchObject({ tokens: 100, scored: 6 * 7, context: 16, engine: "fake 1" });
    expect(value.chunks).toHaveLength(6);
    for (const [i, { loss, perplexity }] of value.chunks.entries()) {
      expect(loss).toBeCloseTo(losses[i]!.reduce((a, b) => a + b) / 7, 6);
      expect(perplexity).toBeCloseTo(expected(losses.slice(0, i + 1).flat()).perplexity, 5);
    }
    expect(steps.at(-1)).toEqual({ chunk: 6, chunks: 6, perplexity: value.chunks.at(-1)!.perplexity });
    expect(steps[0]).toEqual({ chunk: 0, chunks: 6, perplexity: Number.NaN });
  });

  test("keep their first token where the model's texts do not begin with BOS", async () => {
    const tokens = tokensOf(text, vocabulary);
    const losses = [0, 1, 2, 3, 4, 5].flatMap((i) => {
      const chunk = tokens.slice(16 * i, 16 * i + 16);
      return lossesOf(chunk, chunk, 8);
    });
    const { value } = await run({}, { ...model, addsBos: false } as typeof model);
    expect(value.perplexity.value).toBeCloseTo(expected(losses).perplexity, 5);
  });

  test("are computed together where they fit, each as a sequence of its own", async () => {
    const engine = fakeEngine({ m: model });
    const { value } = await run({ batch: 70, threads: 3 }, model, engine);
    expect(engine.options).toEqual([{ size: 64, sequences: 4, batch: 64, microBatch: 64, threads: 3 }]);
    const [first, second] = engine.decoded.map(({ batch }) => batch);
    expect(engine.decoded).toHaveLength(2);
    expect([...first!.sequences!]).toEqual([0, 1, 2, 3].flatMap((i) => Array(16).fill(i)));
    expect([...first!.positions!].slice(14, 18)).toEqual([14, 15, 0, 1]);
    expect([...first!.logits!].slice(0, 16)).toEqual([...Array(8).fill(0), ...Array(8).fill(1)]);
    expect(second!.tokens).toHaveLength(32);
    expect(value.perplexity).toEqual((await run({ batch: 16 })).value.perplexity);
  });

  test("are computed in parts where one is larger than the batch", async () => {
    const engine = fakeEngine({ m: model });
    await run({ batch: 5 }, model, engine);
    expect(engine.options).toEqual([{ size: 16, sequences: 1, batch: 16, microBatch: 5 }]);
  });

  test("are never more at once than llama.cpp takes", async () => {
    const engine = fakeEngine({ m: model });
    await run({ batch: 8192 }, model, engine);
    expect(engine.options).toMatchObject([{ size: 256 * 16, sequences: 256 }]);
  });

  test("end where they are told to", async () => {
    const all = (await run()).value;
    const some = (await run({ chunks: 2 })).value;
    expect(some.chunks).toEqual(all.chunks.slice(0, 2));
    expect((await run({ chunks: 1000 })).value.perplexity).toEqual(all.perplexity);
  });
});

test("windows overlap with a stride: their last tokens are scored, and only the text begins with BOS", async () => {
  const long = text.repeat(8);
  const tokens = [BOS, ...tokensOf(long, vocabulary)];
  // llama.cpp rounds 200 + 40 / 2 up.
  const size = 256;
  const losses: number[] = [];
  for (let start = 0; start < tokens.length - size; start += 40) {
    const window = tokens.slice(start, start + size);
    losses.push(...lossesOf(window, window, size - 40 - 1));
  }
  const engine = fakeEngine({ m: model });
  const { value } = await run({ context: 200, stride: 40, text: long }, model, engine);
  expect(engine.options).toEqual([{ size, sequences: 1, batch: size, microBatch: 200 }]);
  expect(value.context).toBe(size);
  expect(value.chunks).toHaveLength(Math.ceil((793 - size) / 40));
  expect(value.scored).toBe(value.chunks.length * 40);
  expect(value.perplexity.value).toBeCloseTo(expected(losses).perplexity, 5);
});

describe("errors", () => {
  const failure = async (options: Partial<PerplexityRequest>, fake = model): Promise<FewbitError> => {
    const thrown = await run(options, fake).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(thrown).toBeInstanceOf(FewbitError);
    return thrown as FewbitError;
  };

  test("a text that is too short", async () => {
    expect(await failure({ context: 51 })).toMatchObject({
      code: "E_TEXT",
      message: "The text has 100 tokens; chunks of 51 need at least 102.",
      remedy: "Give a longer text, or a context of at most 50 tokens.",
    });
    await expect(run({ context: 50 })).resolves.toBeDefined();
    expect(await failure({ text: "ab" })).toMatchObject({ remedy: "Give a longer text." });
  });

  test("logits that are NaN", async () => {
    let calls = 0;
    const broken = {
      ...model,
      logits: (token: number, position: number) => {
        const logits = model.logits(token, position);
        if (++calls === 10) logits[vocabulary - 1] = Number.NaN;
        return logits;
      },
    };
    expect(await failure({}, broken)).toMatchObject({
      code: "E_LOGITS",
      message: "The logits after token 11 of chunk 2 are NaN or infinite.",
      at: { file: "m" },
    });
  });

  test("numbers that make no sense", async () => {
    expect(await failure({ context: 3 })).toMatchObject({
      code: "E_USAGE",
      message: "3 is no context.",
      remedy: "Give a whole number from 4.",
    });
    expect(await failure({ batch: 1.5 })).toMatchObject({ code: "E_USAGE", message: "1.5 is no batch." });
    expect(await failure({ chunks: 0 })).toMatchObject({ message: "0 is no number of chunks." });
    expect(await failure({ stride: 16 })).toMatchObject({
      code: "E_USAGE",
      message: "A stride of 16 leaves out tokens between windows of 16.",
    });
  });
});
