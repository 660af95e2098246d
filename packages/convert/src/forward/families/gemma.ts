// Gemma 2 and 3: norms before and after each part, their weights kept as differences from one; windows in most layers.
import type { Config } from "@fewbit/core";
import type { Heads } from "../attention.js";
import { add, type Batch } from "../batch.js";
import type { Decoder } from "../decoder.js";
import { activationOf, gated } from "../feed-forward.js";
import { rmsNorm } from "../norm.js";
import { type Rope, ropeOf, scaled } from "../rope.js";
import { headsOf, selfAttention } from "../self-attention.js";
import type { Weights } from "../weights.js";

interface Kind {
  readonly heads: Heads;
  readonly window: number;
  readonly slides: (layer: number) => boolean;
  readonly rope: (layer: number) => Rope;
}

export function gemma2(w: Weights, config: Config, longest: number): Decoder {
  const heads = headsOf(config);
  const rope = ropeOf(config, heads.head, longest);
  const slides = slidesBy(config, (layer) => layer % 2 === 0);
  return gemma(w, config, { heads, slides, window: config.number("sliding_window"), rope: () => rope });
}

/** The library's own values stand in for what config.json leaves out, which is much in published ones. */
export function gemma3(w: Weights, config: Config, longest: number): Decoder {
  const heads = headsOf(config, { heads: 8, kvHeads: 4, head: 256 });
  const pattern = config.number(["sliding_window_pattern", "_sliding_window_pattern"], 6);
  const slides = slidesBy(config, (layer) => (layer + 1) % pattern !== 0);
  const parameters = config.section("rope_parameters");
  const globally = parameters.has("full_attention")
    ? parameters.section("full_attention")
    : config.section("rope_scaling");
  const locally = parameters.section("sliding_attention");
  const rope = (scaling: Config, key: string, otherwise: number): Rope =>
    scaled(config, scaling, scaling.number("rope_theta", config.number(key, otherwise)), heads.head, longest);
  const wide = rope(globally, "rope_theta", 1_000_000);
  const near = rope(locally, "rope_local_base_freq", 10_000);
  return gemma(w, config, {
    heads,
    slides,
    window: config.number("sliding_window", 4096),
    rope: (layer) => (slides(layer) ? near : wide),
  });
}

function slidesBy(config: Config, otherwise: (layer: number) => boolean): (layer: number) => boolean {
  const types = config.strings("layer_types");
  return types.length === 0 ? otherwise : (layer) => types[layer] === "sliding_attention";
}

function gemma(w: Weights, config: Config, { heads, slides, window, rope }: Kind): Decoder {
  const epsilon = config.number("rms_norm_eps", 1e-6);
  const act = activationOf(config.string(["hidden_activation", "hidden_act"], "gelu_pytorch_tanh"));
  const norm = async (x: Batch, name: string): Promise<Batch> =>
    rmsNorm(x, await w.vector(`${name}.weight`), epsilon, 1);
  const cap = (key: string): number | undefined => config.number(key, 0) || undefined;
  return {
    embedding: "model.embed_tokens.weight",
    // The transformers library rounds this factor to the type of the weights; llama.cpp and Google's own code do not.
    scale: Math.sqrt(config.number("hidden_size")),
    layers: config.number("num_hidden_layers"),
    async layer(x, index, texts) {
      const p = `model.layers.${index}.`;
      const attended = await selfAttention(w, await norm(x, `${p}input_layernorm`), `${p}self_attn.`, texts, {
        ...heads,
        scale: config.number("query_pre_attn_scalar", 256) ** -0.5,
        window: slides(index) ? window : undefined,
        softcap: cap("attn_logit_softcapping"),
        rope: rope(index),
        epsilon,
        offset: 1,
      });
      const middle = add(x, await norm(attended, `${p}post_attention_layernorm`));
      const fed = await gated(w, await norm(middle, `${p}pre_feedforward_layernorm`), `${p}mlp.`, act);
      return add(middle, await norm(fed, `${p}post_feedforward_layernorm`));
    },
    end: (x) => norm(x, "model.norm"),
    output: "lm_head.weight",
    softcap: cap("final_logit_softcapping"),
  };
}
