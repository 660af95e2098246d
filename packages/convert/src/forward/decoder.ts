import { type Batch, emptyBatch, map, type Text, vectorOf } from "./batch.js";
import { embed } from "./embedding.js";
import { linear } from "./linear.js";
import type { Weights } from "./weights.js";

/** What is the same in all models that predict the next token, and the names of what is not. */
export interface Decoder {
  /** The tensor with a row for every token. */
  readonly embedding: string;
  /** What embeddings are multiplied with; 1 when absent. */
  readonly scale?: number;
  readonly layers: number;
  /** Makes the input of the first layer from the embeddings; they themselves when absent. */
  begin?(x: Batch, texts: readonly Text[]): Promise<Batch>;
  layer(x: Batch, index: number, texts: readonly Text[]): Promise<Batch>;
  /** The last norm. */
  end(x: Batch): Promise<Batch>;
  /** The tensor that makes logits; the embedding where the checkpoint has none of this name. */
  readonly output: string;
  /** Logits are bent smoothly so that none is larger. */
  readonly softcap?: number | undefined;
}

/** Rows of the output matrix that are held at once. */
const OUTPUT_ROWS = 8192;

/** The logits after every token of every text: a row of the vocabulary's size for each. */
export async function decode(
  w: Weights,
  decoder: Decoder,
  prompts: readonly ArrayLike<number>[],
): Promise<Batch> {
  const { batch, texts } = await embed(w, decoder.embedding, prompts);
  const { scale = 1, softcap } = decoder;
  let x = scale === 1 ? batch : map(batch, (value) => value * scale);
  if (decoder.begin !== undefined) x = await decoder.begin(x, texts);
  for (let layer = 0; layer < decoder.layers; layer++) x = await decoder.layer(x, layer, texts);
  x = await decoder.end(x);

  const name = w.has(decoder.output) ? decoder.output : decoder.embedding;
  const vocabulary = w.shape(name)[0]!;
  const logits = emptyBatch(x.tokens, vocabulary);
  for (let first = 0; first < vocabulary; first += OUTPUT_ROWS) {
    const rows = await w.matrix(name, first, Math.min(OUTPUT_ROWS, vocabulary - first));
    const part = linear(x, rows);
    for (let token = 0; token < x.tokens; token++) vectorOf(logits, token).set(vectorOf(part, token), first);
  }
  return softcap === undefined ? logits : map(logits, (value) => softcap * Math.tanh(value / softcap));
}
