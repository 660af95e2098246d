import type { Architecture } from "@fewbit/core";
import { attentionTensors, LAYER, outerTensors, rule, sizesOf } from "../transformer.js";
import { both } from "./rules.js";

export const starcoder2: Architecture = {
  id: "starcoder2",
  summary: "StarCoder2",
  classes: ["Starcoder2ForCausalLM"],
  // The output is the embedding unless the checkpoint has one.
  defaults: { max_position_embeddings: 4096, norm_epsilon: 1e-5, tie_word_embeddings: true },
  tensors(config) {
    const sizes = sizesOf(config);
    const { hidden, feedForward } = sizes;
    return [
      ...outerTensors(config, sizes),
      rule("model.norm.bias", "output_norm.bias", { shape: [hidden] }),
      ...both(`${LAYER}input_layernorm`, "blk.{bid}.attn_norm", hidden),
      ...both(`${LAYER}post_attention_layernorm`, "blk.{bid}.ffn_norm", hidden),
      ...attentionTensors(sizes),
      ...both(`${LAYER}mlp.c_fc`, "blk.{bid}.ffn_up", feedForward, hidden),
      ...both(`${LAYER}mlp.c_proj`, "blk.{bid}.ffn_down", hidden, feedForward),
    ];
  },
};
