// Scales (and likewise minimums) of a super-block's sub-blocks as small integers times one unit.
import { nearestInteger } from "./float.js";

const f = Math.fround;

export interface Units {
  readonly unit: number;
  /** One byte per sub-block. */
  readonly levels: Uint8Array;
}

/** Without importance: the largest value gets the top level. */
export function spreadUnits(values: Float32Array, top: number, limit = 255): Units {
  const max = Math.max(0, ...values);
  const inverse = max > 0 ? f(top / max) : 0;
  return {
    unit: f(max / top),
    levels: Uint8Array.from(values, (v) => Math.min(limit, nearestInteger(f(inverse * v)) & 255)),
  };
}

/** With importance: the best of nine units, then single levels change as long as the weighted fit improves. */
export function fitUnits(values: Float32Array, weights: Float32Array, top: number): Units {
  const max = Math.max(0, ...values);
  if (max < f(1e-15)) return { unit: 0, levels: new Uint8Array(values.length) };
  const levelsFor = (inverse: number) =>
    Array.from(values, (v) => Math.min(top, nearestInteger(f(inverse * v))));
  const errorOf = (inverse: number, levels: ArrayLike<number>) => {
    const unit = f(1 / inverse);
    let sum = 0;
    values.forEach((v, i) => {
      const e = f(v - f(unit * levels[i]!));
      sum = f(sum + f(f(weights[i]! * e) * e));
    });
    return sum;
  };

  let inverse = f(top / max);
  let error = errorOf(
    inverse,
    Uint8Array.from(values, (v) => nearestInteger(f(inverse * v))),
  );
  for (const step of [-4, -3, -2, -1, 1, 2, 3, 4]) {
    const trial = f(f(f(f(0.1) * step) + top) / max);
    const trialError = errorOf(trial, levelsFor(trial));
    if (trialError < error) {
      error = trialError;
      inverse = trial;
    }
  }

  const first = levelsFor(inverse);
  const levels = Uint8Array.from(first);
  let sumXL = 0;
  let sumLL = 0;
  first.forEach((level, i) => {
    sumXL = f(sumXL + f(f(weights[i]! * values[i]!) * level));
    sumLL = f(sumLL + f(f(weights[i]! * level) * level));
  });
  // The error falls by (Σwxl)² ⁄ Σwl²: without a division, (Σwxl)² · Σwl² of the other side.
  for (let round = 0, changed = true; changed && round < 5; round++) {
    changed = false;
    for (let i = 0; i < values.length; i++) {
      const w = weights[i]!;
      const wx = f(w * values[i]!);
      let xl = f(sumXL - f(wx * levels[i]!));
      let ll = f(sumLL - f(f(w * levels[i]!) * levels[i]!));
      if (!(xl > 0 && ll > 0)) continue;
      const level = Math.min(top, nearestInteger(f(f(values[i]! * ll) / xl)));
      if (level === levels[i]) continue;
      xl = f(xl + f(wx * level));
      ll = f(ll + f(f(w * level) * level));
      if (f(f(xl * xl) * sumLL) > f(f(sumXL * sumXL) * ll)) {
        levels[i] = level;
        sumXL = xl;
        sumLL = ll;
        changed = true;
      }
    }
  }
  return { unit: sumLL > 0 ? f(sumXL / sumLL) : 0, levels };
}
