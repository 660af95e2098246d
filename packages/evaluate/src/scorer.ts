import type { Distribution, Softmax } from "./softmax.js";
import { percentile } from "./statistics.js";

/** What the reference makes of the place of one token. */
export interface Expected {
  readonly p: Distribution;
  /** The token that is held the most probable. */
  readonly top: number;
  /** -ln p of the token that came. */
  readonly loss: number;
}

/** How two rows of logits are held against each other. */
export interface Scorer {
  expect(logits: Float32Array, p: Distribution, target: number): Expected;
  /** -ln q of a token with this logit. */
  loss(q: Distribution, logit: number): number;
  /** Of two losses, or of two changes: what variances are made of. */
  multiply(a: number, b: number): number;
  /** How much more probable a token has become. */
  change(loss: number, expectedLoss: number): number;
  /** In nats; `actual` are the logits of `q`, the distribution that was asked for last. */
  divergence(logits: Float32Array, expected: Expected, actual: Float32Array, q: Distribution): number;
  /** The value below which `fraction` of all lie. */
  percentile(sorted: Float32Array, fraction: number): number;
}

export const multiply = (a: number, b: number): number => a * b;

/** From the logits as they are. */
export const exactScorer = (softmax: Softmax): Scorer => ({
  expect: (logits, p, target) => ({ p, top: p.top, loss: p.logSum - logits[target]! }),
  loss: (q, logit) => q.logSum - logit,
  multiply,
  change: (loss, expectedLoss) => Math.exp(-loss) - Math.exp(-expectedLoss),
  divergence: (logits, { p }, _, q) => softmax.divergence(logits, p, q),
  percentile,
});
