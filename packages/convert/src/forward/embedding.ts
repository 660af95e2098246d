import { type Batch, emptyBatch, type Text, vectorOf } from "./batch.js";
import type { Weights } from "./weights.js";

/** The texts side by side, with the embedding of each token. */
export async function embed(
  w: Weights,
  name: string,
  prompts: readonly ArrayLike<number>[],
): Promise<{ readonly batch: Batch; readonly texts: readonly Text[] }> {
  const texts: Text[] = [];
  let tokens = 0;
  for (const prompt of prompts) {
    texts.push({ first: tokens, tokens: prompt.length });
    tokens += prompt.length;
  }
  const batch = emptyBatch(tokens, w.shape(name)[1]!);
  for (const [i, token] of prompts.flatMap((prompt) => Array.from(prompt)).entries())
    vectorOf(batch, i).set((await w.matrix(name, token, 1)).values);
  return { batch, texts };
}
