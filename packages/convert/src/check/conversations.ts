import { Template } from "@huggingface/jinja";
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

/**
 * Refuses a template that cannot be read.
 * @throws `E_TOKENIZER`
 */
export function refuseMalformed(text: string, at: Json): void {
  try {
    new Template(text);
  } catch (cause) {
    throw at.error(
      `The chat template is malformed: ${cause instanceof Error ? cause.message : String(cause)}.`,
      "Download the tokenizer's files again; the template must be one that the transformers library can render.",
    );
  }
}
