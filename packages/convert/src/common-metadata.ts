// What llama.cpp's converter says of every model, by the names that settings have in different families.
import type { Config, MetadataEntry } from "@fewbit/core";
import { ropeOf } from "./rope.js";

/** Entries of one architecture. */
export class Entries {
  readonly list: MetadataEntry[] = [];
  readonly #id: string;

  constructor(id: string) {
    this.#id = id;
  }

  add(key: string, type: string, value: unknown): this {
    this.list.push({ key: `${this.#id}.${key}`, type, value });
    return this;
  }
}

const CONTEXT = [
  "max_position_embeddings",
  "n_ctx",
  "n_positions",
  "max_length",
  "max_sequence_length",
  "model_max_length",
];
const FEED_FORWARD = [
  "prefix_dense_intermediate_size",
  "dense_intermediate_size",
  "intermediate_size",
  "n_inner",
  "hidden_dim",
];
const GATING = [
  "score_function",
  "scoring_func",
  "score_func",
  "moe_router_activation",
  "moe_router_activation_func",
  "expert_selection_fn",
];
/** llama.cpp's numbers of the functions that choose experts. */
const gating: ReadonlyMap<string, number> = new Map([
  ["softmax", 1],
  ["sigmoid", 2],
  ["sqrtsoftplus", 4],
]);

/** @throws `E_CHECKPOINT` */
export function commonMetadata(id: string, config: Config, fileType: number): MetadataEntry[] {
  const entries = new Entries(id);
  const integer = (key: string, ...names: string[]): void => {
    if (config.has(...names)) entries.add(key, "u32", config.integer(names));
  };
  const number = (key: string, ...names: string[]): void => {
    if (config.has(...names)) entries.add(key, "f32", config.number(names));
  };

  entries.add("block_count", "u32", config.layers);
  integer("context_length", ...CONTEXT);
  integer("embedding_length", "hidden_size", "n_embd", "dim");
  integer("feed_forward_length", ...FEED_FORWARD);
  integer("attention.head_count", "num_attention_heads", "n_head", "n_heads");
  integer("attention.head_count_kv", "num_key_value_heads", "n_kv_heads");
  if (config.has("is_causal") && !config.boolean("is_causal")) entries.add("attention.causal", "bool", false);
  addRope(entries, config);
  number("attention.layer_norm_rms_epsilon", "rms_norm_eps", "norm_eps");
  number("attention.layer_norm_epsilon", "layer_norm_eps", "layer_norm_epsilon", "norm_epsilon");
  integer("expert_count", "num_local_experts", "num_experts", "n_routed_experts");
  integer("expert_used_count", "num_experts_per_tok", "num_experts_per_token", "top_k_experts");
  integer("expert_group_count", "n_group");
  integer("expert_group_used_count", "topk_group");
  if (config.has(...GATING)) {
    const name = config.string(GATING);
    const value = gating.get(name);
    if (value === undefined)
      throw config.error(GATING.find((key) => config.has(key))!, `Experts cannot be chosen by "${name}".`);
    entries.add("expert_gating_func", "u32", value);
  }
  integer("attention.key_length", "head_dim");
  integer("attention.value_length", "head_dim");
  return [...entries.list, { key: "general.file_type", type: "u32", value: fileType }];
}

function addRope(entries: Entries, config: Config): void {
  const rope = ropeOf(config);
  const { scaling } = rope;
  if (scaling.has("factor") && rope.type === "linear") {
    entries.add("rope.scaling.type", "string", "linear");
    entries.add("rope.scaling.factor", "f32", scaling.number("factor"));
  } else if (scaling.has("factor") && rope.type === "yarn") {
    entries.add("rope.scaling.type", "string", "yarn");
    entries.add("rope.scaling.factor", "f32", scaling.number("factor"));
    entries.add("rope.scaling.original_context_length", "u32", rope.originalContext());
    for (const [key, ...names] of [
      ["yarn_ext_factor", "extrapolation_factor"],
      ["yarn_attn_factor", "attention_factor", "attn_factor"],
      ["yarn_beta_fast", "beta_fast"],
      ["yarn_beta_slow", "beta_slow"],
    ] as const)
      if (scaling.has(...names)) entries.add(`rope.scaling.${key}`, "f32", scaling.number(names));
  } else if (rope.type === "su" || rope.type === "longrope")
    entries.add("rope.scaling.type", "string", "longrope");
  if (rope.base !== undefined) entries.add("rope.freq_base", "f32", rope.base);
  if (rope.localBase !== undefined) entries.add("rope.freq_base_swa", "f32", rope.localBase);
}
