import { FewbitError } from "@fewbit/core";

/** What config.json says; keys as the transformers library names them. */
export type Config = Readonly<Record<string, unknown>>;

/** The part about text, where a model can do more; a single record in any case. */
export function textConfig(config: Config): Config {
  const text = config.text_config;
  return typeof text === "object" && text !== null ? { ...config, ...(text as Config) } : config;
}

/** The first of the keys that has a value. */
export function numberOf(config: Config, keys: string | readonly string[], otherwise?: number): number {
  const wanted = typeof keys === "string" ? [keys] : keys;
  for (const key of wanted) {
    const value = config[key];
    if (typeof value === "number") return value;
  }
  if (otherwise !== undefined) return otherwise;
  throw new FewbitError(
    "E_CONFIG",
    `config.json gives no number for ${wanted.join(" or ")}.`,
    { key: wanted[0]! },
    "Download config.json again.",
  );
}

export const recordOf = (value: unknown): Config | undefined =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Config) : undefined;
