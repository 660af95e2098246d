import { FewbitError } from "@fewbit/core";
import { activations } from "./activation.js";
import { softmax } from "./attention.js";
import { type Batch, emptyBatch, map, multiply, pick, vectorOf } from "./batch.js";
import { dense } from "./linear.js";
import type { Weights } from "./weights.js";

export type Activation = (x: number) => number;

/** @param name as config.json gives it. @throws `E_ARCHITECTURE` */
export function activationOf(name: string): Activation {
  const found = activations.get(name);
  if (found !== undefined) return found;
  throw new FewbitError(
    "E_ARCHITECTURE",
    `The activation function ${name} is none that this check knows.`,
    { key: "hidden_act" },
    "Leave the check of the logits out.",
  );
}

/** `down(act(gate(x)) × up(x))`, under the names that most models have. */
export async function gated(w: Weights, x: Batch, prefix: string, act: Activation): Promise<Batch> {
  const gate = map(await dense(w, x, `${prefix}gate_proj`), act);
  return dense(w, multiply(gate, await dense(w, x, `${prefix}up_proj`)), `${prefix}down_proj`);
}

/** Which experts a router chooses. */
export interface Routing {
  /** Experts of each token. */
  readonly used: number;
  /**
   * `all`: shares are the softmax over all experts; `renormalised`: those of the chosen divided by their sum, which is
   * the softmax over the chosen alone.
   */
  readonly shares: "all" | "renormalised";
}

/**
 * Each token goes through the experts with its highest scores.
 *
 * @param scores one per expert and token
 * @param expert the output of one of them
 */
export async function mixture(
  x: Batch,
  scores: Batch,
  { used, shares }: Routing,
  expert: (index: number, x: Batch) => Promise<Batch>,
): Promise<Batch> {
  const members = Array.from({ length: scores.width }, () => ({
    tokens: [] as number[],
    shares: [] as number[],
  }));
  for (let token = 0; token < x.tokens; token++) {
    const share = vectorOf(scores, token).slice();
    softmax(share);
    const chosen = Array.from(share, (_, i) => i)
      .sort((a, b) => share[b]! - share[a]!)
      .slice(0, used);
    const sum = shares === "all" ? 1 : chosen.reduce((total, i) => total + share[i]!, 0);
    for (const i of chosen) {
      members[i]!.tokens.push(token);
      members[i]!.shares.push(share[i]! / sum);
    }
  }
  const out = emptyBatch(x.tokens, x.width);
  for (const [index, each] of members.entries()) {
    if (each.tokens.length === 0) continue;
    const answers = await expert(index, pick(x, each.tokens));
    for (const [i, token] of each.tokens.entries()) {
      const target = vectorOf(out, token);
      const answer = vectorOf(answers, i);
      for (let at = 0; at < target.length; at++) target[at]! += each.shares[i]! * answer[at]!;
    }
  }
  return out;
}
