import type { Config } from "@fewbit/core";
import { type AttentionShape, attend, type Heads } from "./attention.js";
import type { Batch, Text } from "./batch.js";
import { dense } from "./linear.js";
import { rmsNorm } from "./norm.js";
import { type Rope, rotate } from "./rope.js";
import type { Weights } from "./weights.js";

export interface SelfAttention extends AttentionShape {
  readonly rope: Rope;
  /** Of the norms of queries and keys, where the checkpoint has such. */
  readonly epsilon: number;
  /** Added to the weights of these norms; 0 when absent. */
  readonly offset?: number;
}

/** Heads as config.json counts them. */
export function headsOf(config: Config, otherwise: Partial<Heads> = {}): Heads {
  const heads = config.number("num_attention_heads", otherwise.heads);
  return {
    heads,
    kvHeads: config.number("num_key_value_heads", otherwise.kvHeads ?? heads),
    head: config.number("head_dim", otherwise.head ?? config.number("hidden_size") / heads),
  };
}

/**
 * Attention under the names that most models have: `q_proj`, `k_proj`, `v_proj`, `o_proj`, with norms of queries and
 * keys before their rotation where there are `q_norm` and `k_norm`.
 */
export async function selfAttention(
  w: Weights,
  x: Batch,
  prefix: string,
  texts: readonly Text[],
  shape: SelfAttention,
): Promise<Batch> {
  const turned = async (which: "q" | "k"): Promise<Batch> => {
    const projected = await dense(w, x, `${prefix}${which}_proj`);
    const norm = `${prefix}${which}_norm.weight`;
    const normed = w.has(norm)
      ? rmsNorm(projected, await w.vector(norm), shape.epsilon, shape.offset)
      : projected;
    return rotate(normed, shape.head, shape.rope, texts);
  };
  const [q, k] = [await turned("q"), await turned("k")];
  const v = await dense(w, x, `${prefix}v_proj`);
  return dense(w, attend(q, k, v, texts, shape), `${prefix}o_proj`);
}
