import type { Architecture } from "@fewbit/core";
import { outerTensors, sizesOf } from "../transformer.js";
import { llama, llamaAttention } from "./llama.js";
import { gatedExperts, ofLayer } from "./rules.js";

/** As Llama, with experts: in GGUF it is one. */
export const mixtral: Architecture = {
  ...llama,
  summary: "Mixtral",
  classes: ["MixtralForCausalLM"],
  defaults: {
    ...llama.defaults,
    num_experts_per_tok: 2,
    num_local_experts: 8,
    rms_norm_eps: 1e-5,
    rope_theta: 1_000_000,
  },
  // Newer versions of the library call the part as other families do.
  rename: (name) => name.replace(".mlp.gate.", ".block_sparse_moe.gate."),
  tensors(config) {
    const sizes = sizesOf(config);
    const experts = config.integer("num_local_experts");
    return [
      ...outerTensors(config, sizes),
      ...llamaAttention(sizes),
      ofLayer("block_sparse_moe.gate.weight", "ffn_gate_inp.weight", [experts, sizes.hidden]),
      ...gatedExperts(experts, sizes.hidden, sizes.feedForward, "block_sparse_moe.experts.{xid}.", [
        ["gate", "w1"],
        ["down", "w2"],
        ["up", "w3"],
      ]),
    ];
  },
};
