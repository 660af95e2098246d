import { type Architecture, type Config, type MetadataEntry, rows, type TensorRule } from "@fewbit/core";
import { rule, sizesOf } from "../transformer.js";
import { merge } from "./entries.js";
import { both } from "./rules.js";

/** No head that guesses words or classes, and no dense layer after pooling. */
const encoder =
  (prefix: string): NonNullable<Architecture["rename"]> =>
  (name) => {
    const bare = name.startsWith(prefix) ? name.slice(prefix.length) : name;
    return /^(cls|lm_head|pooler|vocab_\w+)\.|^embeddings\.position_ids$/.test(bare)
      ? undefined
      : bare.replace(/\.gamma$/, ".weight").replace(/\.beta$/, ".bias");
  };

const seesAll = (common: readonly MetadataEntry[]): MetadataEntry[] =>
  merge(common, [{ key: "bert.attention.causal", type: "bool", value: false }]);

const typeCount = (config: Config): MetadataEntry => ({
  key: "tokenizer.ggml.token_type_count",
  type: "u32",
  value: config.integer("type_vocab_size"),
});

const LAYER = "encoder.layer.{bid}.";

/** @param positions the rule of the learned positions */
function bertTensors(config: Config, positions: Partial<TensorRule>): TensorRule[] {
  const { vocabulary, hidden, feedForward } = sizesOf(config);
  return [
    rule("embeddings.word_embeddings.weight", "token_embd.weight", { shape: [vocabulary, hidden] }),
    rule("embeddings.position_embeddings.weight", "position_embd.weight", positions),
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
}

/** As used for embeddings. */
export const bert: Architecture = {
  id: "bert",
  summary: "BERT and its like, for embeddings",
  classes: ["BertModel", "BertForMaskedLM"],
  defaults: { layer_norm_eps: 1e-12, type_vocab_size: 2 },
  metadata: (_, common) => seesAll(common),
  rename: encoder("bert."),
  tensors: (config) =>
    bertTensors(config, {
      shape: [config.integer("max_position_embeddings"), config.integer("hidden_size")],
    }),
  tokenizer: (config, entries) => [typeCount(config), ...entries],
};

/** Positions are counted from behind the one of padding, which GGUF leaves out. */
const unusedPositions = (config: Config): number => 1 + config.integer("pad_token_id");

const usedPositions = (config: Config): number =>
  config.integer("max_position_embeddings") - unusedPositions(config);

export const roberta: Architecture = {
  ...bert,
  summary: "RoBERTa and XLM-RoBERTa, for embeddings",
  classes: ["RobertaModel", "RobertaForMaskedLM", "XLMRobertaModel", "XLMRobertaForMaskedLM"],
  defaults: { layer_norm_eps: 1e-5, pad_token_id: 1, type_vocab_size: 1 },
  metadata: (config, common) =>
    seesAll(merge(common, [{ key: "bert.context_length", type: "u32", value: usedPositions(config) }])),
  rename: encoder("roberta."),
  tensors: (config) =>
    bertTensors(config, {
      shape: [usedPositions(config), config.integer("hidden_size")],
      make: ([all]) => rows(all!, unusedPositions(config), (all!.shape[0] ?? 0) - unusedPositions(config)),
    }),
  tokenizer: (config, entries) => [...entries, typeCount(config)],
};

const DISTILLED = "transformer.layer.{bid}.";

export const distilBert: Architecture = {
  ...bert,
  summary: "DistilBERT, for embeddings",
  classes: ["DistilBertModel", "DistilBertForMaskedLM"],
  defaults: { type_vocab_size: 1 },
  metadata: (_, common) => [
    { key: "bert.attention.layer_norm_epsilon", type: "f32", value: 1e-12 },
    ...seesAll(common),
  ],
  rename: encoder("distilbert."),
  tensors(config) {
    const { vocabulary, hidden } = sizesOf(config);
    const feedForward = config.integer("hidden_dim");
    return [
      rule("embeddings.word_embeddings.weight", "token_embd.weight", { shape: [vocabulary, hidden] }),
      rule("embeddings.position_embeddings.weight", "position_embd.weight", {
        shape: [config.integer("max_position_embeddings"), hidden],
      }),
      ...both("embeddings.LayerNorm", "token_embd_norm", hidden),
      ...both(`${DISTILLED}attention.q_lin`, "blk.{bid}.attn_q", hidden, hidden),
      ...both(`${DISTILLED}attention.k_lin`, "blk.{bid}.attn_k", hidden, hidden),
      ...both(`${DISTILLED}attention.v_lin`, "blk.{bid}.attn_v", hidden, hidden),
      ...both(`${DISTILLED}attention.out_lin`, "blk.{bid}.attn_output", hidden, hidden),
      ...both(`${DISTILLED}sa_layer_norm`, "blk.{bid}.attn_output_norm", hidden),
      ...both(`${DISTILLED}ffn.lin1`, "blk.{bid}.ffn_up", feedForward, hidden),
      ...both(`${DISTILLED}ffn.lin2`, "blk.{bid}.ffn_down", hidden, feedForward),
      ...both(`${DISTILLED}output_layer_norm`, "blk.{bid}.layer_output_norm", hidden),
    ];
  },
};
