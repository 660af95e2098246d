// Every type in plain TypeScript, written to be read. The kernels produce the same bytes.
import type { Codec } from "@fewbit/core";
import { iq4_nl } from "./reference/iq4_nl.js";
import { iq4_xs } from "./reference/iq4_xs.js";

/** By scheme id. */
export const reference: ReadonlyMap<string, Codec> = new Map([
  ["IQ4_NL", iq4_nl],
  ["IQ4_XS", iq4_xs],
]);
