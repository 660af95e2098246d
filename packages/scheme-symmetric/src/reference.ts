// Every type in plain TypeScript, written to be read. The kernels produce the same bytes.
import type { Codec } from "@fewbit/core";
import { q1_0 } from "./reference/q1_0.js";
import { q2_0 } from "./reference/q2_0.js";
import { q3_k } from "./reference/q3_k.js";
import { q4_0 } from "./reference/q4_0.js";
import { q5_0 } from "./reference/q5_0.js";
import { q6_k } from "./reference/q6_k.js";
import { q8_0 } from "./reference/q8_0.js";
import { tq1_0 } from "./reference/tq1_0.js";
import { tq2_0 } from "./reference/tq2_0.js";

/** By scheme id. */
export const reference: ReadonlyMap<string, Codec> = new Map([
  ["Q8_0", q8_0],
  ["Q6_K", q6_k],
  ["Q5_0", q5_0],
  ["Q4_0", q4_0],
  ["Q3_K", q3_k],
  ["Q2_0", q2_0],
  ["Q1_0", q1_0],
  ["TQ2_0", tq2_0],
  ["TQ1_0", tq1_0],
]);
