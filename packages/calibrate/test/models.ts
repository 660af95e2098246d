import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openFile } from "@fewbit/core/node";
import { scan } from "@fewbit/format-gguf";
import { afterAll } from "vitest";
import { type Tensor, writeGguf } from "../../../tooling/fixture/gguf.js";

/** The model that comes with the project: 3.74 M weights, F16, four layers of 256 columns. */
export const stories = fileURLToPath(new URL("../../../tooling/fixture/stories.gguf", import.meta.url));

/** Written for these tests, in words that the model knows. */
export const story = readFileSync(new URL("story.txt", import.meta.url), "utf8").trimEnd();

export const folder = mkdtempSync(join(tmpdir(), "fewbit-calibrate-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

export const EXPERTS = 6;
const [COLUMNS, HIDDEN, VOCABULARY, LAYERS] = [64, 96, 2304, 2];

/**
 * A model with experts, as Mixtral has them: random weights in float32, the tokens of `stories`. Two of the first four
 * experts fit every token better than the last one, whose router is zero: it is never chosen.
 */
export async function makeExperts(path: string): Promise<void> {
  const source = await openFile(stories);
  const { metadata } = await scan(source);
  await source.close();
  const of = <T>(key: string): T => metadata.find((entry) => entry.key === key)!.value as T;
  let state = 7;
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
  const shapes: [string, readonly number[]][] = [
    ["token_embd.weight", [VOCABULARY, COLUMNS]],
    ["output_norm.weight", [COLUMNS]],
    ["output.weight", [VOCABULARY, COLUMNS]],
    ...Array.from({ length: LAYERS }, (_, layer) =>
      (
        [
          ["attn_norm", [COLUMNS]],
          ["attn_q", [COLUMNS, COLUMNS]],
          ["attn_k", [COLUMNS / 2, COLUMNS]],
          ["attn_v", [COLUMNS / 2, COLUMNS]],
          ["attn_output", [COLUMNS, COLUMNS]],
          ["ffn_norm", [COLUMNS]],
          ["ffn_gate_inp", [EXPERTS, COLUMNS]],
          ["ffn_gate_exps", [EXPERTS, HIDDEN, COLUMNS]],
          ["ffn_up_exps", [EXPERTS, HIDDEN, COLUMNS]],
          ["ffn_down_exps", [EXPERTS, COLUMNS, HIDDEN]],
        ] as const
      ).map(([name, shape]): [string, readonly number[]] => [`blk.${layer}.${name}.weight`, shape]),
    ).flat(),
  ];
  const tensors = shapes.map(([name, shape]): Tensor => {
    const norm = name.includes("norm");
    const scale = name.startsWith("token") || name.includes("ffn") ? 0.5 : 0.125;
    const data = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () =>
      norm ? 1 : scale * random(),
    );
    if (name.includes("gate_inp")) opposeRouters(data);
    return { name, shape, data, type: "f32" };
  });
  writeGguf(
    path,
    {
      "general.architecture": { string: "llama" },
      "llama.context_length": { u32: 512 },
      "llama.embedding_length": { u32: COLUMNS },
      "llama.block_count": { u32: LAYERS },
      "llama.feed_forward_length": { u32: HIDDEN },
      "llama.attention.head_count": { u32: 4 },
      "llama.attention.head_count_kv": { u32: 2 },
      "llama.attention.layer_norm_rms_epsilon": { f32: 1e-5 },
      "llama.rope.dimension_count": { u32: 16 },
      "llama.vocab_size": { u32: VOCABULARY },
      "llama.expert_count": { u32: EXPERTS },
      "llama.expert_used_count": { u32: 2 },
      "tokenizer.ggml.model": { string: "llama" },
      "tokenizer.ggml.tokens": { strings: of("tokenizer.ggml.tokens") },
      "tokenizer.ggml.scores": { f32s: [...of<Float32Array>("tokenizer.ggml.scores")] },
      "tokenizer.ggml.token_type": { i32s: [...of<Int32Array>("tokenizer.ggml.token_type")] },
      "tokenizer.ggml.bos_token_id": { u32: 1 },
      "tokenizer.ggml.eos_token_id": { u32: 2 },
      "tokenizer.ggml.unknown_token_id": { u32: 0 },
      "tokenizer.ggml.add_bos_token": { bool: true },
    },
    tensors,
  );
}

/** Of each of two pairs, one likes every token. */
function opposeRouters(rows: Float32Array): void {
  for (let i = 0; i < COLUMNS; i++) {
    rows[COLUMNS + i] = -rows[i]!;
    rows[3 * COLUMNS + i] = -rows[2 * COLUMNS + i]!;
    rows[(EXPERTS - 1) * COLUMNS + i] = 0;
  }
}
