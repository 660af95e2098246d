// BERT and its like: every token sees all others; learned positions, norms about the mean after each part, no logits.
import type { Config } from "@fewbit/core";
import { attend } from "../attention.js";
import { add, type Batch, map, type Text } from "../batch.js";
import { embed } from "../embedding.js";
import { activationOf } from "../feed-forward.js";
import { biasOf, dense } from "../linear.js";
import { layerNorm } from "../norm.js";
import type { Weights } from "../weights.js";

/** What differs between the families but for the computation. */
interface Encoder {
  /** Before all names. */
  readonly base: string;
  readonly layers: number;
  readonly heads: number;
  readonly epsilon: number;
  readonly activation: string;
  /** The row of the first position. */
  readonly firstPosition: number;
  /** A layer's names. */
  readonly layer: string;
  readonly query: string;
  readonly key: string;
  readonly value: string;
  readonly output: string;
  readonly attentionNorm: string;
  readonly up: string;
  readonly down: string;
  readonly lastNorm: string;
}

const bertOf = (config: Config, base: string, firstPosition = 0): Encoder => ({
  base,
  layers: config.number("num_hidden_layers"),
  heads: config.number("num_attention_heads"),
  epsilon: config.number("layer_norm_eps"),
  activation: config.string("hidden_act", "gelu"),
  firstPosition,
  layer: "encoder.layer.",
  query: "attention.self.query",
  key: "attention.self.key",
  value: "attention.self.value",
  output: "attention.output.dense",
  attentionNorm: "attention.output.LayerNorm",
  up: "intermediate.dense",
  down: "output.dense",
  lastNorm: "output.LayerNorm",
});

export const bert = (config: Config): Encoder => bertOf(config, "bert.");

/** Positions begin behind the one of padding. */
export const roberta = (config: Config): Encoder =>
  bertOf(config, "roberta.", config.number("pad_token_id") + 1);

export const distilBert = (config: Config): Encoder => ({
  base: "distilbert.",
  layers: config.number("n_layers"),
  heads: config.number("n_heads"),
  epsilon: 1e-12,
  activation: config.string("activation", "gelu"),
  firstPosition: 0,
  layer: "transformer.layer.",
  query: "attention.q_lin",
  key: "attention.k_lin",
  value: "attention.v_lin",
  output: "attention.out_lin",
  attentionNorm: "sa_layer_norm",
  up: "ffn.lin1",
  down: "ffn.lin2",
  lastNorm: "output_layer_norm",
});

/** What enters the last layer: all before it is computed. */
export async function encode(
  w: Weights,
  encoder: Encoder,
  prompts: readonly ArrayLike<number>[],
): Promise<Batch> {
  // Models without a head are stored without a name before all others.
  const base = w.has(`${encoder.base}embeddings.word_embeddings.weight`) ? encoder.base : "";
  const norm = async (x: Batch, name: string): Promise<Batch> =>
    layerNorm(x, await w.vector(`${name}.weight`), await biasOf(w, name), encoder.epsilon);
  const { batch, texts } = await embed(w, `${base}embeddings.word_embeddings.weight`, prompts);
  await addPositions(w, batch, texts, `${base}embeddings.`, encoder.firstPosition);
  let x = await norm(batch, `${base}embeddings.LayerNorm`);
  const act = activationOf(encoder.activation);
  for (let index = 0; index < encoder.layers - 1; index++) {
    const p = `${base}${encoder.layer}${index}.`;
    const middle = await norm(add(await attention(w, x, p, texts, encoder), x), p + encoder.attentionNorm);
    const fed = map(await dense(w, middle, p + encoder.up), act);
    x = await norm(add(await dense(w, fed, p + encoder.down), middle), p + encoder.lastNorm);
  }
  return x;
}

async function addPositions(
  w: Weights,
  x: Batch,
  texts: readonly Text[],
  p: string,
  firstPosition: number,
): Promise<void> {
  const types = `${p}token_type_embeddings.weight`;
  const type = w.has(types) ? (await w.matrix(types, 0, 1)).values : undefined;
  for (const { first, tokens } of texts) {
    const { values } = await w.matrix(`${p}position_embeddings.weight`, firstPosition, tokens);
    for (let i = 0; i < values.length; i++)
      x.values[first * x.width + i]! += values[i]! + (type?.[i % x.width] ?? 0);
  }
}

async function attention(
  w: Weights,
  x: Batch,
  p: string,
  texts: readonly Text[],
  { heads, query, key, value, output }: Encoder,
): Promise<Batch> {
  const head = x.width / heads;
  const q = await dense(w, x, p + query);
  const k = await dense(w, x, p + key);
  const v = await dense(w, x, p + value);
  const attended = attend(q, k, v, texts, {
    heads,
    kvHeads: heads,
    head,
    scale: head ** -0.5,
    bothWays: true,
  });
  return dense(w, attended, p + output);
}
