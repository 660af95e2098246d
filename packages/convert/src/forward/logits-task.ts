// Runs in the engine's process: what the converted file says after each token of some texts.
import type { EngineTask } from "@fewbit/core";

export interface LogitsInput {
  /** Path of the converted file. */
  readonly path: string;
  readonly texts: readonly string[];
  /** Tokens of a text at most. */
  readonly longest: number;
}

/** One text. */
export interface LogitsStep {
  readonly engine: string;
  readonly tokens: Int32Array;
  /** A row of the vocabulary's size for each token. */
  readonly logits: Float32Array;
}

const task: EngineTask<LogitsInput, LogitsStep> = function* (host, { path, texts, longest }) {
  const model = host.load(path);
  const context = model.context({ size: longest });
  for (const text of texts) {
    const tokens = model.tokenize(text, true, false).slice(0, longest);
    context.clear();
    context.decode({ tokens, logits: new Uint8Array(tokens.length).fill(1) });
    const logits = new Float32Array(tokens.length * model.vocabulary);
    for (let i = 0; i < tokens.length; i++) logits.set(context.logits(i), i * model.vocabulary);
    yield { engine: host.version, tokens, logits };
  }
};

export default task;
