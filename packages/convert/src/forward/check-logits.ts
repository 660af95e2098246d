import {
  type Architecture,
  type Config,
  type Engine,
  isFewbitError,
  type ReadStored,
  type Registry,
} from "@fewbit/core";
import { type Checkpoint, readRequired } from "../checkpoint.js";
import { readConfig } from "../config.js";
import { countWeights } from "../model-id.js";
import { type Difference, differenceOf, perplexities } from "./agreement.js";
import { forward, forwardGives } from "./forward.js";
import type { LogitsInput, LogitsStep } from "./logits-task.js";

/** Plain English, which every tokenizer has pieces for. */
const TEXTS = [
  "Once upon a time there was a little girl who lived in a house near the forest, and every day she",
  "The sun was going down, and nobody had seen the cat since the morning. Then",
];
/** Tokens of a text at most. */
const LONGEST = 32;
/** Weights of a model at most: some ten seconds of one core. */
const LIMIT = 150e6;
/**
 * What may be put down to rounding, as a part of the range of the logits: some ten-millionths, and some
 * ten-thousandths where llama.cpp looks GELU up in a table of 16-bit floats.
 */
const TOLERANCE = 1e-3;

/** A checkpoint, the file that it became, and who computes. */
export interface LogitsRequest {
  readonly checkpoint: Checkpoint;
  /** Brings the architecture. */
  readonly registry: Registry;
  /**
   * Path of the GGUF file that was made of the checkpoint, with all its matrices in F32: llama.cpp multiplies others
   * with inputs that it rounds first.
   */
  readonly path: string;
  readonly engine: Engine;
  /** Reads the checkpoint's weights. */
  readonly read: ReadStored;
  /** At least one; some English when absent. Of each text only the beginning is read. */
  readonly texts?: readonly string[];
  /** Tokens of a text that are read at most; 32 when absent. */
  readonly longest?: number;
  /** Weights that a model may have at most; 150 million when absent. */
  readonly limit?: number;
  readonly signal?: AbortSignal;
}

/** How far llama.cpp's logits of a converted file are from those of the checkpoint. */
export type LogitsCheck =
  | ({
      readonly checked: true;
      /** Of models that make vectors and no logits: what enters their last layer. */
      readonly compared: "logits" | "vectors";
      /** Whether the difference is no more than what rounding makes. */
      readonly agrees: boolean;
      readonly texts: number;
      readonly tokens: number;
      /** Of the texts, by the checkpoint and by the file; absent where there are no logits. */
      readonly perplexity?: { readonly checkpoint: number; readonly file: number };
      /** Such as `llama.cpp v0.5.0 (haswell)`. */
      readonly engine: string;
    } & Difference)
  | {
      readonly checked: false;
      /** A sentence. */
      readonly reason: string;
    };

/**
 * Compares the logits that an engine computes from a converted file with those of an independent computation from the
 * checkpoint itself, after every token of a few texts. Of encoders, the vectors that enter their last layer.
 *
 * @throws `E_CHECKPOINT`; `E_MODEL_MISMATCH` where the vocabularies differ; `E_LOGITS` where the file puts out NaN or
 *   infinity; what the engine throws
 */
export async function checkLogits(request: LogitsRequest): Promise<LogitsCheck> {
  const { checkpoint, registry, path, read } = request;
  const unchecked = await notChecked(request);
  if (unchecked !== undefined) return unchecked;
  const { model } = checkpoint;
  const bare = await settingsOf(checkpoint);
  const compared = forwardGives(bare)!;
  const config = await settingsOf(
    checkpoint,
    registry.architecture(bare.strings("architectures")[0]!).value.defaults,
  );
  const theirs = await valuesOfFile(
    request,
    compared === "logits" ? undefined : `blk.${config.layers - 1}.attn_q.weight`,
  );
  try {
    const prompts = theirs.map(({ tokens }) => tokens);
    const ours = await forward({ model, config, read, prompts });
    const difference = differenceOf(ours, theirs, path);
    const both = compared === "logits" ? perplexities(ours, theirs) : undefined;
    return {
      checked: true,
      compared,
      agrees: difference.maxRelative <= TOLERANCE,
      texts: theirs.length,
      tokens: ours.tokens,
      ...difference,
      ...(both === undefined ? {} : { perplexity: { checkpoint: both.ours, file: both.theirs } }),
      engine: theirs[0]!.engine,
    };
  } catch (thrown) {
    if (!isFewbitError(thrown, "E_ARCHITECTURE")) throw thrown;
    return { checked: false, reason: thrown.message };
  }
}

/** Why the logits of a checkpoint are not checked; undefined where they are. */
export async function notChecked({
  checkpoint,
  limit = LIMIT,
}: Pick<LogitsRequest, "checkpoint" | "limit">): Promise<LogitsCheck | undefined> {
  const config = await settingsOf(checkpoint);
  const weights = countWeights(checkpoint.model.tensors).total;
  const reason =
    forwardGives(config) === undefined
      ? `There is no independent computation of ${config.strings("architectures")[0] ?? "such a model"}.`
      : weights > limit
        ? `The model has ${inWords(weights)} weights; logits are checked of up to ${inWords(limit)}.`
        : undefined;
  return reason === undefined ? undefined : { checked: false, reason };
}

async function settingsOf({ files }: Checkpoint, defaults?: Architecture["defaults"]): Promise<Config> {
  return readConfig(await readRequired(files, "config.json"), files.path("config.json"), defaults);
}

const inWords = (count: number): string =>
  count < 1e6 ? `${Math.round(count / 1e3)} thousand` : `${Math.round(count / 1e6)} million`;

async function valuesOfFile(
  { engine, path, texts = TEXTS, longest = LONGEST, signal }: LogitsRequest,
  inputsOf: string | undefined,
): Promise<LogitsStep[]> {
  const task = { url: new URL("./logits-task.js", import.meta.url).href };
  const input: LogitsInput = {
    path,
    texts,
    longest,
    ...(inputsOf === undefined ? {} : { inputsOf }),
  };
  const steps: LogitsStep[] = [];
  for await (const step of engine.run<LogitsStep>(task, input, signal === undefined ? {} : { signal }))
    steps.push(step);
  return steps;
}
