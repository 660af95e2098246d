import { definePlugin } from "@fewbit/core";
import { blockScheme } from "@fewbit/core/kernel";
import pkg from "../package.json" with { type: "json" };
import { wasm } from "./kernel.gen.js";

// minSqnr: encoded and decoded 1024 rows of 1024 weights of N(0,1), less 0.3 dB.

const f32 = blockScheme(
  {
    id: "F32",
    summary: "Single precision: the weights as they are.",
    symmetry: "none",
    importance: "ignored",
    minSqnr: 1000, // nothing is lost, so that any number is kept
    elements: 1,
    bytes: 4,
    scales: [{ at: 0, type: "F32" }],
  },
  wasm,
);

const f16 = blockScheme(
  {
    id: "F16",
    summary: "IEEE half precision, rounded to nearest even.",
    symmetry: "none",
    importance: "ignored",
    minSqnr: 73.3,
    elements: 1,
    bytes: 2,
    scales: [{ at: 0, type: "F16" }],
  },
  wasm,
);

const bf16 = blockScheme(
  {
    id: "BF16",
    summary: "The upper half of single precision, rounded to nearest even.",
    symmetry: "none",
    importance: "ignored",
    minSqnr: 55.2,
    elements: 1,
    bytes: 2,
    scales: [{ at: 0, type: "BF16" }],
  },
  wasm,
);

const mxfp4 = blockScheme(
  {
    id: "MXFP4",
    summary: "OCP microscaling: 32 four-bit floats share a power-of-two scale.",
    symmetry: "symmetric",
    importance: "ignored",
    minSqnr: 18.4,
    elements: 32,
    bytes: 1 + 16,
    scales: [{ at: 0, type: "E8M0" }],
  },
  wasm,
);

const nvfp4 = blockScheme(
  {
    id: "NVFP4",
    summary: "64 four-bit floats, an eight-bit float scale for every 16 of them.",
    symmetry: "symmetric",
    importance: "ignored",
    minSqnr: 20.1,
    elements: 64,
    bytes: 4 + 32,
    scales: [
      { at: 0, type: "UE4M3" },
      { at: 1, type: "UE4M3" },
      { at: 2, type: "UE4M3" },
      { at: 3, type: "UE4M3" },
    ],
  },
  wasm,
);

export default definePlugin({
  api: 1,
  name: "@fewbit/scheme-float",
  version: pkg.version,
  module: import.meta.url,
  schemes: [f32, f16, bf16, mxfp4, nvfp4],
});
