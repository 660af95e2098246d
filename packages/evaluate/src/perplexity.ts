import type { Engine } from "@fewbit/core";
import type { LoadedModel } from "./loaded-model.js";
import type { PerplexityInput, PerplexityStep } from "./perplexity-task.js";
import { type ProtocolOptions, settingsOf } from "./protocol.js";
import { addSums, type Estimate, exponentialOf, meanOf, NO_SUMS, type Sums } from "./statistics.js";

/** A model, a text, and who computes. */
export interface PerplexityRequest extends ProtocolOptions {
  readonly engine: Engine;
  /** Path of a file that the engine loads; the first where there are several. */
  readonly model: string;
  readonly text: string;
  /** Windows that overlap, each this many tokens after the one before; chunks side by side when absent. */
  readonly stride?: number;
  readonly signal?: AbortSignal;
}

/** How far it is. */
export interface PerplexityProgress {
  /** Chunks that are done, and all of them. */
  readonly chunk: number;
  readonly chunks: number;
  /** Of the chunks that are done; NaN before the first. */
  readonly perplexity: number;
}

/** One chunk of the text. */
export interface ChunkPerplexity {
  /** Mean of -ln p of its scored tokens, in nats. */
  readonly loss: number;
  /** Of this chunk and all before it. */
  readonly perplexity: number;
}

/** What `perplexity` found. */
export interface Perplexity {
  /** e^loss, and its standard error. */
  readonly perplexity: Estimate;
  /** Mean of -ln p of all scored tokens, in nats. */
  readonly loss: Estimate;
  /** Tokens of the text, and those that were scored. */
  readonly tokens: number;
  readonly scored: number;
  /** Tokens of a chunk. With a stride llama.cpp rounds what was asked for. */
  readonly context: number;
  readonly chunks: readonly ChunkPerplexity[];
  readonly model: LoadedModel;
  /** Such as `llama.cpp v0.5.0 (haswell)`. */
  readonly engine: string;
}

/**
 * The perplexity of a text by llama-perplexity's protocol: the same chunks, the same tokens scored, the same figures.
 * Progress on the way, the result as the generator's value.
 *
 * @throws `E_USAGE`; `E_TEXT` where the text has fewer tokens than two chunks; `E_LOGITS`; what the engine throws
 */
export async function* perplexity(
  request: PerplexityRequest,
): AsyncGenerator<PerplexityProgress, Perplexity> {
  const { engine, model, text, signal, ...options } = request;
  const input: PerplexityInput = { model, text, settings: settingsOf(options) };
  const task = { url: new URL("./perplexity-task.js", import.meta.url).href };
  let start: Extract<PerplexityStep, { engine: string }> | undefined;
  let all: Sums = NO_SUMS;
  const chunks: ChunkPerplexity[] = [];
  for await (const step of engine.run<PerplexityStep>(task, input, signal === undefined ? {} : { signal })) {
    if ("engine" in step) start = step;
    else
      for (const losses of step.losses) {
        all = addSums(all, losses);
        chunks.push({
          loss: losses.sum / losses.count,
          perplexity: Math.exp(all.sum / all.count),
        });
      }
    yield {
      chunk: chunks.length,
      chunks: start!.chunks,
      perplexity: chunks.at(-1)?.perplexity ?? Number.NaN,
    };
  }
  const { tokens, size, ...found } = start!;
  const loss = meanOf(all);
  return {
    ...found,
    perplexity: exponentialOf(loss),
    loss,
    tokens,
    scored: all.count,
    context: size,
    chunks,
  };
}
