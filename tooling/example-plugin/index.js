// A scheme of your own. The bytes are GGUF's Q8_0, a half-precision scale and 32 signed bytes per block, so every
// program that reads GGUF reads them; the scales are powers of two, so decoding only changes exponents.
import { definePlugin, floatTypes } from "@fewbit/core";
import { blockLayout } from "@fewbit/core/kernel";

const BLOCK = 32;
const BYTES = 2 + BLOCK;

/** 2^exponent as half-precision bits: nothing below 2^-24, infinity above 2^15. */
const half = (exponent) =>
  exponent > 15 ? 0x7c00 : exponent < -24 ? 0 : exponent < -14 ? 1 << (exponent + 24) : (exponent + 15) << 10;

const codec = {
  encode(rows, [out]) {
    for (let b = 0; b * BLOCK < rows.length; b++) {
      const block = rows.subarray(b * BLOCK, (b + 1) * BLOCK);
      const exponent = Math.ceil(Math.log2(Math.max(...block.map(Math.abs)) / 127));
      out.set([half(exponent) & 255, half(exponent) >> 8], b * BYTES);
      for (let i = 0; i < BLOCK; i++)
        out[b * BYTES + 2 + i] = exponent < -24 ? 0 : Math.min(127, Math.round(block[i] / 2 ** exponent));
    }
  },
  decode([bytes], out) {
    const scale = new Float32Array(1);
    for (let i = 0; i < out.length; i++) {
      const at = Math.floor(i / BLOCK) * BYTES;
      floatTypes.get("F16").decode(bytes.slice(at, at + 2), scale);
      out[i] = scale[0] * ((bytes[at + 2 + (i % BLOCK)] << 24) >> 24);
    }
  },
  // Scales that are infinite or NaN: a weight was too large, or the file is damaged. fewbit then refuses.
  invalid([bytes]) {
    for (let b = 0; b * BYTES < bytes.length; b++)
      if ((bytes[b * BYTES + 1] & 0x7c) === 0x7c) return b * BLOCK;
    return -1;
  },
};

export default definePlugin({
  api: 1,
  name: "fewbit-scheme-example",
  version: "1.0.0",
  module: import.meta.url,
  schemes: [
    {
      id: "Q8_0",
      summary: "8 bits per weight and a power of two per 32",
      symmetry: "symmetric",
      granularity: "block",
      importance: "ignored",
      passes: 1,
      minSqnr: 38,
      layout: blockLayout(BLOCK, BYTES),
      load: async () => codec,
    },
  ],
});
