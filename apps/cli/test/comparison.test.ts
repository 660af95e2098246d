import type { CandidateOutput } from "@fewbit/evaluate";
import { describe, expect, test } from "vitest";
import { bar } from "../src/bars.js";
import { type ComparisonView, comparisonText } from "../src/comparison.js";

const estimate = (value: number) => ({ value, error: value / 100 });
const percentiles = (top: number) => ({
  ...{ max: top, p999: top / 2, p99: top / 3, p95: top / 4, p90: top / 5, p75: top / 6, median: top / 7 },
  ...{ p25: top / 8, p10: top / 9, p5: top / 10, p1: top / 11, p01: top / 12, min: 0 },
});
const loaded = { description: "", parameters: 1, bytes: 1, vocabulary: 1, trainedContext: 1 };

const output = (file: string, kld: number): CandidateOutput => ({
  file,
  model: loaded,
  perplexity: estimate(7 + kld),
  perplexityRatio: estimate(1 + kld),
  perplexityDifference: estimate(kld),
  logRatio: estimate(kld),
  correlation: 0.99,
  kld: { mean: kld, error: kld / 10, ...percentiles(9 * kld) },
  deltaP: { mean: -kld, error: kld / 10, rms: kld / 2, rmsError: kld / 20, ...percentiles(kld) },
  sameTop: { value: 1 - kld / 2, error: 0.01 },
  chunks: [],
});

const runnable = (given: string, type: string, bytes: number) => ({
  ...{
    given,
    type,
    bytes,
    spellsBytes: true,
    weights: 8e6,
    bitsPerWeight: bytes / 1e6,
    name: "model",
    path: `/models/${given}`,
  },
  file: given.split("/").at(-1)!,
});

const view = (
  candidates: readonly (readonly [string, number])[],
  more: Partial<ComparisonView> = {},
): ComparisonView => ({
  reference: runnable("model-f16.gguf", "F16", 16e6),
  candidates: candidates.map(([file]) => runnable(file, "Q4_K_M", 4.5e6)),
  text: { name: "text.txt", text: "" },
  found: {
    reference: { file: "model-f16.gguf", model: loaded, perplexity: estimate(7) },
    candidates: candidates.map(([file, kld]) => output(file, kld)),
    ...{ tokens: 1000, context: 100, scored: 490, chunks: 10, engine: "llama.cpp" },
  },
  milliseconds: 1234,
  details: false,
  columns: undefined,
  ...more,
});

const two = [
  ["model-Q4_K_M.gguf", 0.5],
  ["model-Q8_0.gguf", 0.001],
] as const;

test("a table, and bars of the mean divergence", () => {
  expect(comparisonText(view(two))).toBe(
    `
reference: model-f16.gguf
text.txt: 1000 tokens, 10 chunks of 100, 490 scored
llama.cpp, 1.23 s

MODEL              TYPE        SIZE    BITS              PPL   RATIO  MEAN KLD  99.9% KLD   Δp RMS  SAME TOP
model-f16.gguf     F16     16.00 MB  16.000  7.0000 ± 0.0700
model-Q4_K_M.gguf  Q4_K_M   4.50 MB   4.500  7.5000 ± 0.0750  1.5000  0.500000     2.2500  25.00 %   75.00 %
model-Q8_0.gguf    Q4_K_M   4.50 MB   4.500  7.0010 ± 0.0700  1.0010  0.001000     0.0045   0.05 %   99.95 %

mean KLD, nats per token
model-Q4_K_M.gguf  0.500000  ███████████████████████████████████████████████████
model-Q8_0.gguf    0.001000  ▏
`.trim(),
  );
});

test.each([32, 44, 60, 80, 100, 120])("a terminal of %i columns is enough", (columns) => {
  const text = comparisonText(view(two, { columns }));
  const [, ...below] = text.split("\n\n");
  for (const line of below.join("\n").split("\n")) expect([...line].length).toBeLessThanOrEqual(columns);
  expect(text).toMatch(columns < 110 ? /^ {2}same top 75\.00 %$/m : /SAME TOP/);
});

describe("details", () => {
  test("of a single candidate", () => {
    const text = comparisonText(view([["model-Q4_K_M.gguf", 0.5]]));
    expect(text).not.toContain("nats per token");
    expect(text.slice(text.indexOf("\n\nmodel-Q4_K_M.gguf\n") + 2)).toBe(
      `
model-Q4_K_M.gguf
PERPLEXITY
PPL(Q)                7.500000  ± 0.075000
PPL(base)             7.000000  ± 0.070000
PPL(Q)/PPL(base)      1.500000  ± 0.015000
ln(PPL(Q)/PPL(base))  0.500000  ± 0.005000
PPL(Q)-PPL(base)      0.500000  ± 0.005000
correlation of ln PPL  99.00 %
same top token         75.000 ± 1.000 %

OVER TOKENS                          KLD                 Δp
mean                 0.500000 ± 0.050000  -50.000 ± 5.000 %
root of mean square                        25.000 ± 2.500 %
maximum                         4.500000           50.000 %
99.9%                           2.250000           25.000 %
99%                             1.500000           16.667 %
95%                             1.125000           12.500 %
90%                             0.900000           10.000 %
75%                             0.750000            8.333 %
median                          0.642857            7.143 %
25%                             0.562500            6.250 %
10%                             0.500000            5.556 %
5%                              0.450000            5.000 %
1%                              0.409091            4.545 %
0.1%                            0.375000            4.167 %
minimum                         0.000000            0.000 %
`.trim(),
    );
  });

  test("of all, where they are asked for", () => {
    expect(comparisonText(view(two)).match(/OVER TOKENS/g)).toBeNull();
    expect(comparisonText(view(two, { details: true })).match(/OVER TOKENS/g)).toHaveLength(2);
  });
});

test("models of one name in two folders are told apart", () => {
  const text = comparisonText(
    view([
      ["a/model.gguf", 0.1],
      ["b/model.gguf", 0.2],
    ]),
  );
  expect(text).toMatch(/^a\/model\.gguf +Q4_K_M/m);
  expect(text).toMatch(/^b\/model\.gguf +0\.200000 /m);
});

test("names cannot move the cursor", () => {
  const text = comparisonText(view([["x\x1b[2J.gguf", 0.1], two[0]], { details: true }));
  expect(text).not.toContain("\x1b");
  expect(text).toContain("x\\x1b[2J.gguf");
});

test("a bar has eighths, and something for everything", () => {
  expect(bar(1, 1, 3)).toBe("███");
  expect(bar(0.5, 1, 3)).toBe("█▌");
  expect(bar(1e-9, 1, 3)).toBe("▏");
  expect(bar(0, 1, 3)).toBe("");
  expect(bar(0, 0, 3)).toBe("");
  expect(bar(1, 1, 0)).toBe("");
  expect(bar(Number.NaN, 1, 3)).toBe("");
});
