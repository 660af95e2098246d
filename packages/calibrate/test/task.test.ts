import type { Activation, TokenBatch } from "@fewbit/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type CalibrationRequest, calibrate } from "../src/index.js";
import { BOS, type FakeModel, fakeEngine, VOCABULARY } from "./fake-engine.js";
import { drain } from "./run.js";

const COLUMNS = 5;

/** Each token's vector is made of its number. */
const vectorsOf = ({ tokens }: TokenBatch): Float32Array =>
  Float32Array.from({ length: tokens.length * COLUMNS }, (_, i) => {
    const token = tokens[Math.floor(i / COLUMNS)]!;
    return Math.sin(token * (1 + (i % COLUMNS)));
  });

const dense = (weight: string, batch: TokenBatch): Activation => ({
  weight,
  columns: COLUMNS,
  values: vectorsOf(batch),
  experts: 1,
});

const model = (more: Partial<FakeModel> = {}): FakeModel => ({
  products: (batch) => [dense("blk.0.attn_q.weight", batch)],
  ...more,
});

const letters = (count: number): string =>
  Array.from({ length: count }, (_, i) => String.fromCharCode(97 + ((i * 7) % 26))).join("");

const start = (fake: FakeModel, text: string, options: Partial<CalibrationRequest> = {}) => {
  const engine = fakeEngine(fake);
  const run = calibrate({ engine, model: "m.gguf", text, datasets: ["t"], contextSize: 16, ...options });
  return { engine, done: drain(run) };
};

const failure = (work: Promise<unknown>): Promise<Error & { code?: string; at?: object; remedy?: string }> =>
  work.then(
    () => {
      throw new Error("It went well.");
    },
    (error: Error) => error,
  );

describe("a text", () => {
  test("is read in whole chunks that begin with BOS, several together", async () => {
    const { engine, done } = start(model(), letters(16 * 5 + 7), { batch: 35 });
    const { steps, result } = await done;
    expect(engine.contexts).toMatchObject([{ size: 32, sequences: 2, batch: 32, microBatch: 32 }]);
    expect(engine.batches.map(({ tokens }) => tokens.length)).toEqual([32, 32, 16]);
    expect(engine.clears).toEqual([1, 2, 3]);
    const all = [...letters(80)].map((c) => 3 + (c.charCodeAt(0) % (VOCABULARY - 3)));
    for (let chunk = 0; chunk < 5; chunk++) all[16 * chunk] = BOS;
    expect(engine.batches.flatMap(({ tokens }) => [...tokens])).toEqual(all);
    const [first] = engine.batches;
    expect([...first!.positions!]).toEqual([...Array(32).keys()].map((i) => i % 16));
    expect([...first!.sequences!]).toEqual([...Array(32).keys()].map((i) => Math.floor(i / 16)));
    expect([...first!.logits!]).toEqual(Array(32).fill(1));
    expect(steps.map(({ done, chunks }) => [done, chunks])).toEqual([[0, 5], [2, 5], [4, 5], [5, 5]]);
    expect(result).toMatchObject({ tokens: 87, contextSize: 16, done: 5, engine: "fake 1", model: "fake F16" });
    expect(result.importance).toMatchObject({ chunks: 5, chunkSize: 16, datasets: ["t"] });
  }); // biome-ignore format: pairs

  test("keeps its own first tokens where the model has no BOS", async () => {
    const { engine, done } = start(model({ addsBos: false }), letters(32));
    await done;
    expect(engine.batches[0]!.tokens).not.toContain(BOS);
  });

  test("is read in parts where a chunk is longer than the batch, with BOS before the first only", async () => {
    const { engine, done } = start(model(), letters(100), { contextSize: 40, batch: 16, chunks: 2 });
    const { steps } = await done;
    expect(engine.contexts).toMatchObject([{ size: 40, sequences: 1, batch: 16 }]);
    expect(engine.batches.map(({ positions }) => [positions![0], positions!.length])).toEqual([
      [0, 16],
      [16, 16],
      [32, 8],
      [0, 16],
      [16, 16],
      [32, 8],
    ]);
    expect(engine.clears).toEqual([1, 1, 1, 2, 2, 2]);
    expect(engine.batches.map(({ tokens }) => tokens[0] === BOS)).toEqual([
      true,
      false,
      false,
      true,
      false,
      false,
    ]);
    expect(steps.map(({ done }) => done)).toEqual([0, 1, 2]);
    expect(steps.at(-1)!.perplexity).toBeCloseTo(VOCABULARY, 10);
  });

  test("begins later, and ends earlier, where that is asked for", async () => {
    const text = letters(16 * 6);
    const { engine, done } = start(model(), text, { fromChunk: 2, chunks: 3, batch: 16 });
    await done;
    const token = (at: number): number => 3 + (text.charCodeAt(at) % (VOCABULARY - 3));
    expect(engine.batches.map(({ tokens }) => tokens[1])).toEqual([token(33), token(49), token(65)]);
  });

  test("that is too short is refused with what it has and needs", async () => {
    expect(await failure(start(model(), letters(15), { contextSize: 20 }).done)).toMatchObject({
      code: "E_TEXT",
      message: "The text has 15 tokens; one chunk needs 20.",
      remedy: "Give a longer text.",
    });
    expect(await failure(start(model(), letters(18), { contextSize: 20 }).done)).toMatchObject({
      remedy: "Give a longer text, or a context size of at most 18 tokens.",
    });
    expect(await failure(start(model(), letters(50), { fromChunk: 3 }).done)).toMatchObject({
      code: "E_TEXT",
      message: "The text has 50 tokens, which is 3 chunks of 16; 3 are to be left out.",
    });
  });

  test("is scored as llama-imatrix scores it: the second half of each chunk", async () => {
    // The model is certain of the token that the fifteenth letter is, and knows nothing else.
    const text = letters(16);
    const target = 3 + (text.charCodeAt(15) % (VOCABULARY - 3));
    const before = 3 + (text.charCodeAt(14) % (VOCABULARY - 3));
    const certain = Float32Array.from({ length: VOCABULARY }, (_, i) => (i === target ? 40 : 0));
    const logits = (token: number): Float32Array =>
      token === before ? certain : new Float32Array(VOCABULARY);
    const { result } = await start(model({ logits }), text).done;
    // Tokens 8 to 14 have a successor in the chunk.
    expect(Math.log(result.perplexity)).toBeCloseTo((6 * Math.log(VOCABULARY)) / 7, 6);
    const without = await start(model({ logits }), text, { perplexity: false }).done;
    expect(without.result.perplexity).toBeNaN();
  });
});

