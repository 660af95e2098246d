// The schemes of this package in plain TypeScript: to read, to check the kernels with, to learn from. Slow.
import type { Codec } from "@fewbit/core";
import { bf16 } from "./reference/bf16.js";
import { f16 } from "./reference/f16.js";
import { f32 } from "./reference/f32.js";
import { mxfp4 } from "./reference/mxfp4.js";
import { nvfp4 } from "./reference/nvfp4.js";

/** By scheme id. */
export const reference: ReadonlyMap<string, Codec> = new Map<string, Codec>([
  ["F32", f32],
  ["F16", f16],
  ["BF16", bf16],
  ["MXFP4", mxfp4],
  ["NVFP4", nvfp4],
]);
