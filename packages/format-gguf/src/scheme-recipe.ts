import type { Recipe } from "@fewbit/core";
import { outputMetadata } from "./metadata.js";
import { type Mix, mixes } from "./mixes.js";
import { assignMix } from "./selection.js";
import { FILE_TYPE_GUESSED } from "./types.js";

/**
 * A recipe for a scheme of any plugin: every tensor that llama.cpp would quantize gets it, and F16 where it does not
 * fit. The user's choices for single tensors still count. `scheme` may be qualified: `my-scheme:Q4_K`.
 */
export function schemeRecipe(scheme: string): Recipe {
  const id = scheme.slice(scheme.lastIndexOf(":") + 1);
  const known = mixes.get(id) ?? [...mixes.values()].find(({ base }) => base === id);
  const mix: Mix = {
    fileType: known?.fileType ?? FILE_TYPE_GUESSED,
    base: scheme,
    summary: `${id} for every tensor.`,
  };
  return {
    id: scheme,
    summary: mix.summary,
    base: scheme,
    assign: (model, { options, ...context }) =>
      assignMix(mix, model, { ...context, options: { ...options, pure: true } }).map((assignment) =>
        assignment.scheme === scheme ? { instead: ["F16"], ...assignment } : assignment,
      ),
    metadata: (model, { importance }) => outputMetadata(model, mix.fileType, importance),
  };
}
