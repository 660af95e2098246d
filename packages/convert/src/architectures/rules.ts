// Rules that several architectures share, beside those of `transformer.ts`.
import { reshape, rows, stack, type TensorRule, type View } from "@fewbit/core";
import { expertTensors, LAYER, rule, type Sizes } from "../transformer.js";

/** A tensor of every layer: `model.layers.{bid}.<from>` → `blk.{bid}.<to>`. */
export const ofLayer = (
  from: string,
  to: string,
  shape: readonly number[],
  more: Pick<TensorRule, "make" | "optional"> = {},
): TensorRule => rule(LAYER + from, `blk.{bid}.${to}`, { shape, ...more });

/** Weight and bias. */
export const both = (
  from: string,
  to: string,
  outputs: number,
  inputs?: number,
  make?: TensorRule["make"],
): TensorRule[] => [
  rule(`${from}.weight`, `${to}.weight`, {
    shape: inputs === undefined ? [outputs] : [outputs, inputs],
    ...(make === undefined ? {} : { make }),
  }),
  rule(`${from}.bias`, `${to}.bias`, { shape: [outputs] }),
];

/** Norms before attention and before the feed-forward part. */
export const normsBefore = ({ hidden }: Sizes): TensorRule[] => [
  ofLayer("input_layernorm.weight", "attn_norm.weight", [hidden]),
  ofLayer("post_attention_layernorm.weight", "ffn_norm.weight", [hidden]),
];

/** Norms of queries and keys: of each head, or of all together. */
export const attentionNorms = (queries: number, keys = queries): TensorRule[] => [
  ofLayer("self_attn.q_norm.weight", "attn_q_norm.weight", [queries]),
  ofLayer("self_attn.k_norm.weight", "attn_k_norm.weight", [keys]),
];

/** The three matrices of an expert and what they are called where each has tensors of its own. */
type ExpertNames = readonly (readonly [matrix: "gate" | "up" | "down", name: string])[];

/** In the order in which llama.cpp's converter writes them. */
const QWEN: ExpertNames = [
  ["down", "down_proj"],
  ["gate", "gate_proj"],
  ["up", "up_proj"],
];

/**
 * Experts with gates, which GGUF keeps in one tensor for all: from tensors of each, or from tensors that already hold
 * all, gate above up, as newer versions of the transformers library write them.
 */
export function gatedExperts(
  experts: number,
  hidden: number,
  feedForward: number,
  prefix = "mlp.experts.{xid}.",
  names = QWEN,
): TensorRule[] {
  const wide = [feedForward, hidden] as const;
  const high = [hidden, feedForward] as const;
  const half =
    (part: 0 | 1) =>
    ([all]: readonly View[]): View => {
      const flat = reshape(all!, [experts * 2 * feedForward, hidden]);
      return stack(
        Array.from({ length: experts }, (_, i) => rows(flat, (2 * i + part) * feedForward, feedForward)),
      );
    };
  const gateAndUp = "mlp.experts.gate_up_proj";
  return [
    ...names.map(([matrix, name]) =>
      expertTensors(
        `${prefix}${name}.weight`,
        `ffn_${matrix}_exps.weight`,
        experts,
        matrix === "down" ? high : wide,
      ),
    ),
    ofLayer("mlp.experts.down_proj", "ffn_down_exps.weight", [experts, ...high]),
    ofLayer(gateAndUp, "ffn_gate_exps.weight", [experts, ...wide], { make: half(0) }),
    ofLayer(gateAndUp, "ffn_up_exps.weight", [experts, ...wide], { make: half(1) }),
  ].map((each) => ({ ...each, optional: true }));
}
