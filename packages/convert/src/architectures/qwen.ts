import type { Architecture, Config, TensorRule } from "@fewbit/core";
import { Entries } from "../common-metadata.js";
import { attentionTensors, feedForwardTensors, outerTensors, sizesOf } from "../transformer.js";
import { attentionNorms, gatedExperts, normsBefore, ofLayer } from "./rules.js";

/** Models for embeddings are stored without the head that guesses words, and without "model." before all names. */
const withModel = (name: string): string => name.replace(/^(embed_tokens|layers|norm)\./, "model.$&");
const mayLackOutput = (each: TensorRule): TensorRule =>
  each.to === "output.weight" ? { ...each, optional: true } : each;

export const qwen2: Architecture = {
  id: "qwen2",
  summary: "Qwen 1.5, 2 and 2.5",
  classes: ["Qwen2ForCausalLM", "Qwen2Model"],
  defaults: { rms_norm_eps: 1e-6, max_position_embeddings: 32768 },
  rename: withModel,
  tensors(config) {
    const sizes = sizesOf(config);
    return [
      ...outerTensors(config, sizes).map(mayLackOutput),
      ...normsBefore(sizes),
      ...attentionTensors(sizes),
      ...feedForwardTensors(sizes, sizes.feedForward),
    ];
  },
};

export const qwen3: Architecture = {
  id: "qwen3",
  summary: "Qwen 3",
  classes: ["Qwen3ForCausalLM", "Qwen3Model"],
  defaults: { rms_norm_eps: 1e-6, max_position_embeddings: 32768, head_dim: 128 },
  rename: withModel,
  tensors(config) {
    const sizes = sizesOf(config);
    return [
      ...outerTensors(config, sizes).map(mayLackOutput),
      ...normsBefore(sizes),
      ...attentionTensors(sizes),
      ...attentionNorms(sizes.head),
      ...feedForwardTensors(sizes, sizes.feedForward),
    ];
  },
};

export const qwen2Moe: Architecture = {
  id: "qwen2moe",
  summary: "Qwen 1.5 and 2 with experts",
  classes: ["Qwen2MoeForCausalLM"],
  defaults: { rms_norm_eps: 1e-6 },
  metadata: (config, common) => [
    ...common,
    ...new Entries("qwen2moe")
      .add("expert_feed_forward_length", "u32", config.integer("moe_intermediate_size"))
      .add("expert_shared_feed_forward_length", "u32", config.integer("shared_expert_intermediate_size"))
      .list,
  ],
  tensors(config) {
    everyLayer(config);
    if (config.boolean("norm_topk_prob", false)) throw shares(config, "as they are");
    const sizes = sizesOf(config);
    return [
      ...outerTensors(config, sizes),
      ...normsBefore(sizes),
      ...attentionTensors(sizes),
      ...routedExperts(config, sizes.hidden),
      ...feedForwardTensors(
        sizes,
        config.integer("shared_expert_intermediate_size"),
        "mlp.shared_expert.",
        "_shexp",
      ),
      ofLayer("mlp.shared_expert_gate.weight", "ffn_gate_inp_shexp.weight", [1, sizes.hidden]),
    ];
  },
};

export const qwen3Moe: Architecture = {
  id: "qwen3moe",
  summary: "Qwen 3 with experts",
  classes: ["Qwen3MoeForCausalLM"],
  defaults: { rms_norm_eps: 1e-6 },
  metadata: (config, common) => [
    ...common,
    ...new Entries("qwen3moe").add(
      "expert_feed_forward_length",
      "u32",
      config.integer("moe_intermediate_size"),
    ).list,
  ],
  tensors(config) {
    everyLayer(config);
    if (!config.boolean("norm_topk_prob", false)) throw shares(config, "divided by their sum");
    const sizes = sizesOf(config);
    return [
      ...outerTensors(config, sizes),
      ...normsBefore(sizes),
      ...attentionTensors(sizes),
      ...attentionNorms(sizes.head),
      ...routedExperts(config, sizes.hidden),
    ];
  },
};

/** Experts, and the weights that choose among them. */
function routedExperts(config: Config, hidden: number): TensorRule[] {
  const experts = config.integer(["num_experts", "num_local_experts"]);
  return [
    ofLayer("mlp.gate.weight", "ffn_gate_inp.weight", [experts, hidden]),
    ...gatedExperts(experts, hidden, config.integer("moe_intermediate_size")),
  ];
}

const REMEDY = "llama.cpp cannot run such a model rightly: convert another one of the family.";

/** llama.cpp has no layers without experts in these families. */
function everyLayer(config: Config): void {
  const without = config.numbers("mlp_only_layers");
  if (without.length > 0)
    throw config.error("mlp_only_layers", `There are layers without experts: ${without.join(", ")}.`, REMEDY);
  const step = config.integer("decoder_sparse_step", 1);
  if (step !== 1) throw config.error("decoder_sparse_step", `Only one layer of ${step} has experts.`, REMEDY);
}

const shares = (config: Config, how: string): Error =>
  config.error(
    "norm_topk_prob",
    `The model wants the shares of experts computed otherwise than llama.cpp does, which takes them ${how}.`,
    REMEDY,
  );
