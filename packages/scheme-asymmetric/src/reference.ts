// Every type in plain TypeScript, written to be read. The kernels produce the same bytes.
import type { Codec } from "@fewbit/core";
import { q2_k } from "./reference/q2_k.js";
import { q4_1 } from "./reference/q4_1.js";
import { q4_k } from "./reference/q4_k.js";
import { q5_1 } from "./reference/q5_1.js";
import { q5_k } from "./reference/q5_k.js";

/** By scheme id. */
export const reference: ReadonlyMap<string, Codec> = new Map([
  ["Q4_1", q4_1],
  ["Q5_1", q5_1],
  ["Q2_K", q2_k],
  ["Q4_K", q4_k],
  ["Q5_K", q5_k],
]);
