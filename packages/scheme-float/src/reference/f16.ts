import type { Codec } from "@fewbit/core";

/** Rounds half to even. */
function nearest(x: number): number {
  const down = Math.floor(x);
  const rest = x - down;
  return rest > 0.5 || (rest === 0.5 && down % 2 === 1) ? down + 1 : down;
}

/** sign 1 | exponent 5 | mantissa 10 */
export function encodeHalf(x: number): number {
  const sign = x < 0 || Object.is(x, -0) ? 0x8000 : 0;
  const size = Math.abs(x);
  if (Number.isNaN(x)) return 0x7e00;
  // In units of the last place: 2^-24 for subnormals, 2^(e - 10) from 2^e on. A mantissa that rounds up to 1024 carries
  // into the exponent by itself.
  let exponent = -14;
  while (exponent < 16 && size >= 2 ** (exponent + 1)) exponent++;
  if (exponent === 16) return sign | 0x7c00;
  const units = nearest(size / 2 ** (exponent - 10));
  return sign | (((exponent + 14) << 10) + units);
}

export function decodeHalf(bits: number): number {
  const exponent = (bits >> 10) & 31;
  const mantissa = bits & 1023;
  const sign = bits & 0x8000 ? -1 : 1;
  if (exponent === 31) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  return sign * (1024 + mantissa) * 2 ** (exponent - 25);
}

export const f16: Codec = {
  encode(rows, [out]) {
    const view = new DataView(out!.buffer, out!.byteOffset, out!.byteLength);
    for (let i = 0; i < rows.length; i++) view.setUint16(i * 2, encodeHalf(rows[i]!), true);
  },
  decode([bytes], out) {
    const view = new DataView(bytes!.buffer, bytes!.byteOffset, bytes!.byteLength);
    for (let i = 0; i < out.length; i++) out[i] = decodeHalf(view.getUint16(i * 2, true));
  },
};
