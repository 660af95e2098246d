// NVFP4: four sub-blocks of 16 weights; first their four scales (UE4M3), then 8 bytes of codes for each: weight j low,
// weight j + 8 high.
import type { Codec } from "@fewbit/core";
import { decodeE2m1, encodeE2m1, largest } from "./e2m1.js";

const WEIGHTS = 64;
const SUB_BLOCKS = 4;
const BYTES = SUB_BLOCKS + WEIGHTS / 2;

/** The largest UE4M3, 448: exponent 15, mantissa 6. Mantissa 7 would be its NaN. */
const LARGEST = 0x7e;

/** exponent 4, bias 7 | mantissa 3; half rounds up, from 256 on all is 448. */
function encodeScale(x: number): number {
  if (x < 2 ** -6) return Math.min(Math.floor(Math.fround(x * 512 + 0.5)), 7);
  if (x >= 256) return LARGEST;
  const exponent = Math.floor(Math.log2(x));
  const mantissa = Math.floor((x / 2 ** exponent - 1) * 8 + 0.5); // 8 carries into the exponent
  const code = ((exponent + 7) << 3) + mantissa;
  return code < 15 << 3 ? code : LARGEST;
}

/** Half the scale; the NaN counts as zero. */
function halfScale(code: number): number {
  if (code === 0x7f) return 0;
  const exponent = (code >> 3) & 15;
  const mantissa = code & 7;
  return exponent === 0 ? mantissa * 2 ** -10 : (8 + mantissa) * 2 ** (exponent - 11);
}

export const nvfp4: Codec = {
  encode(rows, [out]) {
    for (let i = 0, p = 0; i < rows.length; i += WEIGHTS, p += BYTES)
      for (let s = 0; s < SUB_BLOCKS; s++) {
        const first = i + s * 16;
        // 6 is E2M1's largest value.
        const scale = encodeScale(Math.fround(largest(rows, first, 16) / 6));
        const d = halfScale(scale);
        out![p + s] = scale;
        for (let j = 0; j < 8; j++)
          out![p + SUB_BLOCKS + s * 8 + j] =
            encodeE2m1(rows[first + j]!, d) | (encodeE2m1(rows[first + 8 + j]!, d) << 4);
      }
  },
  decode([bytes], out) {
    for (let i = 0, p = 0; i < out.length; i += WEIGHTS, p += BYTES)
      for (let s = 0; s < SUB_BLOCKS; s++) {
        const d = halfScale(bytes![p + s]!);
        for (let j = 0; j < 8; j++) {
          const codes = bytes![p + SUB_BLOCKS + s * 8 + j]!;
          out[i + s * 16 + j] = decodeE2m1(codes & 15, d);
          out[i + s * 16 + 8 + j] = decodeE2m1(codes >> 4, d);
        }
      }
  },
};
