import type { Expected, Scorer } from "./scorer.js";
import type { Distribution } from "./softmax.js";

const { fround } = Math;

/** Log-probabilities further than this below the highest one are stored as if they were there. */
const REACH = 16;
const STEPS = 65535;
/** Adding and subtracting it rounds to an integer, ties to even. */
const SHIFT = 12582912;

/**
 * The arithmetic of llama-perplexity --kl-divergence, to reproduce figures that it printed. Its file of base logits has
 * 16 bits for each log-probability: 65536 steps of one width from the highest down to 16 nats below it, where all that
 * are lower are lifted to. Terms of probabilities below e^-16 are left out of divergences, which are not normalised; all
 * but sums over the vocabulary is float32.
 */
export class RoundedScorer implements Scorer {
  /** Log-probabilities of one row as the file would give them back. */
  readonly #stored: Float32Array;

  constructor(vocabulary: number) {
    this.#stored = new Float32Array(vocabulary);
  }

  expect(logits: Float32Array, p: Distribution, target: number): Expected {
    const stored = this.#store(logits, p);
    let top = 0;
    for (let i = 1; i < stored.length; i++) if (stored[i]! > stored[top]!) top = i;
    return { p, top, loss: -stored[target]! };
  }

  #store(logits: Float32Array, { peak, sum }: Distribution): Float32Array {
    const stored = this.#stored;
    const limit = fround(peak - REACH);
    let least = peak;
    for (const logit of logits) if (logit < least) least = logit;
    const lowest = Math.max(least, limit);
    const base = fround(fround(lowest - peak) - fround(Math.log(sum)));
    const step = fround(fround(peak - lowest) / STEPS);
    const inverse = step === 0 ? 0 : fround(1 / step);
    for (let i = 0; i < stored.length; i++) {
      const above = fround(logits[i]! - lowest);
      const code = above > 0 ? fround(fround(inverse * above) + SHIFT) - SHIFT : 0;
      stored[i] = fround(step * code) + base;
    }
    return stored;
  }

  loss(q: Distribution, logit: number): number {
    return fround(logSumOf(q) - logit);
  }

  multiply(a: number, b: number): number {
    return fround(a * b);
  }

  change(loss: number, expectedLoss: number): number {
    return fround(fround(Math.exp(-loss)) - fround(Math.exp(-expectedLoss)));
  }

  divergence(logits: Float32Array, { p }: Expected, actual: Float32Array, q: Distribution): number {
    const stored = this.#store(logits, p);
    const logSum = logSumOf(q);
    let sum = 0;
    for (let i = 0; i < stored.length; i++) {
      const expected = stored[i]!;
      if (expected > -REACH)
        sum += fround(fround(Math.exp(expected)) * fround(fround(expected - actual[i]!) + logSum));
    }
    return sum;
  }

  percentile(sorted: Float32Array, fraction: number): number {
    const at = fround(fround(fraction) * (sorted.length - 1));
    const below = Math.floor(at);
    const weight = fround(at - below);
    const above = sorted[Math.min(below + 1, sorted.length - 1)]!;
    return fround(fround(fround(1 - weight) * sorted[below]!) + fround(weight * above));
  }
}

const logSumOf = ({ peak, sum }: Distribution): number => fround(peak + fround(Math.log(sum)));
