import { type Batch, emptyBatch, type Text } from "./batch.js";

export interface Heads {
  readonly heads: number;
  /** Each serves `heads ÷ kvHeads` heads. */
  readonly kvHeads: number;
  /** Dimensions of a head. */
  readonly head: number;
}

export interface AttentionShape extends Heads {
  /** What scores are multiplied with. */
  readonly scale: number;
  /** Whether a token sees those after it as well, as in encoders. */
  readonly bothWays?: boolean;
  /** A token sees itself and those before it, this many together; all when absent. */
  readonly window?: number | undefined;
  /** Scores are bent smoothly so that none is larger. */
  readonly softcap?: number | undefined;
  /** Of each head, a score for looking at nothing. */
  readonly sinks?: Float32Array;
}

/** Softmax of the scores of queries and keys, as weights of the values. */
export function attend(
  q: Batch,
  k: Batch,
  v: Batch,
  texts: readonly Text[],
  { heads, kvHeads, head, scale, bothWays = false, window, softcap, sinks }: AttentionShape,
): Batch {
  const out = emptyBatch(q.tokens, heads * head);
  const [queries, keys, values] = [q.values, k.values, v.values];
  const shared = heads / kvHeads;
  for (const { first, tokens } of texts)
    for (let token = 0; token < tokens; token++)
      for (let h = 0; h < heads; h++) {
        const query = (first + token) * q.width + h * head;
        const column = Math.floor(h / shared) * head;
        const begin = window === undefined ? 0 : Math.max(0, token - window + 1);
        const end = bothWays ? tokens : token + 1;
        const scores = new Float64Array(end - begin);
        for (let other = begin; other < end; other++) {
          const key = (first + other) * k.width + column;
          let sum = 0;
          for (let i = 0; i < head; i++) sum += queries[query + i]! * keys[key + i]!;
          const score = sum * scale;
          scores[other - begin] = softcap === undefined ? score : softcap * Math.tanh(score / softcap);
        }
        softmax(scores, sinks?.[h]);
        const target = (first + token) * out.width + h * head;
        for (let other = begin; other < end; other++) {
          const value = (first + other) * v.width + column;
          const weight = scores[other - begin]!;
          for (let i = 0; i < head; i++) out.values[target + i]! += weight * values[value + i]!;
        }
      }
  return out;
}

/** In place. @param sink one more score that takes its share and is dropped */
export function softmax(scores: Float64Array, sink = Number.NEGATIVE_INFINITY): void {
  let largest = sink;
  for (const score of scores) largest = Math.max(largest, score);
  let sum = Math.exp(sink - largest);
  for (let i = 0; i < scores.length; i++) {
    scores[i] = Math.exp(scores[i]! - largest);
    sum += scores[i]!;
  }
  for (let i = 0; i < scores.length; i++) scores[i]! /= sum;
}
