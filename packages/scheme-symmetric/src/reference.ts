// Every type in plain TypeScript, written to be read. The kernels produce the same bytes.
import type { Codec } from "@fewbit/core";
import { q8_0 } from "./reference/q8_0.js";

/** By scheme id. */
export const reference: ReadonlyMap<string, Codec> = new Map([["Q8_0", q8_0]]);
