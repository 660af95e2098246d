import type { Model } from "@fewbit/core";
import { FewbitError, type ImportanceMatrix, type MetadataEntry } from "@fewbit/core";
import { metadataMap } from "./facts.js";
import type { PrunedModel } from "./selection.js";

const LAYER = /blk\.(\d+)\./;

/** A model without some of its layers, and the importance matrix that goes with it. */
export interface Pruned {
  readonly model: Model | PrunedModel;
  readonly importance?: ImportanceMatrix;
}

/**
 * A model without some of its layers, as llama-quantize --prune-layers makes it: the others move up, and so do the
 * names in the importance matrix. Mixes go on counting the layers that were there. Pure; no weight is touched.
 *
 * Unlike there, per-layer lists in the metadata lose the layers too: a model with too long a list does not load.
 *
 * @param layers numbers from 0, in any order
 * @throws `E_USAGE` where a layer does not exist, or none would be left
 */
export function pruneLayers(model: Model, layers: readonly number[], importance?: ImportanceMatrix): Pruned {
  if (layers.length === 0) return importance === undefined ? { model } : { model, importance };
  const present = new Set(
    model.tensors.map(({ name }) => layerOf(name)).filter((layer) => layer !== undefined),
  );
  const dropped = new Set(layers);
  const unknown = [...dropped].filter((layer) => !present.has(layer));
  if (unknown.length > 0)
    throw new FewbitError(
      "E_USAGE",
      `The model has no layer ${unknown.join(", ")}; its layers are 0 to ${Math.max(...present)}.`,
      {},
      "Name layers that exist, counted from 0.",
    );
  const kept = [...present].filter((layer) => !dropped.has(layer)).sort((a, b) => a - b);
  if (kept.length === 0)
    throw new FewbitError("E_USAGE", "Pruning would remove every layer.", {}, "Keep at least one.");
  const moved = new Map(kept.map((layer, i) => [layer, i]));

  const rename = (name: string): string | undefined => {
    const layer = layerOf(name);
    if (layer === undefined) return name;
    const to = moved.get(layer);
    return to === undefined ? undefined : name.replace(LAYER, `blk.${to}.`);
  };
  const renamed = <T>(name: string, make: (name: string) => T): T[] => {
    const to = rename(name);
    return to === undefined ? [] : [make(to)];
  };
  return {
    model: {
      ...model,
      unpruned: model.metadata,
      metadata: prunedMetadata(model.metadata, dropped, kept.length),
      tensors: model.tensors.flatMap((tensor) => renamed(tensor.name, (name) => ({ ...tensor, name }))),
    },
    ...(importance === undefined
      ? {}
      : {
          importance: {
            ...importance,
            tensors: new Map(
              [...importance.tensors].flatMap(([name, values]) =>
                renamed(name, (to): [string, Float32Array] => [to, values]),
              ),
            ),
          },
        }),
  };
}

function layerOf(name: string): number | undefined {
  const match = LAYER.exec(name);
  return match === null ? undefined : Number(match[1]);
}

function prunedMetadata(
  metadata: readonly MetadataEntry[],
  dropped: ReadonlySet<number>,
  layers: number,
): MetadataEntry[] {
  const architecture = String(metadataMap(metadata).get("general.architecture") ?? "");
  const key = `${architecture}.block_count`;
  const before = Number(metadataMap(metadata).get(key));
  return metadata.map((entry) => {
    if (entry.key === key) return { key, type: "u32", value: layers };
    const list = entry.value;
    const perLayer =
      entry.key.startsWith(`${architecture}.`) &&
      (ArrayBuffer.isView(list) || Array.isArray(list)) &&
      (list as unknown[]).length === before;
    if (!perLayer) return entry;
    const value = (list as unknown[]).filter((_, layer) => !dropped.has(layer));
    return { key: entry.key, type: entry.type, value };
  });
}
