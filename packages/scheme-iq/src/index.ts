import { definePlugin } from "@fewbit/core";
import { blockScheme } from "@fewbit/core/kernel";
import pkg from "../package.json" with { type: "json" };
import { wasm } from "./kernel.gen.js";

// minSqnr: 4096 rows of 1024 standard normal weights, encoded and decoded without importance (where it is required,
// with all importances 1), less 0.3 dB.
const schemes = [
  blockScheme(
    {
      id: "IQ4_NL",
      summary: "4-bit levels of unequal steps and a half-precision scale for every 32 weights.",
      symmetry: "symmetric",
      importance: "used",
      minSqnr: 22.1,
      elements: 32,
      bytes: 2 + 16,
      scales: [{ at: 0, type: "F16" }],
    },
    wasm,
  ),
  blockScheme(
    {
      id: "IQ4_XS",
      summary:
        "4-bit levels of unequal steps, a 6-bit scale for every 32 weights and a half-precision factor for every 256.",
      symmetry: "symmetric",
      importance: "used",
      minSqnr: 22,
      elements: 256,
      bytes: 2 + 2 + 4 + 128,
      scales: [{ at: 0, type: "F16" }],
    },
    wasm,
  ),
  blockScheme(
    {
      id: "IQ3_S",
      summary:
        "A codebook of 512 for every 4 weights with signs, a 4-bit scale for every 32, a half-precision factor for every 256.",
      symmetry: "symmetric",
      importance: "used",
      minSqnr: 15.3,
      elements: 256,
      bytes: 2 + 64 + 8 + 32 + 4,
      scales: [{ at: 0, type: "F16" }],
    },
    wasm,
  ),
  blockScheme(
    {
      id: "IQ3_XXS",
      summary:
        "A codebook of 256 for every 4 weights with signs, a 4-bit scale for every 32, a half-precision factor for every 256.",
      symmetry: "symmetric",
      importance: "used",
      minSqnr: 13.1,
      elements: 256,
      bytes: 2 + 64 + 32,
      scales: [{ at: 0, type: "F16" }],
    },
    wasm,
  ),
  blockScheme(
    {
      id: "IQ2_S",
      summary:
        "A codebook of 1024 for every 8 weights with signs, a 4-bit scale for every 16, a half-precision factor for every 256.",
      symmetry: "symmetric",
      importance: "used",
      minSqnr: 11.3,
      elements: 256,
      bytes: 2 + 32 + 32 + 8 + 8,
      scales: [{ at: 0, type: "F16" }],
    },
    wasm,
  ),
  blockScheme(
    {
      id: "IQ2_XS",
      summary:
        "A codebook of 512 for every 8 weights with signs, a 4-bit scale for every 16, a half-precision factor for every 256.",
      symmetry: "symmetric",
      importance: "required",
      minSqnr: 10.1,
      elements: 256,
      bytes: 2 + 64 + 8,
      scales: [{ at: 0, type: "F16" }],
    },
    wasm,
  ),
  blockScheme(
    {
      id: "IQ2_XXS",
      summary:
        "A codebook of 256 for every 8 weights with signs, a 4-bit scale for every 32, a half-precision factor for every 256.",
      symmetry: "symmetric",
      importance: "required",
      minSqnr: 9,
      elements: 256,
      bytes: 2 + 64,
      scales: [{ at: 0, type: "F16" }],
    },
    wasm,
  ),
  blockScheme(
    {
      id: "IQ1_M",
      summary:
        "Entries of a codebook of 2048 ternary points for every 8 weights, a 3-bit scale for every 16 and a half-precision factor for every 256.",
      symmetry: "symmetric",
      importance: "used",
      minSqnr: 4.4,
      elements: 256,
      bytes: 32 + 16 + 8,
      scales: [], // scattered in nibbles: the kernel looks for bad ones
    },
    wasm,
  ),
  blockScheme(
    {
      id: "IQ1_S",
      summary:
        "Entries of a codebook of 2048 ternary points for every 8 weights, a 3-bit scale for every 32 and a half-precision factor for every 256.",
      symmetry: "symmetric",
      importance: "required",
      minSqnr: 6,
      elements: 256,
      bytes: 2 + 32 + 16,
      scales: [{ at: 0, type: "F16" }],
    },
    wasm,
  ),
];

export default definePlugin({
  api: 1,
  name: "@fewbit/scheme-iq",
  version: pkg.version,
  module: import.meta.url,
  schemes,
});
