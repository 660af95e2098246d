// What IQ3_XXS and IQ3_S share: four weights are rounded to an entry of a codebook, by magnitude.
import type { Fitted, Rounded, SubBlock } from "./two-bit.js";
import { nearestInt } from "./weight.js";

const f = Math.fround;

/** The encoder takes levels for 1, 3 … 15. */
const searched = (level: number): number => 2 * level + 1;

/** A codebook with the entries that are near to what is not in it. */
export class Codebook {
  readonly entries: readonly (readonly number[])[];
  private readonly near = new Map<string, readonly number[]>();

  /**
   * @param digits four levels per entry
   * @param shells how many of the smallest distances count as near
   * @param values what the levels stand for when decoded
   */
  constructor(
    digits: string,
    private readonly shells: number,
    private readonly values: readonly number[],
  ) {
    this.entries = (digits.match(/..../g) ?? []).map((four) => Array.from(four, Number));
    for (const [entry, levels] of this.entries.entries()) this.near.set(levels.join(""), [entry]);
  }

  /** Magnitudes of an entry as the encoder sees them. */
  coordinates(entry: number): readonly number[] {
    return this.entries[entry]!.map(searched);
  }

  /** Decodes one four, whose scale and signs are known. */
  put(x: Float32Array, entry: number, signs: number, scale: number): void {
    this.entries[entry]!.forEach((level, j) => {
      x[j] = f(scale * this.values[level]!) * (signs & (1 << j) ? -1 : 1);
    });
  }

  /** The entry itself, or those at the smallest distances, nearest first, then by index. */
  private candidates(levels: readonly number[]): readonly number[] {
    const key = levels.join("");
    let found = this.near.get(key);
    if (found === undefined) {
      const distances = this.entries.map((entry) =>
        entry.reduce((sum, level, j) => sum + (level - levels[j]!) ** 2, 0),
      );
      const shells = [...new Set(distances)].sort((a, b) => a - b).slice(0, this.shells);
      found = shells.flatMap((d) => distances.flatMap((distance, entry) => (distance === d ? [entry] : [])));
      this.near.set(key, found);
    }
    return found;
  }

  /**
   * Rounds four magnitudes at a scale.
   * @param roots square roots of the weights of their errors
   */
  round(x: Float32Array, roots: Float32Array, inverse: number, scale: number): Rounded {
    const levels = Array.from(x, (v) => Math.max(0, Math.min(7, nearestInt(f(0.5 * f(f(inverse * v) - 1))))));
    const candidates = this.candidates(levels);
    if (this.entries[candidates[0]!]!.every((level, j) => level === levels[j]))
      return { entry: candidates[0]!, onGrid: true };
    let least = 3.4028234663852886e38;
    let best = 0;
    for (const entry of candidates) {
      let sum = 0;
      this.entries[entry]!.forEach((level, j) => {
        const error = f(f(scale * searched(level)) - x[j]!);
        sum = f(sum + f(f(roots[j]! * error) * error));
      });
      if (sum < least) {
        least = sum;
        best = entry;
      }
    }
    return { entry: best, onGrid: false };
  }
}

/** Rounds the fours of a sub-block, except those that have been. */
function roundAll(
  codebook: Codebook,
  { x, roots }: SubBlock,
  inverse: number,
  scale: number,
  before: readonly (Rounded | undefined)[] = [],
): readonly Rounded[] {
  return Array.from({ length: 8 }, (_, k) => {
    const four = [4 * k, 4 * k + 4] as const;
    return before[k] ?? codebook.round(x.subarray(...four), roots.subarray(...four), inverse, scale);
  });
}

/** Σ w x q and Σ w q q. */
function sumsOf(codebook: Codebook, { x, weights }: SubBlock, rounded: readonly Rounded[]) {
  const q = rounded.flatMap(({ entry }) => codebook.coordinates(entry));
  let qx = 0;
  let qq = 0;
  for (let i = 0; i < x.length; i++) {
    qx = f(qx + f(f(weights[i]! * x[i]!) * q[i]!));
    qq = f(qq + f(f(weights[i]! * q[i]!) * q[i]!));
  }
  return { qx, qq };
}

/**
 * Takes the largest of 32 magnitudes to 15, and to some more or less, and keeps the best scale; then, unless rounding
 * alone led all fours to entries, rounds once more with the scale that fits, and fits the scale to that.
 * @param steps trials to either side, 0.2 apart
 * @param keep whether fours that rounding alone led to an entry stay as they are in the end
 */
export function searchScale(
  codebook: Codebook,
  block: SubBlock,
  { steps, keep }: { steps: number; keep: boolean },
): Fitted {
  const largest = Math.max(...block.x);
  let best = 0;
  let scale = f(largest / 15);
  let rounded: readonly Rounded[] = Array.from({ length: 8 }, () => ({ entry: 0, onGrid: keep }));
  for (let step = -steps; step <= steps; step++) {
    const inverse = f(f(15 + f(step * f(0.2))) / largest);
    const trial = roundAll(codebook, block, inverse, f(1 / inverse));
    const { qx, qq } = sumsOf(codebook, block, trial);
    if (!(qq > 0 && f(qx * qx) > f(best * qq))) continue;
    scale = f(qx / qq);
    best = f(scale * qx);
    rounded = trial;
  }
  if (scale > 0 && !rounded.every(({ onGrid }) => onGrid)) {
    const kept = keep ? rounded.map((r) => (r.onGrid ? r : undefined)) : [];
    rounded = roundAll(codebook, block, f(1 / scale), scale, kept);
    const { qx, qq } = sumsOf(codebook, block, rounded);
    if (qq > 0) scale = f(qx / qq);
  }
  return { scale, entries: rounded.map(({ entry }) => entry) };
}

/** How much an error in each element counts without importance. */
export const squares = (x: Float32Array): Float32Array => x.map((v) => v * v);
