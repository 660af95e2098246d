// Llama and the many that differ from it in biases, norms of queries and keys, or experts in place of the feed-forward.
import type { Config } from "@fewbit/core";
import { add, type Batch, map, multiply, vectorOf } from "../batch.js";
import type { Decoder } from "../decoder.js";
import { type Activation, activationOf, gated, mixture } from "../feed-forward.js";
import { apart, dense, linear } from "../linear.js";
import { rmsNorm } from "../norm.js";
import { ropeOf } from "../rope.js";
import { headsOf, selfAttention } from "../self-attention.js";
import type { Weights } from "../weights.js";

export function llama(w: Weights, config: Config, longest: number): Decoder {
  const shape = headsOf(config);
  const epsilon = config.number("rms_norm_eps");
  const rope = ropeOf(config, shape.head, longest);
  const act = activationOf(config.string("hidden_act", "silu"));
  const norm = async (x: Batch, name: string): Promise<Batch> => rmsNorm(x, await w.vector(name), epsilon);
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
          window: windowOf(config, index),
          rope,
          epsilon,
        },
      );
      const middle = add(x, attended);
      return add(
        middle,
        await feedForward(w, config, await norm(middle, `${p}post_attention_layernorm.weight`), p, act),
      );
    },
    end: (x) => norm(x, "model.norm.weight"),
    output: "lm_head.weight",
  };
}

/** Qwen slides only where it is told to, and only in its later layers. */
function windowOf(config: Config, layer: number): number | undefined {
  if (!config.has("sliding_window") || !config.boolean("use_sliding_window", true)) return undefined;
  const type = config.strings("layer_types")[layer];
  const slides =
    type === undefined ? layer >= config.number("max_window_layers", 0) : type === "sliding_attention";
  return slides ? config.number("sliding_window") : undefined;
}

function feedForward(w: Weights, config: Config, x: Batch, p: string, act: Activation): Promise<Batch> {
  if (w.has(`${p}block_sparse_moe.gate.weight`)) return mixtral(w, config, x, `${p}block_sparse_moe.`, act);
  if (w.has(`${p}mlp.gate.weight`)) return experts(w, config, x, `${p}mlp.`, act);
  return gated(w, x, `${p}mlp.`, act);
}

async function mixtral(w: Weights, config: Config, x: Batch, p: string, act: Activation): Promise<Batch> {
  return mixture(
    x,
    await dense(w, x, `${p}gate`),
    { used: config.number("num_experts_per_tok"), shares: "renormalised" },
    async (index, some) => {
      const e = `${p}experts.${index}.`;
      const gate = map(await dense(w, some, `${e}w1`), act);
      return dense(w, multiply(gate, await dense(w, some, `${e}w3`)), `${e}w2`);
    },
  );
}

/** Experts in tensors of their own or in one for all; beside them, in Qwen2-MoE, one that every token goes through. */
async function experts(w: Weights, config: Config, x: Batch, p: string, act: Activation): Promise<Batch> {
  // Mixtral has no such setting: it always does.
  const shares = config.boolean("norm_topk_prob", config.string("model_type", "") === "mixtral")
    ? "renormalised"
    : "all";
  const routed = await mixture(
    x,
    await dense(w, x, `${p}gate`),
    { used: config.number("num_experts_per_tok"), shares },
    w.has(`${p}experts.gate_up_proj`)
      ? (index, some) => stacked(w, index, some, `${p}experts.`, act)
      : (index, some) => gated(w, some, `${p}experts.${index}.`, act),
  );
  if (!w.has(`${p}shared_expert_gate.weight`)) return routed;
  const share = map(await dense(w, x, `${p}shared_expert_gate`), activationOf("sigmoid"));
  const common = await gated(w, x, `${p}shared_expert.`, act);
  for (let token = 0; token < x.tokens; token++) {
    const target = vectorOf(common, token);
    for (let i = 0; i < target.length; i++) target[i]! *= share.values[token]!;
  }
  return add(routed, common);
}

/** All experts in one tensor: gate above up, and down. */
async function stacked(w: Weights, index: number, x: Batch, p: string, act: Activation): Promise<Batch> {
  const rows = w.shape(`${p}gate_up_proj`)[1]!;
  const both = linear(x, await w.matrix(`${p}gate_up_proj`, index * rows, rows));
  const [gate, up] = apart(both, [rows / 2, rows / 2]);
  const hidden = w.shape(`${p}down_proj`)[1]!;
  return linear(multiply(map(gate!, act), up!), await w.matrix(`${p}down_proj`, index * hidden, hidden));
}
