import type { MetadataEntry } from "@fewbit/core";

/** What llama.cpp's mixes look at beside tensor names. */
export interface Facts {
  readonly architecture: string;
  /** All layers, those for multi-token prediction included. */
  readonly layers: number;
  /** Query heads per key/value head of the first layer; 0 where there are no key/value heads. */
  readonly headRatio: number;
  /** 0 or 1 for a dense model. */
  readonly experts: number;
  /** The class of model whose attention values are eight times smaller than its queries. */
  readonly is70B: boolean;
}

/** `Map`s, so that hostile keys are only keys. */
export type Metadata = ReadonlyMap<string, unknown>;

export const metadataMap = (entries: readonly MetadataEntry[]): Metadata =>
  new Map(entries.map(({ key, value }) => [key, value]));

const whole = (value: unknown): number | undefined =>
  typeof value === "number" || typeof value === "bigint" ? Number(value) : undefined;

/** A number per layer, or one for all: the first layer's. */
const firstOf = (value: unknown): number | undefined =>
  ArrayBuffer.isView(value) || Array.isArray(value) ? whole((value as ArrayLike<unknown>)[0]) : whole(value);

export function readFacts(metadata: Metadata): Facts {
  const architecture = String(metadata.get("general.architecture") ?? "");
  const number = (key: string): number | undefined => whole(metadata.get(`${architecture}.${key}`));
  const first = (key: string): number | undefined => firstOf(metadata.get(`${architecture}.${key}`));

  const blocks = number("block_count") ?? 0;
  const predicting = number("nextn_predict_layers") ?? 0;
  const heads = first("attention.head_count") ?? 0;
  const keyValueHeads = first("attention.head_count_kv") ?? heads;
  const experts = number("expert_count") ?? 0;
  return {
    architecture,
    layers: layersOf(architecture, blocks, predicting, number("num_loops") ?? 1),
    headRatio: keyValueHeads === 0 ? 0 : Math.floor(heads / keyValueHeads),
    experts,
    is70B: is70B(architecture, blocks - predicting, experts, heads !== keyValueHeads),
  };
}

/** Two architectures run other layers than they store. */
function layersOf(architecture: string, blocks: number, predicting: number, loops: number): number {
  if (architecture === "nanbeige" && loops > 1) return (blocks - predicting) * loops;
  if (architecture === "graniteswitch") return blocks - predicting + 1;
  return blocks;
}

function is70B(architecture: string, layers: number, experts: number, grouped: boolean): boolean {
  switch (architecture) {
    case "llama":
    case "llama-embed":
      return layers === 80 && experts !== 8 && grouped;
    case "qwen2":
    case "olmo":
    case "deci":
      return layers === 80;
    case "jais2":
      return layers === 68;
    default:
      return false;
  }
}
