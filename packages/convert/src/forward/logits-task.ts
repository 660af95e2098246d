// Runs in the engine's process: what the converted file says after each token of some texts.
import type { EngineModel, EngineTask } from "@fewbit/core";

export interface LogitsInput {
  /** Path of the converted file. */
  readonly path: string;
  readonly texts: readonly string[];
  /** Tokens of a text at most. */
  readonly longest: number;
  /** A weight whose inputs are wanted instead of logits. */
  readonly inputsOf?: string;
}

/** One text. */
export interface LogitsStep {
  readonly engine: string;
  readonly tokens: Int32Array;
  /** Logits of each token, or the input vectors. */
  readonly values: Float32Array;
}

const task: EngineTask<LogitsInput, LogitsStep> = function* (host, { path, texts, longest, inputsOf }) {
  const model = host.load(path);
  for (const text of texts) {
    const tokens = model.tokenize(text, true, false).slice(0, longest);
    const values = inputsOf === undefined ? logits(model, tokens) : inputs(model, tokens, inputsOf);
    yield { engine: host.version, tokens, values };
  }
};

function logits(model: EngineModel, tokens: Int32Array): Float32Array {
  const context = model.context({ size: tokens.length, cache: "F32", threads: 1 });
  context.decode({ tokens, logits: new Uint8Array(tokens.length).fill(1) });
  const values = new Float32Array(tokens.length * model.vocabulary);
  for (let i = 0; i < tokens.length; i++) values.set(context.logits(i), i * model.vocabulary);
  context.close();
  return values;
}

function inputs(model: EngineModel, tokens: Int32Array, weight: string): Float32Array {
  let values = new Float32Array(0);
  const context = model.context({
    size: tokens.length,
    cache: "F32",
    threads: 1,
    observe: {
      wants: (product) => product.weight === weight,
      see(activation) {
        values = activation.values.slice();
      },
    },
  });
  context.decode({ tokens, logits: new Uint8Array(tokens.length).fill(1) });
  context.close();
  return values;
}

export default task;
