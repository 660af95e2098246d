import { writeFileSync } from "node:fs";
import type { Model } from "@fewbit/core";
import { type Collected, writeImportance } from "@fewbit/format-gguf";
import { weights } from "./model.js";

/** Rows that were summed for each tensor. */
const COUNT = 96;
export const datasets: readonly string[] = ["stories.txt", "more.txt"];
export const chunks = 12;

/**
 * Writes an importance matrix for every matrix of a model but the token embedding, and returns what a quantizer
 * should make of it: mean squares, one per column.
 */
export function writeMatrix(path: string, model: Model): ReadonlyMap<string, Float32Array> {
  const entries = new Map<string, Collected>();
  for (const [i, { name, shape }] of model.tensors.entries())
    if (shape.length > 1 && !name.startsWith("token_embd"))
      entries.set(name, {
        sums: weights(shape.at(-1)!, 77 + i).map((x) => x * x * 400 + 0.01),
        counts: Float32Array.of(COUNT),
      });
  writeFileSync(path, writeImportance({ entries, datasets, chunks, chunkSize: 512 }));
  return new Map([...entries].map(([name, { sums }]) => [name, sums.map((sum) => sum / COUNT)]));
}
