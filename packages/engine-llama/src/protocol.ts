import type { Failure } from "@fewbit/core";
import type { Build } from "./builds.js";

/** First message to the engine's process. */
export interface Start {
  readonly build: Build;
  readonly task: string;
  readonly input: unknown;
}

/** Every later one: the loop has taken a value. */
export type Taken = "taken";

/** What comes back. After `done` or `failure` nothing follows. */
export type Answer = { readonly value: unknown } | { readonly done: true } | { readonly failure: Failure };

/** Values on the way or waiting to be taken: a task that yields faster than it is read has to wait. */
export const WINDOW = 32;
