import type { Config } from "@fewbit/core";

/** Rotary position embedding, wherever a config.json keeps its settings. */
export interface Rope {
  /** `llama3`, `yarn`, …; undefined where nothing is scaled. */
  readonly type: string | undefined;
  /** The base of the frequencies, where it is given. */
  readonly base: number | undefined;
  /** The base in layers with a sliding window, where they have one of their own. */
  readonly localBase: number | undefined;
  /** Settings of the scaling. */
  readonly scaling: Config;
  /** Tokens that the model was trained for before scaling. @throws `E_CHECKPOINT` where it is not given */
  originalContext(fallback?: number): number;
}

const BASE = ["global_rope_theta", "rope_global_theta", "rope_theta_global", "rope_theta", "rotary_emb_base"];
const LOCAL_BASE = [
  "local_rope_theta",
  "rope_local_theta",
  "rope_theta_local",
  "swa_rope_theta",
  "rope_local_base_freq",
];
const ORIGINAL = "original_max_position_embeddings";

/** @throws `E_CHECKPOINT` where a setting is of another type than it must be */
export function ropeOf(config: Config): Rope {
  const all = config.section(["rope_parameters", "rope_scaling"]);
  const perLayer = all.has("full_attention") || all.has("sliding_attention");
  const scaling = all.has("full_attention") ? all.section("full_attention") : all;
  const local = all.section("sliding_attention");
  const optional = (from: Config, keys: readonly string[]): number | undefined =>
    from.has(...keys) ? from.number(keys) : undefined;
  return {
    type: scaling.has("rope_type", "type") ? scaling.string(["rope_type", "type"]) : undefined,
    base: optional(scaling, ["rope_theta"]) ?? (perLayer ? undefined : optional(config, BASE)),
    localBase: perLayer ? optional(local, ["rope_theta"]) : optional(config, LOCAL_BASE),
    scaling,
    originalContext: (fallback) =>
      scaling.has(ORIGINAL) || !config.has(ORIGINAL)
        ? scaling.integer(ORIGINAL, fallback)
        : config.integer(ORIGINAL),
  };
}
