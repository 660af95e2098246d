import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll } from "vitest";
import { type Tensor, writeGguf } from "../../../tooling/fixture/gguf.js";

/** The model that comes with the project: 3.74 M weights, F16, with a tokenizer. */
export const stories = fileURLToPath(new URL("../../../tooling/fixture/stories.gguf", import.meta.url));

export const folder = mkdtempSync(join(tmpdir(), "fewbit-engine-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

export const shape = { vocabulary: 64, columns: 32, hidden: 96, experts: 4, used: 2, epsilon: 1e-5 } as const;

export interface Made {
  readonly path: string;
  readonly weights: ReadonlyMap<string, Float32Array>;
}

/** A model of one layer, in float32, with no vocabulary but numbers; `edit` may change weights before they are written. */
export function makeModel(
  name: string,
  options: {
    readonly experts?: boolean;
    readonly template?: string;
    edit?(name: string, weights: Float32Array): void;
  } = {},
): Made {
  const { vocabulary, columns, hidden, experts } = shape;
  const feedForward: [string, readonly number[]][] = options.experts
    ? [
        ["blk.0.ffn_gate_inp.weight", [experts, columns]],
        ["blk.0.ffn_gate_exps.weight", [experts, hidden, columns]],
        ["blk.0.ffn_up_exps.weight", [experts, hidden, columns]],
        ["blk.0.ffn_down_exps.weight", [experts, columns, hidden]],
      ]
    : [
        ["blk.0.ffn_gate.weight", [hidden, columns]],
        ["blk.0.ffn_up.weight", [hidden, columns]],
        ["blk.0.ffn_down.weight", [columns, hidden]],
      ];
  const shapes: [string, readonly number[]][] = [
    ["token_embd.weight", [vocabulary, columns]],
    ["output_norm.weight", [columns]],
    ["output.weight", [vocabulary, columns]],
    ["blk.0.attn_norm.weight", [columns]],
    ["blk.0.attn_q.weight", [columns, columns]],
    ["blk.0.attn_k.weight", [columns, columns]],
    ["blk.0.attn_v.weight", [columns, columns]],
    ["blk.0.attn_output.weight", [columns, columns]],
    ["blk.0.ffn_norm.weight", [columns]],
    ...feedForward,
  ];
  let state = 1;
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
  const tensors: Tensor[] = shapes.map(([name, shape]) => {
    const data = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, random);
    options.edit?.(name, data);
    return { name, shape, data, type: "f32" };
  });
  const path = join(folder, `${name}.gguf`);
  writeGguf(
    path,
    {
      "general.architecture": { string: "llama" },
      "llama.context_length": { u32: 128 },
      "llama.embedding_length": { u32: columns },
      "llama.block_count": { u32: 1 },
      "llama.feed_forward_length": { u32: hidden },
      "llama.attention.head_count": { u32: 2 },
      "llama.attention.layer_norm_rms_epsilon": { f32: shape.epsilon },
      "llama.rope.dimension_count": { u32: 16 },
      "llama.vocab_size": { u32: vocabulary },
      ...(options.experts
        ? { "llama.expert_count": { u32: experts }, "llama.expert_used_count": { u32: shape.used } }
        : {}),
      ...(options.template === undefined ? {} : { "tokenizer.chat_template": { string: options.template } }),
      "tokenizer.ggml.model": { string: "no_vocab" },
    },
    tensors,
  );
  return { path, weights: new Map(tensors.map(({ name, data }) => [name, data])) };
}
