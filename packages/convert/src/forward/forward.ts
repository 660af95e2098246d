import { type Config, FewbitError, type Model, type ReadStored } from "@fewbit/core";
import type { Batch } from "./batch.js";
import { type Decoder, decode } from "./decoder.js";
import { bert, distilBert, encode, roberta } from "./families/bert.js";
import { gemma2, gemma3 } from "./families/gemma.js";
import { gptOss } from "./families/gpt-oss.js";
import { gpt2 } from "./families/gpt2.js";
import { llama } from "./families/llama.js";
import { olmo2 } from "./families/olmo2.js";
import { phi3 } from "./families/phi3.js";
import { starcoder2 } from "./families/starcoder2.js";
import { type Weights, weightsOf } from "./weights.js";

type DecoderFamily = (w: Weights, config: Config, longest: number) => Decoder;

/** By the class that config.json names under `architectures`. */
const decoders: ReadonlyMap<string, DecoderFamily> = new Map([
  ["LlamaForCausalLM", llama],
  ["LLaMAForCausalLM", llama],
  ["MistralForCausalLM", llama],
  ["MixtralForCausalLM", llama],
  ["Qwen2ForCausalLM", llama],
  ["Qwen2Model", llama],
  ["Qwen2MoeForCausalLM", llama],
  ["Qwen3ForCausalLM", llama],
  ["Qwen3Model", llama],
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

/** As above, of those that make vectors. */
const encoders: ReadonlyMap<string, typeof bert> = new Map([
  ["BertModel", bert],
  ["BertForMaskedLM", bert],
  ["RobertaModel", roberta],
  ["RobertaForMaskedLM", roberta],
  ["XLMRobertaModel", roberta],
  ["XLMRobertaForMaskedLM", roberta],
  ["DistilBertModel", distilBert],
  ["DistilBertForMaskedLM", distilBert],
]);

/** What `forward` computes of a model with this config: nothing where it does not know the architecture. */
export function forwardGives(config: Config): "logits" | "vectors" | undefined {
  const name = architectureOf(config);
  return decoders.has(name) ? "logits" : encoders.has(name) ? "vectors" : undefined;
}

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
 * the rules of the transformers library in double precision, with nothing of the conversion in between. Of an encoder,
 * the vectors that enter its last layer.
 *
 * Plain and slow: for small models.
 *
 * @throws `E_ARCHITECTURE` where `forwardGives` nothing; `E_CHECKPOINT` where a tensor is missing
 */
export async function forward({ model, config, read, prompts }: ForwardRequest): Promise<Batch> {
  const name = architectureOf(config);
  const weights = weightsOf(model, read, prefixedBy(model));
  const decoder = decoders.get(name);
  const longest = Math.max(...prompts.map((prompt) => prompt.length));
  if (decoder !== undefined) return decode(weights, decoder(weights, config, longest), prompts);
  const encoder = encoders.get(name);
  if (encoder !== undefined) return encode(weights, encoder(config), prompts);
  throw new FewbitError(
    "E_ARCHITECTURE",
    `There is no independent computation of ${name || "a model without a named architecture"}.`,
    { key: "architectures" },
    "Leave the check of the logits out.",
  );
}

/** Models that see as well keep what reads and writes text under a name of its own; those for embeddings under none. */
function prefixedBy(model: Model): (name: string) => string {
  const names = new Set(model.tensors.map(({ name }) => name));
  if (names.has("language_model.model.embed_tokens.weight")) return (name) => `language_model.${name}`;
  if (names.has("model.language_model.embed_tokens.weight"))
    return (name) => name.replace(/^model\./, "model.language_model.");
  if (names.has("embed_tokens.weight")) return (name) => name.replace(/^model\./, "");
  return (name) => name;
}
