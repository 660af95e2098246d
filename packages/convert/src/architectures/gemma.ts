import { type Architecture, type Config, float32, type TensorRule } from "@fewbit/core";
import { Entries } from "../common-metadata.js";
import {
  attentionTensors,
  feedForwardTensors,
  ignored,
  outerTensors,
  type Sizes,
  sizesOf,
} from "../transformer.js";
import { fileTypeIn, merge } from "./entries.js";
import { attentionNorms, ofLayer } from "./rules.js";
import { slidingLayers } from "./sliding-window.js";

/** Its checkpoints keep the weights of norms as differences from one. */
const fromOne = (each: TensorRule): TensorRule =>
  each.to?.endsWith("norm.weight") ? { ...each, make: ([weight]) => float32(weight!, 1) } : each;

/** The output is the embedding; some checkpoints hold it twice. */
const gemmaTensors = (outer: readonly TensorRule[], sizes: Sizes): TensorRule[] => [
  ...outer.filter(({ to }) => to !== "output.weight"),
  ignored("lm_head.weight"),
  ...attentionTensors(sizes),
  ofLayer("input_layernorm.weight", "attn_norm.weight", [sizes.hidden]),
  ofLayer("post_attention_layernorm.weight", "post_attention_norm.weight", [sizes.hidden]),
  ofLayer("pre_feedforward_layernorm.weight", "ffn_norm.weight", [sizes.hidden]),
  ...feedForwardTensors(sizes, sizes.feedForward),
  ofLayer("post_feedforward_layernorm.weight", "post_ffw_norm.weight", [sizes.hidden]),
];

/** SentencePiece puts a space before texts elsewhere, not here. */
const withoutPrefix: NonNullable<Architecture["tokenizer"]> = (_, entries) =>
  entries.some(({ key, value }) => key === "tokenizer.ggml.model" && value === "llama")
    ? merge(entries, [{ key: "tokenizer.ggml.add_space_prefix", type: "bool", value: false }])
    : entries;

/**
 * What attention scores are divided by is no setting of GGUF: llama.cpp takes the root of a head's size, and in the
 * largest model of a family, which it knows by its layers, that of the channels of a head.
 */
function checkScale(config: Config, { hidden, heads, head }: Sizes, largest: number): void {
  const wanted = config.number("query_pre_attn_scalar", 256);
  const taken = config.layers === largest ? Math.floor(hidden / heads) : head;
  if (wanted !== taken)
    throw config.error(
      "query_pre_attn_scalar",
      `The model divides attention scores by the root of ${wanted}; llama.cpp would by that of ${taken}.`,
      "llama.cpp cannot run such a model rightly: convert another one of the family.",
    );
}

export const gemma2: Architecture = {
  id: "gemma2",
  summary: "Gemma 2",
  classes: ["Gemma2ForCausalLM"],
  defaults: {
    attn_logit_softcapping: 50,
    final_logit_softcapping: 30,
    head_dim: 256,
    max_position_embeddings: 8192,
    rms_norm_eps: 1e-6,
    sliding_window: 4096,
  },
  metadata(config, common) {
    const { hidden, feedForward, heads, keyValueHeads, head } = sizesOf(config);
    return [
      ...new Entries("gemma2")
        .add("context_length", "u32", config.integer("max_position_embeddings"))
        .add("embedding_length", "u32", hidden)
        .add("block_count", "u32", config.layers)
        .add("feed_forward_length", "u32", feedForward)
        .add("attention.head_count", "u32", heads)
        .add("attention.head_count_kv", "u32", keyValueHeads)
        .add("attention.layer_norm_rms_epsilon", "f32", config.number("rms_norm_eps"))
        .add("attention.key_length", "u32", head)
        .add("attention.value_length", "u32", head).list,
      ...fileTypeIn(common),
      ...new Entries("gemma2")
        .add("attn_logit_softcapping", "f32", config.number("attn_logit_softcapping"))
        .add("final_logit_softcapping", "f32", config.number("final_logit_softcapping"))
        .add("attention.sliding_window", "u32", config.integer("sliding_window")).list,
      ...slidingLayers("gemma2", config, 2),
    ];
  },
  tensors(config) {
    const sizes = sizesOf(config);
    checkScale(config, sizes, 46);
    return gemmaTensors(outerTensors(config, sizes), sizes).map(fromOne);
  },
  tokenizer: withoutPrefix,
};

/** All but the last of so many layers slide. */
const PERIOD = 6;

export const gemma3: Architecture = {
  id: "gemma3",
  summary: "Gemma 3, what it reads and writes as text",
  classes: ["Gemma3ForCausalLM", "Gemma3ForConditionalGeneration"],
  // Published settings leave out whatever the library takes anyway.
  defaults: {
    head_dim: 256,
    hidden_size: 2304,
    intermediate_size: 9216,
    max_position_embeddings: 131072,
    num_attention_heads: 8,
    num_hidden_layers: 26,
    num_key_value_heads: 4,
    rms_norm_eps: 1e-6,
    rope_local_base_freq: 10_000,
    rope_theta: 1_000_000,
    sliding_window: 4096,
    vocab_size: 262208,
  },
  metadata(config, common) {
    const added = new Entries("gemma3");
    if (config.has("final_logit_softcapping"))
      added.add("final_logit_softcapping", "f32", config.number("final_logit_softcapping"));
    // Without a window no layer slides.
    if (config.integer("sliding_window_pattern", PERIOD) === 1) return [...common, ...added.list];
    added.add("attention.sliding_window", "u32", config.integer("sliding_window"));
    return [...common, ...added.list, ...slidingLayers("gemma3", config, PERIOD)];
  },
  // Models that see as well keep the text part under a name of its own.
  rename: (name) =>
    /(^|\.)(vision_tower|multi_modal_projector)\./.test(name)
      ? undefined
      : name.replace(/^language_model\./, "").replace(/^model\.language_model\./, "model."),
  tensors(config) {
    if (config.has("attn_logit_softcapping"))
      throw config.error(
        "attn_logit_softcapping",
        "The model bends its attention scores, which llama.cpp does not do in this family.",
      );
    const sizes = sizesOf(config);
    checkScale(config, sizes, 62);
    return [...gemmaTensors(outerTensors(config, sizes), sizes), ...attentionNorms(sizes.head)].map(fromOne);
  },
  tokenizer: withoutPrefix,
};
