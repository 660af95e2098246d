import { describe, expect, test } from "vitest";
import { makeModel, shape, stories } from "./models.js";
import { build, run } from "./run.js";

const { columns, hidden, experts, used, epsilon } = shape;

/** The input of every product of a batch of tokens, by weight. */
const observe = (path: string, tokens: readonly number[]) =>
  run(
    function* (host, { path, tokens }) {
      const wanted: Record<string, object> = {};
      const seen: Record<string, object> = {};
      const context = host.load(path).context({
        size: 64,
        threads: 1,
        observe: {
          wants({ weight, ...product }) {
            wanted[weight] = product;
            return weight.startsWith("blk.");
          },
          see({ weight, values, chosen, ...rest }) {
            seen[weight] = { ...rest, values: values.slice(), ...(chosen && { chosen: chosen.slice() }) };
          },
        },
      });
      // Of the last layer, only what the wanted logits depend on is computed.
      context.decode({ tokens: Int32Array.from(tokens), logits: new Uint8Array(tokens.length).fill(1) });
      yield { wanted, seen: seen as Record<string, Seen>, logits: context.logits(tokens.length - 1).slice() };
    },
    { path, tokens },
  ).then(([first]) => first!);

interface Seen {
  readonly columns: number;
  readonly values: Float32Array;
  readonly experts: number;
  readonly chosen?: Int32Array;
  readonly used?: number;
  readonly vectors?: number;
}

/** RMS norm of each vector, times the weights of the norm. */
function normed(vectors: readonly Float32Array[], scale: Float32Array): number[] {
  return vectors.flatMap((x) => {
    const mean = x.reduce((sum, v) => sum + v * v, 0) / x.length;
    return [...x].map((v, i) => (v / Math.sqrt(mean + epsilon)) * scale[i]!);
  });
}

const product = (matrix: Float32Array, row: number, x: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += matrix[row * x.length + i]! * x[i]!;
  return sum;
};

function expectClose(found: ArrayLike<number>, expected: ArrayLike<number>): void {
  expect(found.length).toBe(expected.length);
  for (let i = 0; i < found.length; i++)
    expect(Math.abs(found[i]! - expected[i]!), `at ${i}`).toBeLessThan(
      1e-3 * Math.max(1, Math.abs(expected[i]!)),
    );
}