describe("inputs of products", () => {
  test("of layers are summed, and of the output where it is asked for", async () => {
    const products = (batch: TokenBatch): Activation[] =>
      ["blk.0.ffn_up.weight", "output.weight", "token_embd.weight", "rope.weight"].map((name) =>
        dense(name, batch),
      );
    const names = async (options: Partial<CalibrationRequest>) => [
      ...(await start(model({ products }), letters(40), options).done).result.importance.entries.keys(),
    ];
    expect(await names({})).toEqual(["blk.0.ffn_up.weight"]);
    expect(await names({ processOutput: true })).toEqual(["blk.0.ffn_up.weight", "output.weight"]);
  });

  test("of fewer than 16 vectors are left out, but for those of experts", async () => {
    const few = { columns: 2, values: new Float32Array(30).fill(1) };
    const products = (): Activation[] => [
      { weight: "blk.0.a.weight", experts: 1, ...few },
      { weight: "blk.0.b.weight", experts: 3, chosen: Int32Array.of(1), used: 1, vectors: 1, columns: 2, values: Float32Array.of(3, 4) },
    ]; // biome-ignore format: one product a line
    const { importance } = (await start(model({ products }), letters(16)).done).result;
    expect(importance.entries).toEqual(
      new Map([
        ["blk.0.b.weight", { sums: Float32Array.of(0, 0, 9, 16, 0, 0), counts: Float32Array.of(0, 1, 0) }],
      ]),
    );
  });

  test("add up to the same as by hand, whatever their shape", async () => {
    const shape = fc.record({
      columns: fc.integer({ min: 1, max: 40 }),
      tokens: fc.integer({ min: 16, max: 300 }),
      experts: fc.integer({ min: 2, max: 5 }),
      used: fc.integer({ min: 1, max: 2 }),
      separate: fc.boolean(),
      seed: fc.integer({ min: 1, max: 1e6 }),
    });
    await fc.assert(
      fc.asyncProperty(shape, async ({ columns, tokens, experts, used, separate, seed }) => {
        let state = seed;
        const random = (): number => {
          state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
          return state / 2 ** 31 - 1;
        };
        const random32 = (count: number): Float32Array => Float32Array.from({ length: count }, random);
        const plain = random32(columns * tokens);
        const vectors = separate ? used : 1;
        const routed = random32(columns * tokens * vectors);
        const chosen = Int32Array.from(
          { length: tokens * used },
          (_, i) => (i + Math.floor(i / used)) % experts,
        );
        const products = (): Activation[] => [
          { weight: "blk.0.a.weight", columns, values: plain, experts: 1 },
          { weight: "blk.0.b.weight", columns, values: routed, experts, chosen, used, vectors },
        ];
        const { importance } = (await start(model({ products }), letters(16)).done).result;

        const a = new Float32Array(columns);
        plain.forEach((x, i) => {
          a[i % columns] = a[i % columns]! + Math.fround(x * x);
        });
        expect(importance.entries.get("blk.0.a.weight")).toEqual({
          sums: a,
          counts: Float32Array.of(tokens),
        });

        const b = new Float32Array(columns * experts);
        const counts = new Float32Array(experts);
        for (let choice = 0; choice < used; choice++)
          for (let token = 0; token < tokens; token++) {
            const expert = chosen[token * used + choice]!;
            counts[expert]!++;
            for (let j = 0; j < columns; j++) {
              const x = routed[(token * vectors + (choice % vectors)) * columns + j]!;
              b[expert * columns + j] = b[expert * columns + j]! + Math.fround(x * x);
            }
          }
        expect(importance.entries.get("blk.0.b.weight")).toEqual({ sums: b, counts });
      }),
      { numRuns: 40 },
    );
  });

  test("of weights of several matrices are summed for each, with one count", async () => {
    const values = Float32Array.from({ length: 2 * 16 * 3 }, (_, i) => i % 7);
    const products = (): Activation[] => [
      { weight: "blk.0.k_b.weight", columns: 2, values, experts: 1, matrices: 3, run: 16 },
    ];
    const { importance } = (await start(model({ products }), letters(16)).done).result;
    const sums = new Float32Array(6);
    values.forEach((x, i) => {
      sums[2 * Math.floor(i / 32) + (i % 2)]! += x * x;
    });
    expect(importance.entries.get("blk.0.k_b.weight")).toEqual({ sums, counts: Float32Array.of(16) });
  });

  test("that are not finite are refused by tensor and chunk", async () => {
    const broken = (value: number) =>
      model({
        products: (batch) => {
          const activation = dense("blk.3.ffn_down.weight", batch);
          if (batch.tokens.length === 16) activation.values[9] = value;
          return [activation];
        },
      });
    for (const [value, what] of [
      [Number.NaN, "the input of blk.3.ffn_down.weight is NaN"],
      [Number.NEGATIVE_INFINITY, "the input of blk.3.ffn_down.weight is -Infinity"],
      [1e30, "squares of the input of blk.3.ffn_down.weight add up to more than float32 holds"],
    ] as const)
      expect(await failure(start(broken(value), letters(48), { batch: 32 }).done)).toMatchObject({
        code: "E_ACTIVATION",
        message: `In chunk 3 ${what}.`,
        at: { file: "m.gguf", tensor: "blk.3.ffn_down.weight" },
      });
    const always = model({ products: () => [{ ...dense("blk.0.a.weight", { tokens: new Int32Array(16) }), values: new Float32Array(80).fill(Number.NaN) }] });
    expect((await failure(start(always, letters(48), { batch: 32 }).done)).message).toMatch(/^In chunks 1 to 2 /);
    expect(
      (await failure(start(always, letters(48), { collect: ["ranges"] }).done)).message,
    ).toMatch(/is NaN/);
  }); // biome-ignore format: one thing at a time

  test("and logits, too", async () => {
    const logits = (): Float32Array => new Float32Array(VOCABULARY).fill(Number.NaN);
    expect(await failure(start(model({ logits }), letters(48), { batch: 16 }).done)).toMatchObject({
      code: "E_LOGITS",
      message: "The logits of chunk 1 are NaN or infinite.",
    });
    await start(model({ logits }), letters(48), { perplexity: false }).done;
  });
});

