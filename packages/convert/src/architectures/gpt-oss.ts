import {
  type Architecture,
  packBlocks,
  reshape,
  rows,
  swapAxes,
  type TensorRule,
  transpose,
  type View,
} from "@fewbit/core";
import { Entries } from "../common-metadata.js";
import { attentionTensors, LAYER, outerTensors, sizesOf } from "../transformer.js";
import { ofLayer } from "./rules.js";
import { slidingLayers } from "./sliding-window.js";

/** gpt-oss: experts in MXFP4, whose bits are kept, with gate and up taking turns row by row. */
export const gptOss: Architecture = {
  id: "gpt-oss",
  summary: "gpt-oss",
  classes: ["GptOssForCausalLM"],
  defaults: { rms_norm_eps: 1e-5, rope_theta: 150_000, sliding_window: 128 },
  metadata: (config, common) => [
    ...common,
    ...new Entries("gpt-oss")
      .add("attention.sliding_window", "u32", config.integer("sliding_window"))
      .add("expert_feed_forward_length", "u32", config.integer("intermediate_size")).list,
    ...slidingLayers("gpt-oss", config, 2),
  ],
  tensors(config) {
    const sizes = sizesOf(config);
    const { hidden, heads, feedForward } = sizes;
    const count = config.integer(["num_local_experts", "num_experts"]);
    const wide = [count, feedForward, hidden];
    return [
      ...outerTensors(config, sizes),
      ofLayer("input_layernorm.weight", "attn_norm.weight", [hidden]),
      ofLayer("post_attention_layernorm.weight", "post_attention_norm.weight", [hidden]),
      ...attentionTensors(sizes),
      ofLayer("self_attn.sinks", "attn_sinks.weight", [heads]),
      ofLayer("mlp.router.weight", "ffn_gate_inp.weight", [count, hidden]),
      ofLayer("mlp.router.bias", "ffn_gate_inp.bias", [count]),
      ...([GATE, UP] as const).flatMap((turn) => {
        const to = turn === GATE ? "ffn_gate_exps" : "ffn_up_exps";
        const from = "mlp.experts.gate_up_proj";
        return [
          packed(from, `${to}.weight`, wide, turn),
          ofLayer(from, `${to}.weight`, wide, {
            optional: true,
            make: ([both]) => everyOther(transpose(both!), turn),
          }),
          ofLayer(`${from}_bias`, `${to}.bias`, [count, feedForward], {
            make: ([both]) => everyOther(both!, turn),
          }),
        ];
      }),
      packed("mlp.experts.down_proj", "ffn_down_exps.weight", [count, hidden, feedForward]),
      ofLayer("mlp.experts.down_proj", "ffn_down_exps.weight", [count, hidden, feedForward], {
        optional: true,
        make: ([weight]) => transpose(weight!),
      }),
      ofLayer("mlp.experts.down_proj_bias", "ffn_down_exps.bias", [count, hidden]),
    ];
  },
};

const GATE = 0;
const UP = 1;

/** MXFP4 in two tensors: packed weights and exponents. */
const packed = (from: string, to: string, shape: readonly number[], turn?: 0 | 1): TensorRule => {
  const part = (view: View): View => (turn === undefined ? view : everyOther(view, turn));
  return {
    from: [`${LAYER}${from}_blocks`, `${LAYER}${from}_scales`],
    to: `blk.{bid}.${to}`,
    shape,
    optional: true,
    make: ([blocks, scales]) => packBlocks("MXFP4", part(blocks!), part(scales!)),
  };
};

/** Of each expert every other row, from row `first`: `[experts, 2 × rows, …]` → `[experts, rows, …]`. */
function everyOther(of: View, first: 0 | 1): View {
  const [experts, both, ...rest] = of.shape as [number, number, ...number[]];
  const pairs = reshape(of, [experts, both / 2, 2, ...rest]);
  const apart = swapAxes(swapAxes(pairs, 1), 0);
  return reshape(rows(apart, first, 1), [experts, both / 2, ...rest]);
}
