import type { Architecture } from "@fewbit/core";
import { rule, sizesOf } from "../transformer.js";
import { merge } from "./entries.js";
import { both } from "./rules.js";

const LAYER = "encoder.layer.{bid}.";

/** BERT as it is used for embeddings: without heads that guess words or classes. */
export const bert: Architecture = {
  id: "bert",
  summary: "BERT-style encoders for embeddings",
  classes: ["BertModel", "BertForMaskedLM"],
  defaults: { layer_norm_eps: 1e-12, type_vocab_size: 2 },
  metadata: (_, common) => merge(common, [{ key: "bert.attention.causal", type: "bool", value: false }]),
  rename: (name) =>
    /^(cls|bert\.pooler|pooler)\.|embeddings\.position_ids$/.test(name)
      ? undefined
      : name
          .replace(/^bert\./, "")
          .replace(/\.gamma$/, ".weight")
          .replace(/\.beta$/, ".bias"),
  tensors(config) {
    const { vocabulary, hidden, feedForward } = sizesOf(config);
    return [
      rule("embeddings.word_embeddings.weight", "token_embd.weight", { shape: [vocabulary, hidden] }),
      rule("embeddings.position_embeddings.weight", "position_embd.weight", {
        shape: [config.integer("max_position_embeddings"), hidden],
      }),
      rule("embeddings.token_type_embeddings.weight", "token_types.weight", {
        shape: [config.integer("type_vocab_size"), hidden],
      }),
      ...both("embeddings.LayerNorm", "token_embd_norm", hidden),
      ...both(`${LAYER}attention.self.query`, "blk.{bid}.attn_q", hidden, hidden),
      ...both(`${LAYER}attention.self.key`, "blk.{bid}.attn_k", hidden, hidden),
      ...both(`${LAYER}attention.self.value`, "blk.{bid}.attn_v", hidden, hidden),
      ...both(`${LAYER}attention.output.dense`, "blk.{bid}.attn_output", hidden, hidden),
      ...both(`${LAYER}attention.output.LayerNorm`, "blk.{bid}.attn_output_norm", hidden),
      ...both(`${LAYER}intermediate.dense`, "blk.{bid}.ffn_up", feedForward, hidden),
      ...both(`${LAYER}output.dense`, "blk.{bid}.ffn_down", hidden, feedForward),
      ...both(`${LAYER}output.LayerNorm`, "blk.{bid}.layer_output_norm", hidden),
    ];
  },
  tokenizer: (config, entries) => [
    { key: "tokenizer.ggml.token_type_count", type: "u32", value: config.integer("type_vocab_size") },
    ...entries,
  ],
};
