// Every type in plain TypeScript, written to be read. The kernels produce the same bytes.
import type { Codec } from "@fewbit/core";

/** By scheme id. */
export const reference: ReadonlyMap<string, Codec> = new Map();
