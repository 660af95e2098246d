import { Template } from "@huggingface/jinja";
import type { Definition } from "../tokenizer/definition.js";
import { namedToken } from "../tokenizer/definition.js";
import type { Json } from "../tokenizer/json.js";

export interface Conversation {
  readonly name: string;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  /** Whether the beginning of an answer follows. */
  readonly prompt: boolean;
}

const question = { role: "user", content: "What is 2 + 2?" };
const answer = { role: "assistant", content: "4. Ask me another!" };
const next = { role: "user", content: '  Why?\n\nSay it in "German": warum <b>&</b> 😀' };

/** Conversations that templates may treat differently. */
export const conversations: readonly Conversation[] = [
  { name: "a question", messages: [question], prompt: true },
  {
    name: "instructions and a question",
    messages: [{ role: "system", content: "You are terse." }, question],
    prompt: true,
  },
  { name: "three turns", messages: [question, answer, next], prompt: true },
  { name: "a finished conversation", messages: [question, answer], prompt: false },
];

/** A conversation as the source's template has it, or why the template refuses it. */
export function render(
  template: Template,
  { messages, prompt }: Conversation,
  definition: Definition,
): { readonly text: string } | { readonly refused: string } {
  const token = (role: string): string => namedToken(definition, role) ?? "";
  try {
    const text = template.render({
      messages: messages.map((message) => ({ ...message })),
      add_generation_prompt: prompt,
      bos_token: token("bos"),
      eos_token: token("eos"),
      unk_token: token("unk"),
      pad_token: token("pad"),
    });
    return { text };
  } catch (thrown) {
    return { refused: thrown instanceof Error ? thrown.message : String(thrown) };
  }
}

/** @throws `E_TOKENIZER` */
export function parseTemplate(text: string, at: Json): Template {
  try {
    return new Template(text);
  } catch (cause) {
    throw at.error(
      `The chat template is malformed: ${cause instanceof Error ? cause.message : String(cause)}.`,
      "Download the tokenizer's files again; the template must be one that the transformers library can render.",
    );
  }
}
