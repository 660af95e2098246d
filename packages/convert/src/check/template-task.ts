// Runs in the engine's process, which can be ended: a stranger's template may loop for ever, or fill the memory.
import type { EngineTask } from "@fewbit/core";
import { Template } from "@huggingface/jinja";
import type { Conversation } from "./conversations.js";

export interface TemplateInput {
  readonly template: string;
  readonly conversations: readonly Conversation[];
  /** By their names in templates: `bos_token`. */
  readonly tokens: Readonly<Record<string, string>>;
}

/** A conversation as the template has it, or why the template refuses it. */
export type Rendering = { readonly text: string } | { readonly refused: string };

const task: EngineTask<TemplateInput, Rendering> = function* (_, { template, conversations, tokens }) {
  const parsed = new Template(template);
  for (const { messages, prompt } of conversations)
    try {
      yield { text: parsed.render({ messages: [...messages], add_generation_prompt: prompt, ...tokens }) };
    } catch (thrown) {
      yield { refused: thrown instanceof Error ? thrown.message : String(thrown) };
    }
};

export default task;