describe("what was collected", () => {
  const text = letters(16 * 9);

  test("is shown on the way, and can be continued to the same end", async () => {
    const { steps, result } = await start(model(), text, { batch: 16, saveEvery: 2 }).done;
    const snapshots = steps.flatMap(({ snapshot }) => (snapshot === undefined ? [] : [snapshot]));
    expect(snapshots.map(({ chunks }) => chunks)).toEqual([2, 4, 6, 8]);
    for (const before of snapshots) {
      const { engine, done } = start(model(), text, { batch: 16, before });
      const resumed = (await done).result;
      expect(engine.batches.length).toBe(9 - before.chunks);
      expect(resumed.resumedAt).toBe(before.chunks);
      expect(resumed.importance).toEqual(result.importance);
      expect(resumed.perplexity).toBe(result.perplexity);
    }
  });

  test("is complete where nothing is left to read", async () => {
    const { result } = await start(model(), text).done;
    const { engine, done } = start(model(), text, { before: result.importance });
    expect((await done).result.importance).toEqual(result.importance);
    expect(engine.batches).toEqual([]);
  });

  test("is not continued with anything else", async () => {
    const before = (await start(model(), text, { chunks: 2 }).done).result.importance;
    const refused = async (fake: FakeModel, ofText: string, options: Partial<CalibrationRequest> = {}) => {
      const { code, message } = await failure(start(fake, ofText, { before, ...options }).done);
      return `${code}: ${message}`;
    };
    expect(await refused(model(), text.slice(1))).toBe(
      "E_USAGE: The importance matrix was begun with another text.",
    );
    expect(await refused(model(), text, { contextSize: 32 })).toBe(
      "E_USAGE: The importance matrix was begun with chunks of 16 tokens, not 32.",
    );
    expect(await refused(model(), text, { fromChunk: 1 })).toBe(
      "E_USAGE: The importance matrix was begun at chunk 0, not 1.",
    );
    expect(await refused(model(), text, { processOutput: true })).toBe(
      "E_USAGE: The importance matrix was begun without the output tensor.",
    );
    expect(await refused(model({ parameters: 11 }), text)).toBe(
      "E_IMATRIX_SHAPE: The importance matrix was begun with another model: fake F16, 10 weights, 20 bytes, not fake F16, 11 weights, 20 bytes.",
    );
    expect(
      await refused(
        model({ products: () => [{ weight: "blk.0.attn_q.weight", columns: 4, values: new Float32Array(64), experts: 1 }] }),
        text,
      ),
    ).toMatch(/^E_IMATRIX_SHAPE: What was collected for blk\.0\.attn_q\.weight before has 5 sums and 1 counts; the model needs 4 and 1\.$/);
    const { metadata, ...foreign } = before;
    const record = JSON.parse(metadata![0]!.value as string) as Record<string, unknown>;
    for (const value of [
      undefined,
      "{",
      "null",
      "[]",
      ...[{ version: 2 }, { chunks: -1 }, { losses: null }, { losses: { count: 1 } }, { tokens: 5 }].map((odd) =>
        JSON.stringify({ ...record, ...odd }),
      ),
    ])
      expect(
        await refused(model(), text, {
          before: {
            ...foreign,
            ...(value === undefined ? {} : { metadata: [{ ...metadata![0]!, value }] }),
          },
        }),
      ).toMatch(/^E_USAGE: The importance matrix does not say how it was made/);
  }); // biome-ignore format: messages are long
});

