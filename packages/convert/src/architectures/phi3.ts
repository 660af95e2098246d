import { type Architecture, type Config, constant, type TensorRule } from "@fewbit/core";
import { Entries } from "../common-metadata.js";
import { ropeOf } from "../rope.js";
import { outerTensors, sizesOf } from "../transformer.js";
import { fileTypeIn } from "./entries.js";
import { normsBefore, ofLayer } from "./rules.js";

/** Phi-3 and Phi-4-mini: queries, keys and values in one matrix, gate and up in another, in GGUF as well. */
export const phi3: Architecture = {
  id: "phi3",
  summary: "Phi-3, Phi-3.5 and Phi-4-mini",
  classes: ["Phi3ForCausalLM"],
  defaults: { max_position_embeddings: 4096, rms_norm_eps: 1e-5 },
  metadata(config, common) {
    const { hidden, feedForward, heads, keyValueHeads } = sizesOf(config);
    const entries = new Entries("phi3");
    const long = longContext(config);
    if (long !== undefined) entries.add("rope.scaling.attn_factor", "f32", long.attention);
    return [
      ...entries
        .add("context_length", "u32", contextOf(config))
        .add("rope.scaling.original_context_length", "u32", trainedContextOf(config))
        .add("embedding_length", "u32", hidden)
        .add("feed_forward_length", "u32", feedForward)
        .add("block_count", "u32", config.layers)
        .add("attention.head_count", "u32", heads)
        .add("attention.head_count_kv", "u32", keyValueHeads)
        .add("attention.layer_norm_rms_epsilon", "f32", config.number("rms_norm_eps"))
        .add("rope.dimension_count", "u32", rotated(config))
        .add("rope.freq_base", "f32", ropeOf(config).base ?? 10000).list,
      ...fileTypeIn(common),
      ...new Entries("phi3").add("attention.sliding_window", "u32", config.integer("sliding_window", 0)).list,
    ];
  },
  tensors(config) {
    const sizes = sizesOf(config);
    const { hidden, feedForward, heads, keyValueHeads, head } = sizes;
    return [
      ...factors(config),
      ...outerTensors(config, sizes),
      ...normsBefore(sizes),
      ofLayer("self_attn.qkv_proj.weight", "attn_qkv.weight", [(heads + 2 * keyValueHeads) * head, hidden]),
      ofLayer("self_attn.o_proj.weight", "attn_output.weight", [hidden, heads * head]),
      ofLayer("mlp.gate_up_proj.weight", "ffn_up.weight", [2 * feedForward, hidden]),
      ofLayer("mlp.down_proj.weight", "ffn_down.weight", [hidden, feedForward]),
    ];
  },
};

const contextOf = (config: Config): number => config.integer("max_position_embeddings");

const trainedContextOf = (config: Config): number => ropeOf(config).originalContext(contextOf(config));

/** Dimensions of a head that positions turn. */
function rotated(config: Config): number {
  const { hidden, heads } = sizesOf(config);
  const partial = ropeOf(config).scaling.number(
    "partial_rotary_factor",
    config.number("partial_rotary_factor", 1),
  );
  return Math.floor(Math.floor(partial * hidden) / heads);
}

interface LongContext {
  /** What frequencies are divided by in texts longer than those of training, and in others. */
  readonly long: readonly number[];
  readonly short: readonly number[];
  /** What attention is multiplied with. */
  readonly attention: number;
}

function longContext(config: Config): LongContext | undefined {
  const { scaling, type } = ropeOf(config);
  const long = scaling.numbers("long_factor");
  if (long.length === 0) return undefined;
  const short = scaling.numbers("short_factor");
  const pairs = rotated(config) / 2;
  for (const [key, values] of Object.entries({ long_factor: long, short_factor: short }))
    if (values.length !== pairs)
      throw scaling.error(
        key,
        `${key} has ${values.length} numbers; the ${pairs} pairs of a head want one each.`,
      );
  return { long, short, attention: attentionFactor(config, type) };
}

function attentionFactor(config: Config, type: string | undefined): number {
  const trained = trainedContextOf(config);
  const stretch = contextOf(config) / trained;
  switch (type) {
    case "su":
    case "longrope":
      return stretch > 1 ? Math.sqrt(1 + Math.log(stretch) / Math.log(trained)) : 1;
    case "yarn":
      return stretch > 1 ? 0.1 * Math.log(stretch) + 1 : 1;
    default:
      throw ropeOf(config).scaling.error(
        "type",
        `Factors for long texts are not known of the type "${type}".`,
      );
  }
}

function factors(config: Config): TensorRule[] {
  const long = longContext(config);
  if (long === undefined) return [];
  const rule = (name: string, values: readonly number[]): TensorRule => ({
    from: [],
    to: `rope_factors_${name}.weight`,
    make: () => constant(Float32Array.from(values)),
  });
  return [rule("long", long.long), rule("short", long.short)];
}
