// MXFP4: a scale 2^(E − 127) in one byte, then 16 bytes of codes: weight j low, weight j + 16 high.
import type { Codec } from "@fewbit/core";
import { decodeE2m1, encodeE2m1, largest } from "./e2m1.js";

const WEIGHTS = 32;
const BYTES = 1 + 16;

/** The largest weight's power of two becomes 4, the power of two in E2M1's largest value 6. */
function exponent(size: number): number {
  // llama.cpp's logarithm is single precision: just below a power of two it may round up to it.
  return size > 0 ? (Math.floor(Math.fround(Math.log2(size))) - 2 + 127) & 255 : 0;
}

const halfScale = (e: number): number => 2 ** (e - 128);

export const mxfp4: Codec = {
  encode(rows, [out]) {
    for (let i = 0, p = 0; i < rows.length; i += WEIGHTS, p += BYTES) {
      const e = exponent(largest(rows, i, WEIGHTS));
      const d = halfScale(e);
      out![p] = e;
      for (let j = 0; j < 16; j++)
        out![p + 1 + j] = encodeE2m1(rows[i + j]!, d) | (encodeE2m1(rows[i + 16 + j]!, d) << 4);
    }
  },
  decode([bytes], out) {
    for (let i = 0, p = 0; i < out.length; i += WEIGHTS, p += BYTES) {
      const d = halfScale(bytes![p]!);
      for (let j = 0; j < 16; j++) {
        const codes = bytes![p + 1 + j]!;
        out[i + j] = decodeE2m1(codes & 15, d);
        out[i + 16 + j] = decodeE2m1(codes >> 4, d);
      }
    }
  },
};
