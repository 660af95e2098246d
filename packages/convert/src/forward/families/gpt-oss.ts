// gpt-oss: experts in MXFP4 with a clamped gate, windows in every other layer, and heads that may look at nothing.
import type { Config } from "@fewbit/core";
import { add, type Batch, emptyBatch, vectorOf } from "../batch.js";
import type { Decoder } from "../decoder.js";
import { mixture } from "../feed-forward.js";
import { dense, linear, transpose } from "../linear.js";
import { rmsNorm } from "../norm.js";
import { ropeOf } from "../rope.js";
import { headsOf, selfAttention } from "../self-attention.js";
import type { Matrix, Weights } from "../weights.js";

export function gptOss(w: Weights, config: Config, longest: number): Decoder {
  const shape = headsOf(config);
  const epsilon = config.number("rms_norm_eps");
  const rope = ropeOf(config, shape.head, longest);
  const norm = async (x: Batch, name: string): Promise<Batch> => rmsNorm(x, await w.vector(name), epsilon);
  const slides = (layer: number): boolean =>
    (config.strings("layer_types")[layer] ?? (layer % 2 === 0 ? "sliding_attention" : "")) ===
    "sliding_attention";
  return {
    embedding: "model.embed_tokens.weight",
    layers: config.number("num_hidden_layers"),
    async layer(x, index, texts) {
      const p = `model.layers.${index}.`;
      const attended = await selfAttention(
        w,
        await norm(x, `${p}input_layernorm.weight`),
        `${p}self_attn.`,
        texts,
        {
          ...shape,
          scale: shape.head ** -0.5,
          window: slides(index) ? config.number("sliding_window") : undefined,
          sinks: await w.vector(`${p}self_attn.sinks`),
          rope,
          epsilon,
        },
      );
      const middle = add(x, attended);
      const normed = await norm(middle, `${p}post_attention_layernorm.weight`);
      return add(middle, await experts(w, config, normed, `${p}mlp.`));
    },
    end: (x) => norm(x, "model.norm.weight"),
    output: "lm_head.weight",
  };
}

async function experts(w: Weights, config: Config, x: Batch, p: string): Promise<Batch> {
  const limit = config.number("swiglu_limit", 7);
  return mixture(
    x,
    await dense(w, x, `${p}router`),
    { used: config.number(["num_experts_per_tok", "experts_per_token"]), shares: "renormalised" },
    async (index, some) => {
      const both = await expert(w, some, `${p}experts.gate_up_proj`, index);
      return expert(w, clampedGate(both, limit), `${p}experts.down_proj`, index);
    },
  );
}

async function expert(w: Weights, x: Batch, name: string, index: number): Promise<Batch> {
  const { values: bias } = await w.matrix(`${name}_bias`, index, 1);
  if (w.has(`${name}_blocks`)) return linear(x, await mxfp4(w, name, index), bias);
  const inputs = w.shape(name)[1]!;
  return linear(x, transpose(await w.matrix(name, index * inputs, inputs)), bias);
}

/** Gate and up take turns; neither may be large. */
function clampedGate(both: Batch, limit: number): Batch {
  const out = emptyBatch(both.tokens, both.width / 2);
  for (let token = 0; token < both.tokens; token++) {
    const from = vectorOf(both, token);
    const to = vectorOf(out, token);
    for (let i = 0; i < to.length; i++) {
      const gate = Math.min(limit, from[2 * i]!);
      const up = Math.max(-limit, Math.min(limit, from[2 * i + 1]!));
      to[i] = (up + 1) * (gate / (1 + Math.exp(-1.702 * gate)));
    }
  }
  return out;
}

const FP4 = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6];

/** One expert: rows of groups of 32 numbers in 16 bytes, the lower half of a byte first, with a scale for each group. */
async function mxfp4(w: Weights, name: string, index: number): Promise<Matrix> {
  const [experts, rows, groups, bytes] = w.shape(`${name}_blocks`) as [number, number, number, number];
  const blocks = await w.bytes(`${name}_blocks`);
  const scales = await w.bytes(`${name}_scales`);
  const size = blocks.length / experts;
  const values = new Float32Array(size * 2);
  for (let i = 0; i < size; i++) {
    const byte = blocks[index * size + i]!;
    const scale = 2 ** (scales[Math.floor((index * size + i) / bytes)]! - 127);
    values[2 * i] = FP4[byte & 15]! * scale;
    values[2 * i + 1] = FP4[byte >> 4]! * scale;
  }
  return { rows, columns: groups * bytes * 2, values };
}
