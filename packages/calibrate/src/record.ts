// What a matrix's file says about its making, besides what llama-imatrix writes: enough to go on from it.
import { FewbitError, type MetadataEntry } from "@fewbit/core";
import type { Collection } from "@fewbit/format-gguf";
import type { Losses } from "./perplexity.js";

const KEY = "fewbit.calibration";

/** What must be the same for a collection to be continued. */
export interface Making {
  /** In the engine's words, with its size. */
  readonly model: string;
  /** SHA-256 of the text's tokens, in hexadecimal. */
  readonly tokens: string;
  readonly contextSize: number;
  readonly fromChunk: number;
  readonly processOutput: boolean;
}

/** How far a collection is. */
export interface Progress {
  /** Chunks that were read. */
  readonly done: number;
  readonly losses?: Losses;
}

/** One key with JSON in it; llama.cpp's tools pass over it. */
export const recordOf = (making: Making, { done, losses }: Progress): MetadataEntry => ({
  key: KEY,
  type: "string",
  value: JSON.stringify({ version: 1, ...making, chunks: done, ...(losses === undefined ? {} : { losses }) }),
});

/** What was recorded, unchecked but for its kind. */
export interface Recorded {
  readonly making: Making;
  readonly progress: Progress;
}

/** @throws `E_USAGE` where the collection cannot be continued, because it does not say enough */
export function readRecord({ metadata = [] }: Collection): Recorded {
  const value = metadata.find(({ key }) => key === KEY)?.value;
  const record = typeof value === "string" ? parse(value) : undefined;
  if (record?.version !== 1)
    throw new FewbitError(
      "E_USAGE",
      "The importance matrix does not say how it was made, so it cannot be continued.",
      {},
      "Only one that fewbit calibrate has written can; others can be added to a new one with --merge.",
    );
  const { model, tokens, contextSize, fromChunk, processOutput, chunks: done, losses } = record;
  return {
    making: { model, tokens, contextSize, fromChunk, processOutput },
    progress: { done, ...(losses === undefined ? {} : { losses }) },
  };
}

type Stored = Making & { readonly version: number; readonly chunks: number; readonly losses?: Losses };

function parse(text: string): Stored | undefined {
  let value: Partial<Stored> | null;
  try {
    value = JSON.parse(text) as Partial<Stored> | null;
  } catch {
    return undefined;
  }
  const { version, model, tokens, contextSize, fromChunk, processOutput, chunks, losses } = value ?? {};
  const sound =
    version === 1 &&
    typeof model === "string" &&
    typeof tokens === "string" &&
    typeof processOutput === "boolean" &&
    [contextSize, fromChunk, chunks].every((n) => Number.isSafeInteger(n) && n! >= 0) &&
    (losses === undefined || (Number.isSafeInteger(losses?.count) && typeof losses?.sum === "number"));
  return sound ? (value as Stored) : undefined;
}

/** @throws `E_USAGE`, `E_IMATRIX_SHAPE` naming what differs */
export function refuseOther(recorded: Making, making: Making): void {
  const refuse = (code: "E_USAGE" | "E_IMATRIX_SHAPE", what: string, remedy: string): never => {
    throw new FewbitError(code, what, {}, remedy);
  };
  if (recorded.model !== making.model)
    refuse(
      "E_IMATRIX_SHAPE",
      `The importance matrix was begun with another model: ${recorded.model}, not ${making.model}.`,
      "Give the model it was begun with, or start anew.",
    );
  if (recorded.contextSize !== making.contextSize)
    refuse(
      "E_USAGE",
      `The importance matrix was begun with chunks of ${recorded.contextSize} tokens, not ${making.contextSize}.`,
      "Give the same context size, or start anew.",
    );
  if (recorded.fromChunk !== making.fromChunk)
    refuse(
      "E_USAGE",
      `The importance matrix was begun at chunk ${recorded.fromChunk}, not ${making.fromChunk}.`,
      "Begin at the same chunk, or start anew.",
    );
  if (recorded.processOutput !== making.processOutput)
    refuse(
      "E_USAGE",
      `The importance matrix was begun ${recorded.processOutput ? "with" : "without"} the output tensor.`,
      `${recorded.processOutput ? "Collect" : "Leave out"} it again, or start anew.`,
    );
  if (recorded.tokens !== making.tokens)
    refuse(
      "E_USAGE",
      "The importance matrix was begun with another text.",
      "Give the same texts in the same order, or start anew; matrices of different texts can be merged.",
    );
}
