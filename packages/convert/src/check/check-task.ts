// Runs in the engine's process: what llama.cpp's tokenizer makes of texts, and its chat template of conversations.
import type { EngineTask } from "@fewbit/core";
import type { Conversation } from "./conversations.js";

/** What the engine's process is asked. */
export interface CheckInput {
  readonly model: string;
  readonly texts: readonly string[];
  /** Whether texts get the tokens that they begin and end with. */
  readonly special: boolean;
  readonly conversations: readonly Conversation[];
}

/** First the engine, then token numbers text by text, so that it is known which text ended the process. */
export type CheckStep =
  | { readonly engine: string; readonly vocabulary: number }
  | { readonly ids: Int32Array }
  /** In the order of the conversations; undefined where llama.cpp has no such template. */
  | { readonly rendered: readonly (string | undefined)[] };

const task: EngineTask<CheckInput, CheckStep> = function* (host, { model: path, ...input }) {
  const model = host.load(path, { vocabularyOnly: true });
  yield { engine: host.version, vocabulary: model.vocabulary };
  // Before the texts, one of which may end the process.
  yield {
    rendered: input.conversations.map(({ messages, prompt }) => model.applyTemplate(messages, prompt)),
  };
  for (const text of input.texts) yield { ids: model.tokenize(text, input.special, true) };
  model.close();
};

export default task;
