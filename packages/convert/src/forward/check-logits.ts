import { type Engine, FewbitError, isFewbitError, type ReadStored, type Registry } from "@fewbit/core";
import { type Checkpoint, readRequired } from "../checkpoint.js";
import { readConfig } from "../config.js";
import { countWeights } from "../model-id.js";
import type { Batch } from "./batch.js";
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
 * What may be put down to rounding, as a part of the range of the logits. llama.cpp keeps keys and values in 16 bits,
 * which alone moves logits by some ten-thousandths of it.
 */
const TOLERANCE = 2e-3;

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
  /** Some English when absent. Of each text only the beginning is read. */
  readonly texts?: readonly string[];
  /** Weights that a model may have at most; 150 million when absent. */
  readonly limit?: number;
  readonly signal?: AbortSignal;
}

/** How far llama.cpp's logits of a converted file are from those of the checkpoint. */
export type LogitsCheck =
  | {
      readonly checked: true;
      /** Of models that make vectors and no logits: what enters their last layer. */
      readonly compared: "logits" | "vectors";
      /** Whether the difference is no more than what rounding makes. */
      readonly agrees: boolean;
      readonly texts: number;
      readonly tokens: number;
      /** Largest difference of a logit, and the root of the mean of all squared. */
      readonly max: number;
      readonly rms: number;
      /** `max` as a part of the range that the logits have. */
      readonly maxRelative: number;
      /** Such as `llama.cpp v0.5.0 (haswell)`. */
      readonly engine: string;
    }
  | { readonly checked: false /** A sentence. */; readonly reason: string };

/**
 * Compares the logits that an engine computes from a converted file with those of an independent computation from the
 * checkpoint itself, after every token of a few texts. Of encoders, the vectors that enter their last layer.
 *
 * @throws `E_CHECKPOINT`; `E_MODEL_MISMATCH` where the vocabularies differ; `E_LOGITS` where the file puts out NaN or
 *   infinity; what the engine throws
 */
export async function checkLogits(request: LogitsRequest): Promise<LogitsCheck> {
  const { checkpoint, limit = LIMIT } = request;
  const { files, model } = checkpoint;
  const settings = await readRequired(files, "config.json");
  const bare = readConfig(settings, files.path("config.json"));
  const [className = ""] = bare.strings("architectures");
  const compared = forwardGives(bare);
  if (compared === undefined)
    return { checked: false, reason: `There is no independent computation of ${className}.` };
  const weights = countWeights(model.tensors).total;
  if (weights > limit)
    return {
      checked: false,
      reason: `The model has ${millions(weights)} weights; logits are checked of up to ${millions(limit)}.`,
    };

  const { value: architecture } = request.registry.architecture(className);
  const config = readConfig(settings, files.path("config.json"), architecture.defaults);
  const theirs = await valuesOfFile(
    request,
    compared === "logits" ? undefined : `blk.${config.layers - 1}.attn_q.weight`,
  );
  try {
    const prompts = theirs.map(({ tokens }) => tokens);
    const ours = await forward({ model, config, read: request.read, prompts });
    return compare(ours, theirs, request.path, compared);
  } catch (thrown) {
    if (!isFewbitError(thrown, "E_ARCHITECTURE")) throw thrown;
    return { checked: false, reason: thrown.message };
  }
}

const millions = (count: number): string => `${Math.round(count / 1e6)} million`;

async function valuesOfFile(
  { engine, path, texts = TEXTS, signal }: LogitsRequest,
  inputsOf: string | undefined,
): Promise<LogitsStep[]> {
  const task = { url: new URL("./logits-task.js", import.meta.url).href };
  const input: LogitsInput = {
    path,
    texts,
    longest: LONGEST,
    ...(inputsOf === undefined ? {} : { inputsOf }),
  };
  const steps: LogitsStep[] = [];
  for await (const step of engine.run<LogitsStep>(task, input, signal === undefined ? {} : { signal }))
    steps.push(step);
  return steps;
}

function compare(
  ours: Batch,
  theirs: readonly LogitsStep[],
  path: string,
  compared: "logits" | "vectors",
): LogitsCheck {
  const tokens = theirs.reduce((sum, step) => sum + step.tokens.length, 0);
  const count = theirs.reduce((sum, step) => sum + step.values.length, 0);
  if (count !== ours.values.length)
    throw new FewbitError(
      "E_MODEL_MISMATCH",
      `After each token the file gives ${count / tokens} numbers; the checkpoint gives ${ours.width}.`,
      { file: path },
      "Convert the checkpoint again.",
    );
  let at = 0;
  let max = 0;
  let squares = 0;
  let lowest = Number.POSITIVE_INFINITY;
  let highest = Number.NEGATIVE_INFINITY;
  for (const { values } of theirs)
    for (const value of values) {
      if (!Number.isFinite(value))
        throw new FewbitError(
          "E_LOGITS",
          `The converted file puts out ${value}.`,
          { file: path },
          "Check the checkpoint for weights that are not finite.",
        );
      const own = ours.values[at++]!;
      const difference = Math.abs(own - value);
      max = Math.max(max, difference);
      squares += difference ** 2;
      lowest = Math.min(lowest, own);
      highest = Math.max(highest, own);
    }
  const maxRelative = max === 0 ? 0 : max / (highest - lowest);
  return {
    checked: true,
    compared,
    agrees: maxRelative <= TOLERANCE,
    texts: theirs.length,
    tokens,
    max,
    rms: Math.sqrt(squares / count),
    maxRelative,
    engine: theirs[0]!.engine,
  };
}
