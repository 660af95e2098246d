// StarCoder2: as Llama, with norms about the mean, biases everywhere, and a feed-forward without a gate.
import type { Config } from "@fewbit/core";
import { add, type Batch, map } from "../batch.js";
import type { Decoder } from "../decoder.js";
import { activationOf } from "../feed-forward.js";
import { biasOf, dense } from "../linear.js";
import { layerNorm } from "../norm.js";
import { ropeOf } from "../rope.js";
import { headsOf, selfAttention } from "../self-attention.js";
import type { Weights } from "../weights.js";

export function starcoder2(w: Weights, config: Config, longest: number): Decoder {
  const shape = headsOf(config);
  const epsilon = config.number("norm_epsilon");
  const rope = ropeOf(config, shape.head, longest);
  const act = activationOf(config.string("hidden_act", "gelu_pytorch_tanh"));
  const norm = async (x: Batch, name: string): Promise<Batch> =>
    layerNorm(x, await w.vector(`${name}.weight`), await biasOf(w, name), epsilon);
  return {
    embedding: "model.embed_tokens.weight",
    layers: config.number("num_hidden_layers"),
    async layer(x, index, texts) {
      const p = `model.layers.${index}.`;
      const attended = await selfAttention(w, await norm(x, `${p}input_layernorm`), `${p}self_attn.`, texts, {
        ...shape,
        scale: shape.head ** -0.5,
        window: config.number("sliding_window", 0) || undefined,
        rope,
        epsilon,
      });
      const middle = add(x, attended);
      const fed = map(
        await dense(w, await norm(middle, `${p}post_attention_layernorm`), `${p}mlp.c_fc`),
        act,
      );
      return add(middle, await dense(w, fed, `${p}mlp.c_proj`));
    },
    end: (x) => norm(x, "model.norm"),
    output: "lm_head.weight",
  };
}
