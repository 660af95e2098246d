import { type Architecture, type Config, constant, type TensorRule } from "@fewbit/core";
import { ropeOf } from "../rope.js";
import {
  attentionTensors,
  feedForwardTensors,
  interleaveHalves,
  LAYER,
  outerTensors,
  rule,
  type Sizes,
  sizesOf,
} from "../transformer.js";

/** Llama 1 to 3, and the many that are built alike. */
export const llama: Architecture = {
  id: "llama",
  summary: "Llama 1 to 3, Mistral, SmolLM2, TinyLlama",
  classes: ["LlamaForCausalLM", "LLaMAForCausalLM", "MistralForCausalLM"],
  defaults: { max_position_embeddings: 2048, rms_norm_eps: 1e-6 },
  metadata: (config, common) => [
    ...common,
    { key: "llama.vocab_size", type: "u32", value: config.integer("vocab_size") },
    { key: "llama.rope.dimension_count", type: "u32", value: sizesOf(config).head },
  ],
  tensors(config) {
    const sizes = sizesOf(config);
    return [
      ...ropeFactors(config, sizes),
      ...outerTensors(config, sizes),
      ...llamaAttention(sizes),
      ...feedForwardTensors(sizes, sizes.feedForward),
    ];
  },
};

/** Norms and attention of a layer; queries and keys in the order of `llama`. */
export const llamaAttention = (sizes: Sizes): TensorRule[] => [
  rule(`${LAYER}input_layernorm.weight`, "blk.{bid}.attn_norm.weight", { shape: [sizes.hidden] }),
  ...attentionTensors(sizes, {
    queries: interleaveHalves(sizes.heads),
    keys: interleaveHalves(sizes.keyValueHeads),
  }),
  rule(`${LAYER}post_attention_layernorm.weight`, "blk.{bid}.ffn_norm.weight", { shape: [sizes.hidden] }),
];

/**
 * What Llama 3 divides its frequencies by, so that it can look further: nothing where they are high, `factor` where
 * they are low, something between in between.
 */
export function ropeFactors(config: Config, { head }: Sizes): TensorRule[] {
  const { type, base = 10000, scaling, originalContext } = ropeOf(config);
  if (type?.toLowerCase() !== "llama3") return [];
  const factor = scaling.number("factor", 8);
  const low = scaling.number("low_freq_factor", 1);
  const high = scaling.number("high_freq_factor", 4);
  const context = originalContext(8192);
  const { fround } = Math;
  const factors = Float32Array.from({ length: head / 2 }, (_, i) => {
    // In single precision as torch computes it: the last bit of a factor depends on it.
    const frequency = fround(1 / fround(base ** fround((2 * i) / head)));
    const wavelength = fround((2 * Math.PI) / frequency);
    if (wavelength < context / high) return 1;
    if (wavelength > context / low) return factor;
    const smooth = fround(fround(fround(context / wavelength) - low) / (high - low));
    return fround(1 / fround(fround(fround(1 - smooth) / factor) + smooth));
  });
  return [{ from: [], to: "rope_freqs.weight", make: () => constant(factors) }];
}
