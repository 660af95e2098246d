// OLMo 2: as Llama, with norms after each part instead of before, and norms over all queries and all keys.
import type { Config } from "@fewbit/core";
import { add, type Batch } from "../batch.js";
import type { Decoder } from "../decoder.js";
import { activationOf, gated } from "../feed-forward.js";
import { rmsNorm } from "../norm.js";
import { ropeOf } from "../rope.js";
import { headsOf, selfAttention } from "../self-attention.js";
import type { Weights } from "../weights.js";

export function olmo2(w: Weights, config: Config, longest: number): Decoder {
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
      const attended = await selfAttention(w, x, `${p}self_attn.`, texts, {
        ...shape,
        scale: shape.head ** -0.5,
        rope,
        epsilon,
      });
      const middle = add(x, await norm(attended, `${p}post_attention_layernorm.weight`));
      const fed = await gated(w, middle, `${p}mlp.`, act);
      return add(middle, await norm(fed, `${p}post_feedforward_layernorm.weight`));
    },
    end: (x) => norm(x, "model.norm.weight"),
    output: "lm_head.weight",
  };
}
