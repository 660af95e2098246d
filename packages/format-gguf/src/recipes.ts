import type { Recipe } from "@fewbit/core";
import { outputMetadata, sourceFileType } from "./metadata.js";
import { type Mix, mixes } from "./mixes.js";
import { assignMix, refuseBigEndian, visitingOrder } from "./selection.js";

const recipeOf = (id: string, mix: Mix, summary = mix.summary): Recipe => ({
  id,
  summary,
  base: mix.base,
  assign: (model, context) => assignMix(mix, model, context),
  metadata: (model, { importance }) => outputMetadata(model, mix.fileType, importance),
});

/** Nothing is quantized; tensors and metadata come in the order in which llama-quantize writes them. */
const copy: Recipe = {
  id: "COPY",
  summary: "Every tensor as it is: merges or keeps shards, and rewrites the metadata.",
  base: "keep",
  assign(model, { options }) {
    refuseBigEndian(model);
    return visitingOrder(model, options.keepSplit === true).map(({ name }) => ({
      tensor: name,
      scheme: "keep",
      reason: "everything is copied",
    }));
  },
  metadata: (model, { importance }) => outputMetadata(model, sourceFileType(model), importance),
};

/** Short names that llama-quantize knows. */
export const aliases: ReadonlyMap<string, string> = new Map([
  ["Q3_K", "Q3_K_M"],
  ["Q4_K", "Q4_K_M"],
  ["Q5_K", "Q5_K_M"],
]);

/** Every file type llama.cpp can make, its short names, and the plain copy. */
export const recipes: readonly Recipe[] = [
  ...Array.from(mixes, ([id, mix]) => recipeOf(id, mix)),
  ...Array.from(aliases, ([alias, id]) => recipeOf(alias, mixes.get(id)!, `Another name of ${id}.`)),
  copy,
];
