// BERT: every token sees all others; learned positions, norms about the mean after each part, no logits.

import type { Config } from "@fewbit/core";
import { attend } from "../attention.js";
import { add, type Batch, emptyBatch, map, type Text, vectorOf } from "../batch.js";
import { embed } from "../decoder.js";
import { activationOf } from "../feed-forward.js";
import { biasOf, dense } from "../linear.js";
import { layerNorm } from "../norm.js";
import type { Weights } from "../weights.js";

/** What enters each layer, and last what the last one gives. */
export async function bert(
  w: Weights,
  config: Config,
  prompts: readonly ArrayLike<number>[],
): Promise<readonly Batch[]> {
  const base = w.has("bert.embeddings.word_embeddings.weight") ? "bert." : "";
  const epsilon = config.number("layer_norm_eps");
  const norm = async (x: Batch, name: string): Promise<Batch> =>
    layerNorm(x, await w.vector(`${name}.weight`), await biasOf(w, name), epsilon);
  const { batch, texts } = await embed(w, `${base}embeddings.word_embeddings.weight`, prompts);
  await addPositions(w, batch, texts, `${base}embeddings.`);
  const states = [await norm(batch, `${base}embeddings.LayerNorm`)];
  for (let index = 0; index < config.number("num_hidden_layers"); index++)
    states.push(await layer(w, config, states.at(-1)!, `${base}encoder.layer.${index}.`, texts, norm));
  return states;
}

async function addPositions(w: Weights, x: Batch, texts: readonly Text[], p: string): Promise<void> {
  const { values: kind } = await w.matrix(`${p}token_type_embeddings.weight`, 0, 1);
  for (const { first, tokens } of texts) {
    const { values } = await w.matrix(`${p}position_embeddings.weight`, 0, tokens);
    for (let i = 0; i < values.length; i++) x.values[first * x.width + i]! += values[i]! + kind[i % x.width]!;
  }
}

async function layer(
  w: Weights,
  config: Config,
  x: Batch,
  p: string,
  texts: readonly Text[],
  norm: (x: Batch, name: string) => Promise<Batch>,
): Promise<Batch> {
  const heads = config.number("num_attention_heads");
  const head = x.width / heads;
  const [q, k, v] = [
    await dense(w, x, `${p}attention.self.query`),
    await dense(w, x, `${p}attention.self.key`),
    await dense(w, x, `${p}attention.self.value`),
  ];
  const attended = attend(q, k, v, texts, {
    heads,
    kvHeads: heads,
    head,
    scale: head ** -0.5,
    bothWays: true,
  });
  const middle = await norm(
    add(await dense(w, attended, `${p}attention.output.dense`), x),
    `${p}attention.output.LayerNorm`,
  );
  const fed = map(
    await dense(w, middle, `${p}intermediate.dense`),
    activationOf(config.string("hidden_act", "gelu")),
  );
  return norm(add(await dense(w, fed, `${p}output.dense`), middle), `${p}output.LayerNorm`);
}

/** One vector for each text: the first token's, or the mean of all. */
export function pool(x: Batch, texts: readonly Text[], how: "cls" | "mean"): Batch {
  const out = emptyBatch(texts.length, x.width);
  for (const [i, { first, tokens }] of texts.entries()) {
    const target = vectorOf(out, i);
    for (let token = 0; token < (how === "cls" ? 1 : tokens); token++)
      for (let at = 0; at < x.width; at++)
        target[at]! += vectorOf(x, first + token)[at]! / (how === "cls" ? 1 : tokens);
  }
  return out;
}
