// Runs in the engine's process.
import type { EngineTask } from "@fewbit/core";
import { type LoadedModel, loadedModel } from "./loaded-model.js";
import { badLogits, contextOptions, Reading, type Settings } from "./protocol.js";
import { Softmax } from "./softmax.js";
import type { Sums } from "./statistics.js";

/** What the task is given. */
export interface PerplexityInput {
  readonly model: string;
  readonly text: string;
  readonly settings: Settings;
}

/** First comes what will be read, then the sums of -ln p of every chunk. */
export type PerplexityStep =
  | {
      readonly engine: string;
      readonly model: LoadedModel;
      readonly tokens: number;
      readonly size: number;
      readonly chunks: number;
    }
  | { readonly losses: readonly Sums[] };

const task: EngineTask<PerplexityInput, PerplexityStep> = async function* (host, input) {
  const { settings } = input;
  const model = host.load(
    input.model,
    settings.gpuLayers === undefined ? {} : { gpuLayers: settings.gpuLayers },
  );
  const context = model.context(contextOptions(settings));
  const reading = new Reading(model, input.text, settings, context.size);
  yield {
    engine: host.version,
    model: loadedModel(model),
    tokens: reading.tokens.length,
    size: reading.size,
    chunks: reading.count,
  };
  const softmax = await Softmax.create(model.vocabulary);
  for (const { batch, chunks } of reading.batches()) {
    context.clear();
    context.decode(batch);
    const losses = chunks.map((chunk): Sums => {
      let sum = 0;
      let squares = 0;
      chunk.targets.forEach((target, i) => {
        const logits = reading.row(context, chunk, i);
        const distribution = softmax.distribution(logits);
        if (distribution === undefined) throw badLogits(model.path, chunk, reading.from + i + 1);
        const loss = distribution.logSum - logits[target]!;
        sum += loss;
        squares += loss * loss;
      });
      return { count: chunk.targets.length, sum, squares };
    });
    yield { losses };
  }
  model.close();
};

export default task;
