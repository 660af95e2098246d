import { type Architecture, type Config, type TensorRule, transpose, type View } from "@fewbit/core";
import { Entries } from "../common-metadata.js";
import { rule } from "../transformer.js";
import { fileTypeIn } from "./entries.js";
import { both } from "./rules.js";

const turned = ([weight]: readonly View[]): View => transpose(weight!);

const feedForwardOf = (config: Config): number => config.integer("n_inner", 4 * config.integer("n_embd"));

/** GPT-2: matrices are stored inputs by outputs, names with "transformer." before them or without. */
export const gpt2: Architecture = {
  id: "gpt2",
  summary: "GPT-2",
  classes: ["GPT2LMHeadModel"],
  defaults: { layer_norm_epsilon: 1e-5 },
  metadata: (config, common) => [
    ...new Entries("gpt2")
      .add("block_count", "u32", config.layers)
      .add("context_length", "u32", contextOf(config))
      .add("embedding_length", "u32", config.integer("n_embd"))
      .add("feed_forward_length", "u32", feedForwardOf(config))
      .add("attention.head_count", "u32", config.integer("n_head"))
      .add("attention.layer_norm_epsilon", "f32", config.number("layer_norm_epsilon")).list,
    ...fileTypeIn(common),
  ],
  // Masks, which are computed from settings, have names like those of biases.
  rename: (name) => (/\.attn\.(masked_)?bias$/.test(name) ? undefined : name.replace(/^transformer\./, "")),
  tensors(config): TensorRule[] {
    const width = config.integer("n_embd");
    const feedForward = feedForwardOf(config);
    const vocabulary = config.integer("vocab_size");
    return [
      rule("wte.weight", "token_embd.weight", { shape: [vocabulary, width] }),
      rule("wpe.weight", "position_embd.weight", { shape: [contextOf(config), width] }),
      ...both("ln_f", "output_norm", width),
      rule("lm_head.weight", "output.weight", { shape: [vocabulary, width], optional: true }),
      ...both("h.{bid}.ln_1", "blk.{bid}.attn_norm", width),
      ...both("h.{bid}.ln_2", "blk.{bid}.ffn_norm", width),
      ...both("h.{bid}.attn.c_attn", "blk.{bid}.attn_qkv", 3 * width, width, turned),
      ...both("h.{bid}.attn.c_proj", "blk.{bid}.attn_output", width, width, turned),
      ...both("h.{bid}.mlp.c_fc", "blk.{bid}.ffn_up", feedForward, width, turned),
      ...both("h.{bid}.mlp.c_proj", "blk.{bid}.ffn_down", width, feedForward, turned),
    ];
  },
};

const contextOf = (config: Config): number => config.integer(["n_positions", "n_ctx"]);
