import type { EngineModel } from "@fewbit/core";

/** What a loaded model says of itself. */
export interface LoadedModel {
  /** In the engine's own words. */
  readonly description: string;
  readonly parameters: number;
  /** Of its tensors. */
  readonly bytes: number;
  /** Number of tokens. */
  readonly vocabulary: number;
  /** Tokens of the longest context it was trained with. */
  readonly trainedContext: number;
}

export const loadedModel = ({
  description,
  parameters,
  bytes,
  vocabulary,
  trainedContext,
}: EngineModel): LoadedModel => ({ description, parameters, bytes, vocabulary, trainedContext });
