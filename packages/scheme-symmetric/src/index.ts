import { definePlugin } from "@fewbit/core";
import { blockScheme } from "@fewbit/core/kernel";
import pkg from "../package.json" with { type: "json" };
import { wasm } from "./kernel.gen.js";

// minSqnr: 4096 rows of 1024 standard normal weights, encoded and decoded without importance, less 0.3 dB.
const schemes = [
  blockScheme(
    {
      id: "Q8_0",
      summary: "8-bit levels and a half-precision scale for every 32 weights.",
      symmetry: "symmetric",
      importance: "ignored",
      minSqnr: 45.1,
      elements: 32,
      bytes: 2 + 32,
      scales: [{ at: 0, type: "F16" }],
    },
    wasm,
  ),
  blockScheme(
    {
      id: "Q6_K",
      summary: "6-bit levels, an 8-bit scale for every 16 weights and a half-precision factor for every 256.",
      symmetry: "symmetric",
      importance: "used",
      minSqnr: 34.7,
      elements: 256,
      bytes: 128 + 64 + 16 + 2,
      scales: [{ at: 128 + 64 + 16, type: "F16" }],
    },
    wasm,
  ),
  blockScheme(
    {
      id: "Q5_0",
      summary: "5-bit levels and a half-precision scale for every 32 weights.",
      symmetry: "symmetric",
      importance: "used",
      minSqnr: 27.1,
      elements: 32,
      bytes: 2 + 4 + 16,
      scales: [{ at: 0, type: "F16" }],
    },
    wasm,
  ),
  blockScheme(
    {
      id: "Q4_0",
      summary: "4-bit levels and a half-precision scale for every 32 weights.",
      symmetry: "symmetric",
      importance: "used",
      minSqnr: 21,
      elements: 32,
      bytes: 2 + 16,
      scales: [{ at: 0, type: "F16" }],
    },
    wasm,
  ),
  blockScheme(
    {
      id: "Q3_K",
      summary: "3-bit levels, a 6-bit scale for every 16 weights and a half-precision factor for every 256.",
      symmetry: "symmetric",
      importance: "used",
      minSqnr: 16.1,
      elements: 256,
      bytes: 32 + 64 + 12 + 2,
      scales: [{ at: 32 + 64 + 12, type: "F16" }],
    },
    wasm,
  ),
  blockScheme(
    {
      id: "Q2_0",
      summary: "2-bit levels and a half-precision scale for every 64 weights.",
      symmetry: "symmetric",
      importance: "ignored",
      minSqnr: 2.5,
      elements: 64,
      bytes: 2 + 16,
      scales: [{ at: 0, type: "F16" }],
    },
    wasm,
  ),
  blockScheme(
    {
      id: "Q1_0",
      summary: "Signs and a half-precision scale for every 128 weights.",
      symmetry: "symmetric",
      importance: "ignored",
      minSqnr: 4.1,
      elements: 128,
      bytes: 2 + 16,
      scales: [{ at: 0, type: "F16" }],
    },
    wasm,
  ),
  blockScheme(
    {
      id: "TQ2_0",
      summary: "Ternary levels in 2 bits and a half-precision scale for every 256 weights.",
      symmetry: "symmetric",
      importance: "ignored",
      minSqnr: 1.5,
      elements: 256,
      bytes: 64 + 2,
      scales: [{ at: 64, type: "F16" }],
    },
    wasm,
  ),
  blockScheme(
    {
      id: "TQ1_0",
      summary: "Ternary levels, five to a byte, and a half-precision scale for every 256 weights.",
      symmetry: "symmetric",
      importance: "ignored",
      minSqnr: 1.5,
      elements: 256,
      bytes: 48 + 4 + 2,
      scales: [{ at: 48 + 4, type: "F16" }],
    },
    wasm,
  ),
];

export default definePlugin({
  api: 1,
  name: "@fewbit/scheme-symmetric",
  version: pkg.version,
  module: import.meta.url,
  schemes,
});
