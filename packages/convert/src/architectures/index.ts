import type { Architecture } from "@fewbit/core";
import { llama } from "./llama.js";

/** Every architecture that this package brings. */
export const architectures: readonly Architecture[] = [llama];