test("warnings come first, and in the result", async () => {
  const { steps, result } = await start(model({ description: "llama 8B Q4_K - Medium" }), letters(130), {
    contextSize: 65,
  }).done;
  expect(steps[0]!.warnings).toEqual([
    "The model is quantized already (llama 8B Q4_K - Medium): activations of the original are better.",
    "The model was trained on contexts of 64 tokens; chunks have 65.",
  ]);
  expect(result.warnings).toEqual(steps[0]!.warnings);
  for (const description of ["llama 1B BF16", "llama ?B all F32", "phi3 3B F16"])
    expect((await start(model({ description }), letters(20)).done).result.warnings).toEqual([]);
});

test("options that make no sense", async () => {
  for (const [options, message] of [
    [{ contextSize: 15 }, "15 is no context size."],
    [{ chunks: 0 }, "0 is no number of chunks."],
    [{ threads: 1.5 }, "1.5 is no number of threads."],
  ] as const)
    expect(await failure(start(model(), letters(40), options).done)).toMatchObject({
      code: "E_USAGE",
      message,
    });
});

test("chunks are never more at once than llama.cpp takes", async () => {
  const { engine, done } = start(model(), letters(130), { batch: 8192 });
  await done;
  expect(engine.contexts).toMatchObject([{ size: 256 * 16, sequences: 256, batch: 256 * 16 }]);
});
