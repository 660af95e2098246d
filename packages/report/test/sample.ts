// Made-up results that look like real ones, of any size; the same each time.
import type { Candidate, ReportData, TensorError } from "../src/data.js";

const types = [
  ["Q8_0", 8.5],
  ["Q6_K", 6.56],
  ["Q5_K_M", 5.67],
  ["Q4_K_M", 4.83],
  ["Q3_K_M", 3.89],
  ["IQ3_XXS", 3.06],
  ["Q2_K", 3.2],
  ["IQ2_XXS", 2.06],
] as const;

const roles = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"];

/** Between 0 and 1. */
const noise = (seed: number): number => {
  const x = Math.sin(seed * 12.9898 + 78.233) * 43758.5453;
  return x - Math.floor(x);
};

const tensor = (name: string, bits: number, seed: number): TensorError => {
  const shape = [4096, 4096];
  const weights = 4096 * 4096;
  const exact = name.includes("norm");
  const sqnr = exact ? Number.POSITIVE_INFINITY : 6.02 * bits - 4 + 3 * noise(seed);
  return {
    name,
    shape: exact ? [4096] : shape,
    original: { dtype: exact ? "F32" : "BF16", bytes: weights * 2 },
    quantized: { dtype: exact ? "F32" : `Q${Math.round(bits)}_K`, bytes: (weights * bits) / 8 },
    sqnr,
    rmse: exact ? 0 : 0.02 * 10 ** (-sqnr / 20),
    maxError: exact ? 0 : 0.2 * 10 ** (-sqnr / 20),
    cosine: exact ? 1 : 1 - 10 ** (-sqnr / 10) / 2,
    weightedSqnr: sqnr - 2,
  };
};

const tensorsOf = (layers: number, bits: number): TensorError[] => [
  tensor("token_embd.weight", bits, 1),
  ...Array.from({ length: layers }, (_, layer) => [
    tensor(`blk.${layer}.attn_norm.weight`, bits, 0),
    ...roles.map((role, i) => tensor(`blk.${layer}.${role}.weight`, bits, layer * 10 + i + 2)),
  ]).flat(),
  tensor("output_norm.weight", bits, 0),
  tensor("output.weight", bits, 3),
];

function candidate(i: number, layers: number): Candidate {
  const [type, base] = types[i % types.length]!;
  const round = Math.floor(i / types.length);
  const bits = base + round * 0.07;
  const mean = 3 * 4 ** -bits * (1 + noise(i));
  const name = `model-${type}${round > 0 ? `-${round}` : ""}`;
  return {
    name,
    file: `${name}.gguf`,
    type: round > 0 ? `${type}-${round}` : type,
    bytes: Math.round((8e9 * bits) / 8),
    bitsPerWeight: bits,
    perplexity: { value: 6.2 * Math.exp(mean), error: 0.04 },
    perplexityRatio: { value: Math.exp(mean), error: 0.002 },
    kld: {
      mean,
      error: mean * 0.02,
      max: mean * 300,
      p999: mean * 60,
      p99: mean * 12,
      p95: mean * 4,
      p90: mean * 2.2,
      median: mean * 0.5,
      p10: mean * 0.02,
      p5: mean * 0.007,
      p1: mean * 0.0007,
      min: 0,
    },
    deltaP: { mean: -mean / 10, error: mean / 500, rms: Math.sqrt(mean) / 5, rmsError: mean / 300 },
    sameTop: { value: 1 - Math.sqrt(mean) / 3, error: 0.001 },
    weights: { sqnr: 6 * bits - 4, rmse: 0.001, maxError: 0.1, cosine: 0.999 },
    ...(layers === 0 ? {} : { tensors: tensorsOf(layers, bits) }),
  };
}

/** Results of so many candidates, with tensors where there are layers. */
export const sample = (candidates: number, layers = 0): ReportData => ({
  reference: {
    name: "model",
    file: "model-bf16.gguf",
    bytes: 16e9,
    bitsPerWeight: 16,
    type: "BF16",
    parameters: 8e9,
    perplexity: { value: 6.2, error: 0.04 },
  },
  text: { name: "wiki.test.raw", tokens: 143_000, context: 512, chunks: 560 },
  candidates: Array.from({ length: candidates }, (_, i) => candidate(i, layers)),
  commands: ["fewbit compare model-bf16.gguf model-*.gguf --data wiki.test.raw --report report.html"],
  versions: { fewbit: "1.0.0", "llama.cpp": "v0.5.0" },
});

/** Names that try to be markup, script, or other than they are. */
export const hostile = {
  script: "</script><img src=x onerror=window.broken=1>",
  attribute: `" onload="window.broken=1" x='`,
  comment: "<!--<script>window.broken=1//",
  style: "</style><script>window.broken=1</script>",
  title: "</title><svg onload=window.broken=1>",
  entity: "&lt;img src=x onerror=window.broken=1&gt;&#60;b&#62;",
  reversed: "safe\u202Efgg.exe",
  mark: "a\u200Fb\u2066c\u2028d\u0000e",
  surrogate: "half\ud800",
  long: "n".repeat(300),
  arabic: "نموذج",
} as const;

/** A report in which every text is hostile. */
export function hostileReport(name: string): ReportData {
  const { reference, text, candidates, ...rest } = sample(3, 2);
  return {
    ...rest,
    title: name,
    reference: { ...reference, name, file: name, type: name },
    text: { ...text!, name },
    candidates: candidates.map((candidate, i) => ({
      ...candidate,
      name: `${name}${i}`,
      file: `${name}${i}`,
      type: `${name}${i}`,
      tensors: candidate.tensors!.map((tensor, j) => ({
        ...tensor,
        name: j === 0 ? name : tensor.name,
        quantized: { ...tensor.quantized, dtype: name },
      })),
    })),
    distributions: [
      {
        tensor: name,
        original: { from: -1, to: 1, counts: [1, 2, 1] },
        candidates: [
          {
            file: `${name}0`,
            dtype: name,
            decoded: { from: -1, to: 1, counts: [0, 4, 0] },
            codes: { meaning: name, first: 0, counts: [1, 2] },
          },
        ],
      },
    ],
    commands: [name],
    versions: { [name]: name },
    date: name,
  };
}
