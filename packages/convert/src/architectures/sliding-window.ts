import type { Config, MetadataEntry } from "@fewbit/core";

/**
 * The entry that says in which layers tokens see a window only. None where these are the layers that llama.cpp takes by
 * itself: all but the last of every `period`.
 */
export function slidingLayers(id: string, config: Config, period: number): MetadataEntry[] {
  const types = config.strings("layer_types");
  const own = config.integer(["sliding_window_pattern", "_sliding_window_pattern"], period);
  const layers = Array.from({ length: config.layers }, (_, layer) => layer);
  const slides = layers.map((layer) =>
    types.length === 0 ? slidesIn(layer, own) : types[layer] === "sliding_attention",
  );
  if (layers.every((layer) => slides[layer] === slidesIn(layer, period))) return [];
  return [{ key: `${id}.attention.sliding_window_pattern`, type: "array<bool>", value: slides }];
}

const slidesIn = (layer: number, period: number): boolean => layer % period < period - 1;
