// What IQ2_XXS, IQ2_XS and IQ2_S share: eight weights are rounded to an entry of a codebook, by magnitude.
import { nearestInt } from "./weight.js";

const f = Math.fround;

/** Levels 0, 1, 2 stand for these magnitudes … */
const decoded = [8, 25, 43];
/** … which the encoder takes for 1, 3, 5. */
const searched = (level: number): number => 2 * level + 1;

/** Scales of sub-blocks are odd multiples of d / 2 … 31 d / 2, in four bits. */
export const subScaleLevel = (scale: number, d: number): number =>
  clamp(nearestInt(f(0.5 * f(f(f(1 / d) * scale) - 1))), 15);

/** The largest scale that the levels can express is 31 / 2 d: twice this. */
export const factorOf = (scales: readonly number[]): number => f(Math.max(...scales) / 31);

const clamp = (level: number, highest: number): number => Math.max(0, Math.min(highest, level));

/** A rounded eight. */
export interface Rounded {
  readonly entry: number;
  /** Whether rounding each weight by itself led to an entry. */
  readonly onGrid: boolean;
}

/** A codebook with the entries that are near to what is not in it. */
export class Codebook {
  readonly entries: readonly (readonly number[])[];
  private readonly near = new Map<string, readonly number[]>();

  /**
   * @param digits four hexadecimal digits per entry, level j in bits 2j and 2j + 1
   * @param shells how many of the smallest distances count as near
   */
  constructor(
    digits: string,
    private readonly shells: number,
  ) {
    this.entries = (digits.match(/..../g) ?? []).map((four) =>
      Array.from({ length: 8 }, (_, j) => (Number.parseInt(four, 16) >> (2 * j)) & 3),
    );
    for (const [entry, levels] of this.entries.entries()) this.near.set(levels.join(""), [entry]);
  }

  /** Magnitudes of an entry as the decoder sees them. */
  magnitudes(entry: number): readonly number[] {
    return this.entries[entry]!.map((level) => decoded[level]!);
  }

  /** Magnitudes of an entry as the encoder sees them. */
  coordinates(entry: number): readonly number[] {
    return this.entries[entry]!.map(searched);
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
   * Rounds eight magnitudes at a scale.
   * @param roots square roots of the weights of their errors
   */
  round(x: Float32Array, roots: Float32Array, inverse: number, scale: number): Rounded {
    const levels = Array.from(x, (v) => clamp(nearestInt(f(0.5 * f(f(inverse * v) - 1))), 2));
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

/** Magnitudes and weights of a sub-block of whole eights. */
export interface SubBlock {
  readonly x: Float32Array;
  readonly weights: Float32Array;
  readonly roots: Float32Array;
}

export const subBlockOf = (x: Float32Array, weights: Float32Array): SubBlock => ({
  x,
  weights,
  roots: weights.map((w) => f(Math.sqrt(w))),
});

/** Rounds the eights of a sub-block, or those that `which` says. */
function roundAll(
  codebook: Codebook,
  { x, roots }: SubBlock,
  inverse: number,
  scale: number,
  before: readonly (Rounded | undefined)[] = [],
): readonly Rounded[] {
  return Array.from(
    { length: x.length / 8 },
    (_, k) =>
      before[k] ??
      codebook.round(x.subarray(8 * k, 8 * k + 8), roots.subarray(8 * k, 8 * k + 8), inverse, scale),
  );
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

export interface Fitted {
  readonly scale: number;
  readonly entries: readonly number[];
}

/**
 * Tries scales around a span, takes the best, rounds once more with the scale that fits it, and fits the scale to that.
 * @param span what divides the trial factors 5 ± 0.1 steps
 * @param first the scale if no trial is any good
 * @param keep whether eights that rounding alone led to an entry stay as they are in the end
 */
export function searchScale(
  codebook: Codebook,
  block: SubBlock,
  { span, steps, first, keep }: { span: number; steps: number; first: number; keep: boolean },
): Fitted {
  let best = 0;
  let scale = first;
  let rounded: readonly Rounded[] = Array.from({ length: block.x.length / 8 }, () => ({
    entry: 0,
    onGrid: true,
  }));
  for (let step = -steps; step <= steps; step++) {
    const inverse = f(f(5 + f(step * f(0.1))) / span);
    const trial = roundAll(codebook, block, inverse, f(1 / inverse));
    const { qx, qq } = sumsOf(codebook, block, trial);
    if (!(qq > 0 && f(qx * qx) > f(best * qq))) continue;
    scale = f(qx / qq);
    best = f(scale * qx);
    rounded = trial;
  }
  if (scale > 0 && !(keep && rounded.every(({ onGrid }) => onGrid))) {
    const kept = keep ? rounded.map((r) => (r.onGrid ? r : undefined)) : [];
    rounded = roundAll(codebook, block, f(1 / scale), scale, kept);
    const { qx, qq } = sumsOf(codebook, block, rounded);
    if (qq > 0) scale = f(qx / qq);
  }
  return { scale, entries: rounded.map(({ entry }) => entry) };
}

/** Signs apart from magnitudes: a bit per negative weight, a byte per eight. */
export function splitSigns(x: Float32Array): { magnitudes: Float32Array; signs: Uint8Array } {
  const signs = new Uint8Array(x.length / 8);
  x.forEach((v, i) => {
    if (v < 0) signs[i >> 3] = signs[i >> 3]! | (1 << (i & 7));
  });
  return { magnitudes: x.map(Math.abs), signs };
}

/**
 * Makes the number of minus signs of every eight even: the weight with the smallest w x x of an odd eight changes its
 * sign, so its magnitude becomes negative.
 */
export function evenSigns(magnitudes: Float32Array, signs: Uint8Array, weights: Float32Array): void {
  signs.forEach((byte, k) => {
    if (!oddBits(byte)) return;
    let least = 8 * k;
    const error = (i: number) => f(f(weights[i]! * magnitudes[i]!) * magnitudes[i]!);
    for (let i = 8 * k + 1; i < 8 * k + 8; i++) if (error(i) < error(least)) least = i;
    magnitudes[least] = -magnitudes[least]!;
    signs[k] = byte ^ (1 << (least & 7));
  });
}

const oddBits = (byte: number): boolean => {
  let odd = false;
  for (let bits = byte; bits; bits &= bits - 1) odd = !odd;
  return odd;
};

/** Seven signs and the eighth that makes their number even. */
export const eightSigns = (seven: number): number => seven | (oddBits(seven) ? 128 : 0);

/** Decodes one eight. `level` is that of the sub-block's scale. */
export function putEight(
  x: Float32Array,
  codebook: Codebook,
  entry: number,
  signs: number,
  d: number,
  level: number,
): void {
  const scale = f(f(d * f(0.5 + level)) * 0.25);
  codebook.magnitudes(entry).forEach((m, j) => {
    x[j] = f(scale * m) * (signs & (1 << j) ? -1 : 1);
  });
}
