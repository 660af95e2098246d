import { type Config, FewbitError, type Model, type ReadStored } from "@fewbit/core";
import type { Batch } from "./batch.js";
import { type Decoder, decode } from "./decoder.js";
import { gemma2, gemma3 } from "./families/gemma.js";
import { gptOss } from "./families/gpt-oss.js";
import { gpt2 } from "./families/gpt2.js";
import { llama } from "./families/llama.js";
import { olmo2 } from "./families/olmo2.js";
import { phi3 } from "./families/phi3.js";
import { starcoder2 } from "./families/starcoder2.js";
import { type Weights, weightsOf } from "./weights.js";

type Family = (w: Weights, config: Config, longest: number) => Decoder;

/** By the class that config.json names under `architectures`. */
const families: ReadonlyMap<string, Family> = new Map([
  ["LlamaForCausalLM", llama],
  ["MistralForCausalLM", llama],
  ["MixtralForCausalLM", llama],
  ["Qwen2ForCausalLM", llama],
  ["Qwen2MoeForCausalLM", llama],
  ["Qwen3ForCausalLM", llama],
  ["Qwen3MoeForCausalLM", llama],
  ["Gemma2ForCausalLM", gemma2],
  ["Gemma3ForCausalLM", gemma3],
  ["Gemma3ForConditionalGeneration", gemma3],
  ["Phi3ForCausalLM", phi3],
  ["GPT2LMHeadModel", gpt2],
  ["Starcoder2ForCausalLM", starcoder2],
  ["Olmo2ForCausalLM", olmo2],
  ["GptOssForCausalLM", gptOss],
]);

/** Whether `forward` can compute a model of this config. */
export const canForward = (config: Config): boolean => families.has(architectureOf(config));

const architectureOf = (config: Config): string => config.strings("architectures")[0] ?? "";

export interface ForwardRequest {
  /** The checkpoint as it was opened: its own names and its own weights. */
  readonly model: Model;
  /** Its config.json. */
  readonly config: Config;
  readonly read: ReadStored;
  /** Token ids. */
  readonly prompts: readonly ArrayLike<number>[];
}

/**
 * What the model says after each token of each prompt, one prompt after another: logits, computed from the checkpoint by
 * the rules of the transformers library in double precision, with nothing of the conversion in between.
 *
 * Plain and slow: for small models.
 *
 * @throws `E_ARCHITECTURE` where `canForward` is false; `E_CHECKPOINT` where a tensor is missing
 */
export async function forward({ model, config, read, prompts }: ForwardRequest): Promise<Batch> {
  const family = families.get(architectureOf(config));
  if (family === undefined)
    throw new FewbitError(
      "E_ARCHITECTURE",
      `There is no independent computation for ${architectureOf(config) || "a model without a named architecture"}.`,
      { key: "architectures" },
      "Leave the check of the logits out.",
    );
  const weights = weightsOf(model, read, prefixedBy(model));
  const longest = Math.max(...prompts.map((prompt) => prompt.length));
  return decode(weights, family(weights, config, longest), prompts);
}

/** Models that see as well keep what reads and writes text under a name of its own. */
function prefixedBy(model: Model): (name: string) => string {
  const names = new Set(model.tensors.map(({ name }) => name));
  if (names.has("language_model.model.embed_tokens.weight")) return (name) => `language_model.${name}`;
  if (names.has("model.language_model.embed_tokens.weight"))
    return (name) => name.replace(/^model\./, "model.language_model.");
  return (name) => name;
}
