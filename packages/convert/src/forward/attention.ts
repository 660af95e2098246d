import { type Batch, emptyBatch, type Text, vectorOf } from "./batch.js";

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
  const shared = heads / kvHeads;
  for (const { first, tokens } of texts)
    for (let token = 0; token < tokens; token++)
      for (let h = 0; h < heads; h++) {
        const query = vectorOf(q, first + token).subarray(h * head, (h + 1) * head);
        const at = Math.floor(h / shared) * head;
        const begin = window === undefined ? 0 : Math.max(0, token - window + 1);
        const end = bothWays ? tokens : token + 1;
        const scores = new Float64Array(end - begin);
        for (let other = begin; other < end; other++) {
          const key = vectorOf(k, first + other);
          let sum = 0;
          for (let i = 0; i < head; i++) sum += query[i]! * key[at + i]!;
          const score = sum * scale;
          scores[other - begin] = softcap === undefined ? score : softcap * Math.tanh(score / softcap);
        }
        softmax(scores, sinks?.[h]);
        const target = vectorOf(out, first + token).subarray(h * head, (h + 1) * head);
        for (let other = begin; other < end; other++) {
          const value = vectorOf(v, first + other);
          const weight = scores[other - begin]!;
          for (let i = 0; i < head; i++) target[i]! += weight * value[at + i]!;
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
