// E2M1, the four-bit float: twice its values are whole, so the formats that use it work with half their scale.

/** Twice the value of every code; code 8 is another zero that is never chosen. */
const values = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/** The code whose value × `d` is nearest to `x`, the first of equals; differences in single precision. */
export function encodeE2m1(x: number, d: number): number {
  let best = 0;
  let error = Number.POSITIVE_INFINITY;
  for (let code = 0; code < 16; code++) {
    const e = Math.abs(Math.fround(Math.fround(values[code]! * d) - x));
    if (code === 0 || e < error) {
      best = code;
      error = e;
    }
  }
  return best;
}

export const decodeE2m1 = (code: number, d: number): number => Math.fround(values[code]! * d);

/** The largest magnitude of `count` weights from `first` on. */
export function largest(rows: Float32Array, first: number, count: number): number {
  let size = 0;
  for (let i = first; i < first + count; i++) size = Math.max(size, Math.abs(rows[i]!));
  return size;
}
