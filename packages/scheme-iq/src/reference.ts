// Every type in plain TypeScript, written to be read. The kernels produce the same bytes.
import type { Codec } from "@fewbit/core";
import { iq1_m } from "./reference/iq1_m.js";
import { iq1_s } from "./reference/iq1_s.js";
import { iq2_s } from "./reference/iq2_s.js";
import { iq2_xs } from "./reference/iq2_xs.js";
import { iq2_xxs } from "./reference/iq2_xxs.js";
import { iq3_s } from "./reference/iq3_s.js";
import { iq3_xxs } from "./reference/iq3_xxs.js";
import { iq4_nl } from "./reference/iq4_nl.js";
import { iq4_xs } from "./reference/iq4_xs.js";

/** By scheme id. */
export const reference: ReadonlyMap<string, Codec> = new Map([
  ["IQ4_NL", iq4_nl],
  ["IQ4_XS", iq4_xs],
  ["IQ3_S", iq3_s],
  ["IQ3_XXS", iq3_xxs],
  ["IQ2_S", iq2_s],
  ["IQ2_XS", iq2_xs],
  ["IQ2_XXS", iq2_xxs],
  ["IQ1_M", iq1_m],
  ["IQ1_S", iq1_s],
]);