describe.skipIf(build === undefined)("inputs of matrix products", () => {
  const tokens = [5, 1, 40, 63, 5];

  test("are those that the weights before them make", async () => {
    const { path, weights } = makeModel("dense");
    const { wanted, seen } = await observe(path, tokens);
    expect(Object.keys(seen).sort()).toEqual(
      ["attn_k", "attn_output", "attn_q", "attn_v", "ffn_down", "ffn_gate", "ffn_up"].map(
        (name) => `blk.0.${name}.weight`,
      ),
    );
    expect(wanted["output.weight"]).toEqual({ columns, rows: shape.vocabulary, experts: 1, vectors: 5 });
    expect(wanted["blk.0.ffn_up.weight"]).toEqual({ columns, rows: hidden, experts: 1, vectors: 5 });

    const embedding = weights.get("token_embd.weight")!;
    const rows = tokens.map((token) => embedding.subarray(token * columns, (token + 1) * columns));
    const query = seen["blk.0.attn_q.weight"]!;
    expect({ ...query, values: undefined }).toEqual({ columns, experts: 1, values: undefined });
    expectClose(query.values, normed(rows, weights.get("blk.0.attn_norm.weight")!));
    expect(seen["blk.0.attn_k.weight"]!.values).toEqual(query.values);

    // SwiGLU of what goes into the gate is what goes into the projection down.
    const { values } = seen["blk.0.ffn_gate.weight"]!;
    const down = tokens.flatMap((_, t) => {
      const x = values.subarray(t * columns, (t + 1) * columns);
      return Array.from({ length: hidden }, (_, row) => {
        const gate = product(weights.get("blk.0.ffn_gate.weight")!, row, x);
        return (gate / (1 + Math.exp(-gate))) * product(weights.get("blk.0.ffn_up.weight")!, row, x);
      });
    });
    expectClose(seen["blk.0.ffn_down.weight"]!.values, down);
  });

  test("come with the experts that were chosen", async () => {
    const { path, weights } = makeModel("experts", { experts: true });
    const { wanted, seen } = await observe(path, tokens);
    const router = seen["blk.0.ffn_gate_inp.weight"]!;
    const up = seen["blk.0.ffn_up_exps.weight"]!;
    const down = seen["blk.0.ffn_down_exps.weight"]!;
    expect(wanted["blk.0.ffn_up_exps.weight"]).toEqual({ columns, rows: hidden, experts, vectors: 1 });
    expect(wanted["blk.0.ffn_down_exps.weight"]).toEqual({
      columns: hidden,
      rows: columns,
      experts,
      vectors: used,
    });
    expect(router).toMatchObject({ columns, experts: 1 });
    expect(up).toMatchObject({ columns, experts, used, vectors: 1 });
    expect(down).toMatchObject({ columns: hidden, experts, used, vectors: used });
    expect(up.values).toEqual(router.values);
    expect(down.values.length).toBe(tokens.length * used * hidden);
    expect(down.chosen).toEqual(up.chosen);

    for (const [t] of tokens.entries()) {
      const x = router.values.subarray(t * columns, (t + 1) * columns);
      const scores = Array.from({ length: experts }, (_, e) =>
        product(weights.get("blk.0.ffn_gate_inp.weight")!, e, x),
      );
      const best = [...scores.keys()].sort((a, b) => scores[b]! - scores[a]!).slice(0, used);
      expect([...up.chosen!.subarray(t * used, (t + 1) * used)]).toEqual(best);
      for (const [i, expert] of best.entries()) {
        const matrix = (name: string): Float32Array =>
          weights
            .get(`blk.0.ffn_${name}_exps.weight`)!
            .subarray(expert * hidden * columns, (expert + 1) * hidden * columns);
        const expected = Array.from({ length: hidden }, (_, row) => {
          const gate = product(matrix("gate"), row, x);
          return (gate / (1 + Math.exp(-gate))) * product(matrix("up"), row, x);
        });
        const vector = t * down.vectors! + (i % down.vectors!);
        expectClose(down.values.subarray(vector * hidden, (vector + 1) * hidden), expected);
      }
    }
  });

  test("change nothing by being watched, and are the same every time", async () => {
    const long = Array.from({ length: 48 }, (_, i) => (i * 37) % 2304);
    const [first, second] = [await observe(stories, long), await observe(stories, long)];
    expect(second).toEqual(first);
    expect(Object.keys(first.seen).length).toBe(28);
    const [plain] = await run(
      function* (host, { path, tokens }) {
        const context = host.load(path).context({ size: 64, threads: 1 });
        context.decode({ tokens: Int32Array.from(tokens), logits: new Uint8Array(tokens.length).fill(1) });
        yield context.logits(tokens.length - 1).slice();
      },
      { path: stories, tokens: long },
    );
    expect(plain).toEqual(first.logits);
  });

  test("are counted once for each micro-batch", async () => {
    const [vectors] = await run(function* (host, path) {
      const vectors: number[] = [];
      const context = host.load(path).context({
        size: 128,
        microBatch: 32,
        threads: 1,
        observe: {
          wants: ({ weight }) => weight === "blk.1.ffn_down.weight",
          see: ({ values, columns }) => void vectors.push(values.length / columns),
        },
      });
      context.decode({ tokens: new Int32Array(100).fill(7) });
      yield vectors;
    }, stories);
    expect(vectors).toEqual([32, 32, 32, 4]);
  });

  test("an observer's error comes out of decode, and the next batch is computed", async () => {
    const [read] = await run(function* (host, path) {
      let fail = true;
      const context = host.load(path).context({
        size: 64,
        threads: 1,
        observe: {
          wants: () => true,
          see() {
            if (fail) throw new Error("I have seen enough.");
          },
        },
      });
      let message = "";
      try {
        context.decode({ tokens: Int32Array.of(1, 2) });
      } catch (error) {
        message = (error as Error).message;
      }
      fail = false;
      context.clear();
      context.decode({ tokens: Int32Array.of(1, 2) });
      yield { message, count: context.logits(1).length };
    }, stories);
    expect(read).toEqual({ message: "I have seen enough.", count: 2304 });
  });
});
