// The set of tensors that most decoders share, under the names of the transformers library.
import { type Config, reshape, stack, swapAxes, type TensorRule, type View } from "@fewbit/core";

/** Sizes that rules check tensors against. */
export interface Sizes {
  readonly hidden: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  /** Of one head. */
  readonly head: number;
  readonly feedForward: number;
  readonly vocabulary: number;
}

/** What is computed for each channel of a head must not depend on a number from a stranger. */
const MAX_HEAD = 1 << 16;

/** @throws `E_CHECKPOINT` */
export function sizesOf(config: Config): Sizes {
  const hidden = config.integer(["hidden_size", "n_embd", "dim"]);
  const heads = config.integer(["num_attention_heads", "n_head", "n_heads"]);
  if (heads === 0 || (!config.has("head_dim") && hidden % heads !== 0))
    throw config.error(
      "num_attention_heads",
      `${hidden} channels cannot be divided into ${heads} heads, and there is no head_dim.`,
    );
  const keyValueHeads = config.integer(["num_key_value_heads", "n_kv_heads"], heads);
  if (keyValueHeads === 0 || heads % keyValueHeads !== 0)
    throw config.error(
      "num_key_value_heads",
      `${heads} heads cannot share ${keyValueHeads} heads of keys and values evenly.`,
    );
  const head = config.integer("head_dim", hidden / heads);
  if (head > MAX_HEAD)
    throw config.error("head_dim", `Heads of ${head} channels are larger than any model's.`);
  return {
    hidden,
    heads,
    keyValueHeads,
    head,
    feedForward: config.integer(["intermediate_size", "n_inner"], 4 * hidden),
    vocabulary: config.integer("vocab_size"),
  };
}

/** A rule for one tensor. */
export const rule = (from: string, to: string, more: Omit<TensorRule, "from" | "to"> = {}): TensorRule => ({
  from,
  to,
  ...more,
});

/** Tensors that are known, and left out. */
export const ignored = (...from: readonly string[]): TensorRule => ({ from });

/** The layers' prefix in a checkpoint. */
export const LAYER = "model.layers.{bid}.";

/**
 * Embedding, last norm, and the output matrix unless it is the embedding.
 * @param more how rules of the norm differ
 */
export const outerTensors = (
  config: Config,
  { hidden, vocabulary }: Sizes,
  more: Pick<TensorRule, "make"> = {},
): TensorRule[] => [
  rule("model.embed_tokens.weight", "token_embd.weight", { shape: [vocabulary, hidden] }),
  rule("model.norm.weight", "output_norm.weight", { shape: [hidden], ...more }),
  rule("lm_head.weight", "output.weight", {
    shape: [vocabulary, hidden],
    optional: config.boolean("tie_word_embeddings", false),
  }),
];

/** How the rows of queries and keys are turned. */
export interface AttentionOptions {
  readonly queries?: (tensor: View) => View;
  readonly keys?: (tensor: View) => View;
}

/** Separate matrices of queries, keys, values and their output; biases where the checkpoint has them. */
export function attentionTensors(sizes: Sizes, { queries, keys }: AttentionOptions = {}): TensorRule[] {
  const { hidden, heads, keyValueHeads, head } = sizes;
  return (
    [
      ["q_proj", "attn_q", heads * head, hidden, queries],
      ["k_proj", "attn_k", keyValueHeads * head, hidden, keys],
      ["v_proj", "attn_v", keyValueHeads * head, hidden, undefined],
      ["o_proj", "attn_output", hidden, heads * head, undefined],
    ] as const
  ).flatMap(([name, to, rows, columns, turn]) => {
    const make = turn === undefined ? {} : { make: ([tensor]: readonly View[]) => turn(tensor!) };
    const from = `${LAYER}self_attn.${name}`;
    return [
      rule(`${from}.weight`, `blk.{bid}.${to}.weight`, { shape: [rows, columns], ...make }),
      rule(`${from}.bias`, `blk.{bid}.${to}.bias`, { shape: [rows], optional: true, ...make }),
    ];
  });
}

/** Gate, up and down matrices; biases where the checkpoint has them. `prefix` is within the layer: `mlp.`. */
export const feedForwardTensors = (
  { hidden }: Sizes,
  feedForward: number,
  prefix = "mlp.",
  suffix = "",
): TensorRule[] =>
  (["gate", "up", "down"] as const).flatMap((name) => {
    const [rows, columns] = name === "down" ? [hidden, feedForward] : [feedForward, hidden];
    const from = `${LAYER}${prefix}${name}_proj`;
    const to = `blk.{bid}.ffn_${name}${suffix}`;
    return [
      rule(`${from}.weight`, `${to}.weight`, { shape: [rows, columns] }),
      rule(`${from}.bias`, `${to}.bias`, { shape: [rows], optional: true }),
    ];
  });

/**
 * One matrix of every expert, stacked: `[experts, rows, columns]`.
 * @param from within the layer, with `{xid}`: `mlp.experts.{xid}.gate_proj.weight`
 * @param to `ffn_gate_exps.weight`
 */
export const expertTensors = (
  from: string,
  to: string,
  experts: number,
  shape: readonly [rows: number, columns: number],
): TensorRule =>
  rule(LAYER + from, `blk.{bid}.${to}`, { experts, shape: [experts, ...shape], make: (all) => stack(all) });

/**
 * The transformers library turns the first half of a head against the second; llama.cpp's `llama` turns neighbours.
 * Rows `[heads, 2, half]` become `[heads, half, 2]`.
 */
export const interleaveHalves =
  (heads: number) =>
  (tensor: View): View => {
    const [rows = 0, ...rest] = tensor.shape;
    return reshape(swapAxes(reshape(tensor, [heads, 2, rows / heads / 2, ...rest]), 1), tensor.shape);
  };
