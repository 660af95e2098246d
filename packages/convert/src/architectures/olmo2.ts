import type { Architecture } from "@fewbit/core";
import { attentionTensors, feedForwardTensors, outerTensors, sizesOf } from "../transformer.js";
import { attentionNorms, ofLayer } from "./rules.js";

/** OLMo 2: norms after each part, and over all queries and all keys of a token. */
export const olmo2: Architecture = {
  id: "olmo2",
  summary: "OLMo 2",
  classes: ["Olmo2ForCausalLM"],
  defaults: { max_position_embeddings: 2048, rms_norm_eps: 1e-5 },
  tensors(config) {
    const sizes = sizesOf(config);
    const { hidden, heads, keyValueHeads, head } = sizes;
    return [
      ...outerTensors(config, sizes),
      ...attentionTensors(sizes),
      ...attentionNorms(heads * head, keyValueHeads * head),
      ofLayer("post_attention_layernorm.weight", "post_attention_norm.weight", [hidden]),
      ...feedForwardTensors(sizes, sizes.feedForward),
      ofLayer("post_feedforward_layernorm.weight", "post_ffw_norm.weight", [hidden]),
    ];
  },
};
