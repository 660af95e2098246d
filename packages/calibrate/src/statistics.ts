import type { Collection } from "@fewbit/format-gguf";

/** What an entry of an importance matrix looks like. An activation here is a mean of squares: one of each column. */
export interface TensorStatistics {
  readonly tensor: string;
  /** Such as `attn_q`. */
  readonly kind: string;
  /** Number of its layer; absent for tensors outside of layers. */
  readonly layer?: number;
  /** Σ(Act²): all of them added up. */
  readonly sum: number;
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  readonly deviation: number;
  /** Share of activations above 10⁻⁵. */
  readonly active: number;
  /** Number of activations; experts that were never used have none. */
  readonly count: number;
  /** Of the activations as a distribution, in bits; and as a share of the most there can be. */
  readonly entropy: number;
  readonly normalizedEntropy: number;
  /** Share of activations more than one deviation above the mean: the "z-score distribution" of llama-imatrix. */
  readonly zScore: number;
  /** Between the sums of this tensor and those of the same tensor in the layer before; 0 where there is none. */
  readonly cosine: number;
}

/** Means over the tensors of a layer, weighted by their numbers of activations. */
export interface LayerStatistics {
  readonly layer: number;
  readonly sum: number;
  readonly zScore: number;
  readonly cosine: number;
}

/**
 * What llama-imatrix shows with `--show-statistics`, in its order: by kind of tensor, those with the largest sums first.
 */
export function importanceStatistics({ entries }: Pick<Collection, "entries">): {
  readonly tensors: readonly TensorStatistics[];
  readonly layers: readonly LayerStatistics[];
} {
  const tensors = [...entries].flatMap(([tensor, entry]) => {
    const found = statisticsOf(entry.sums, entry.counts);
    if (found === undefined) return [];
    const layer = layerOf(tensor);
    const before =
      layer === undefined ? undefined : entries.get(tensor.replace(/blk\.\d+\./, `blk.${layer - 1}.`));
    const cosine = before === undefined ? 0 : cosineOf(entry.sums, before.sums);
    return [{ tensor, kind: kindOf(tensor), ...(layer === undefined ? {} : { layer }), ...found, cosine }];
  });
  tensors.sort((a, b) => (a.kind < b.kind ? -1 : a.kind > b.kind ? 1 : b.sum - a.sum));
  return { tensors, layers: layersOf(tensors) };
}

const layerOf = (tensor: string): number | undefined => {
  const [, number] = /(?:^|\.)blk\.(\d+)\./.exec(tensor) ?? [];
  return number === undefined ? undefined : Number(number);
};

const kindOf = (tensor: string): string => /([^.]+)\.weight(?:\.|$)/.exec(tensor)?.[1] ?? tensor;

function statisticsOf(sums: Float32Array, counts: Float32Array) {
  const columns = sums.length / counts.length;
  const activations = [...sums]
    .map((sum, i) => [sum, counts[Math.floor(i / columns)]!] as const)
    .flatMap(([sum, count]) => (count > 0 ? [sum / count] : []));
  const count = activations.length;
  if (count === 0) return undefined;
  let [sum, squares, min, max, inactive] = [0, 0, Number.POSITIVE_INFINITY, 0, 0];
  for (const x of activations) {
    sum += x;
    squares += x * x;
    min = Math.min(min, x);
    max = Math.max(max, x);
    if (x <= 1e-5) inactive++;
  }
  const mean = sum / count;
  const deviation = Math.sqrt(Math.max(0, squares / count - mean * mean));
  let [entropy, far] = [0, 0];
  for (const x of activations) {
    if (x > 0) entropy -= (x / sum) * Math.log2(x / sum);
    if (deviation > 0 && (x - mean) / deviation > 1) far++;
  }
  return {
    sum,
    min,
    max,
    mean,
    deviation,
    active: 1 - inactive / count,
    count,
    entropy,
    normalizedEntropy: count > 1 ? entropy / Math.log2(count) : 0,
    zScore: far / count,
  };
}

function cosineOf(a: Float32Array, b: Float32Array): number {
  let [aa, bb, ab] = [0, 0, 0];
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    aa += a[i]! ** 2;
    bb += b[i]! ** 2;
    ab += a[i]! * b[i]!;
  }
  return aa === 0 || bb === 0 ? 0 : ab / Math.sqrt(aa * bb);
}

function layersOf(tensors: readonly TensorStatistics[]): LayerStatistics[] {
  const layers = new Map<number, TensorStatistics[]>();
  for (const tensor of tensors)
    if (tensor.layer !== undefined) layers.set(tensor.layer, [...(layers.get(tensor.layer) ?? []), tensor]);
  return [...layers]
    .sort(([a], [b]) => a - b)
    .map(([layer, own]) => {
      const total = own.reduce((all, { count }) => all + count, 0);
      const mean = (figure: "sum" | "zScore" | "cosine"): number =>
        own.reduce((all, tensor) => all + tensor.count * tensor[figure], 0) / total;
      return { layer, sum: mean("sum"), zScore: mean("zScore"), cosine: mean("cosine") };
    });
}
