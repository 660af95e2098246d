// Types whose blocks store a scale and a minimum: weight ≈ scale · level + minimum.
import { definePlugin } from "@fewbit/core";
import { blockScheme } from "@fewbit/core/kernel";
import pkg from "../package.json" with { type: "json" };
import { wasm } from "./kernel.gen.js";

// minSqnr: 64 rows of 4096 weights of N(0,1) encoded without importance and decoded, less 0.3 dB.

const q4_1 = blockScheme(
  {
    id: "Q4_1",
    summary: "4 bits; a scale and a minimum in half precision for every 32 weights.",
    symmetry: "asymmetric",
    importance: "used",
    minSqnr: 21.8,
    elements: 32,
    bytes: 2 + 2 + 16,
    scales: [
      { at: 0, type: "F16" },
      { at: 2, type: "F16" },
    ],
  },
  wasm,
);

const q5_1 = blockScheme(
  {
    id: "Q5_1",
    summary: "5 bits; a scale and a minimum in half precision for every 32 weights.",
    symmetry: "asymmetric",
    importance: "used",
    minSqnr: 28.2,
    elements: 32,
    bytes: 2 + 2 + 4 + 16,
    scales: [
      { at: 0, type: "F16" },
      { at: 2, type: "F16" },
    ],
  },
  wasm,
);

const q2_k = blockScheme(
  {
    id: "Q2_K",
    summary: "2 bits in super-blocks of 256; a four-bit scale and minimum for every 16 weights.",
    symmetry: "asymmetric",
    importance: "used",
    minSqnr: 10.3,
    elements: 256,
    bytes: 16 + 64 + 2 + 2,
    scales: [
      { at: 80, type: "F16" },
      { at: 82, type: "F16" },
    ],
  },
  wasm,
);

const q4_k = blockScheme(
  {
    id: "Q4_K",
    summary: "4 bits in super-blocks of 256; a six-bit scale and minimum for every 32 weights.",
    symmetry: "asymmetric",
    importance: "used",
    minSqnr: 22.7,
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
    summary: "5 bits in super-blocks of 256; a six-bit scale and minimum for every 32 weights.",
    symmetry: "asymmetric",
    importance: "used",
    minSqnr: 28.6,
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
  schemes: [q4_1, q5_1, q2_k, q4_k, q5_k],
});
