// Types whose blocks store a scale and a minimum: weight ≈ scale · level + minimum.
import { definePlugin } from "@fewbit/core";
import { blockScheme } from "@fewbit/core/kernel";
import pkg from "../package.json" with { type: "json" };
import { wasm } from "./kernel.gen.js";

// minSqnr: 64 rows of 4096 weights of N(0,1) encoded without importance and decoded, less 0.3 dB.

const q4_k = blockScheme(
  {
    id: "Q4_K",
    summary: "4 bits in super-blocks of 256; six-bit scale and minimum for every 32 weights",
    symmetry: "asymmetric",
    importance: "used",
    minSqnr: 0,
    elements: 256,
    bytes: 2 + 2 + 12 + 128,
    scales: [
      { at: 0, type: "F16" },
      { at: 2, type: "F16" },
    ],
  },
  wasm,
);

const q5_k = blockScheme(
  {
    id: "Q5_K",
    summary: "5 bits in super-blocks of 256; six-bit scale and minimum for every 32 weights",
    symmetry: "asymmetric",
    importance: "used",
    minSqnr: 0,
    elements: 256,
    bytes: 2 + 2 + 12 + 32 + 128,
    scales: [
      { at: 0, type: "F16" },
      { at: 2, type: "F16" },
    ],
  },
  wasm,
);

export default definePlugin({
  api: 1,
  name: pkg.name,
  version: pkg.version,
  module: import.meta.url,
  schemes: [q4_k, q5_k],
});
