import { type Config, FewbitError } from "@fewbit/core";
import { parseJson, quoted } from "./json.js";

/** GGUF counts in 32 bits. */
const MAX_INTEGER = 2 ** 32 - 1;

/** Where models keep the settings of their language model, beside those of other parts. */
const NESTED = ["llm_config", "lm_config", "language_config", "text_config"] as const;

type Values = ReadonlyMap<string, unknown>;

/**
 * Reads a config.json. `defaults` stand behind it.
 * @throws `E_CHECKPOINT` where it is no JSON object
 */
export function readConfig(
  bytes: Uint8Array,
  file: string,
  defaults: Readonly<Record<string, unknown>> = {},
): Config {
  const own = entriesOf(parseJson(bytes, file));
  if (own === undefined)
    throw new FewbitError("E_CHECKPOINT", "The file holds no JSON object.", { file }, REMEDY);
  const nested = NESTED.map((key) => entriesOf(own.get(key))).filter((each) => each !== undefined);
  return new Settings([...nested.reverse(), own, new Map(Object.entries(defaults))], file, "");
}

const REMEDY = "Download the checkpoint again, or correct its config.json.";

/** The own members of a JSON object: `__proto__` is a key like any other. */
const entriesOf = (value: unknown): Values | undefined =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? new Map(Object.entries(value))
    : undefined;

class Settings implements Config {
  /** The first that has a key counts. */
  readonly #layers: readonly Values[];
  readonly #file: string;
  /** Of the section, with a dot behind it. */
  readonly #path: string;

  constructor(layers: readonly Values[], file: string, path: string) {
    this.#layers = layers;
    this.#file = file;
    this.#path = path;
  }

  get layers(): number {
    return this.integer(["n_layers", "num_hidden_layers", "n_layer", "num_layers"]);
  }

  has(...keys: string[]): boolean {
    return this.#find(keys) !== undefined;
  }

  integer(keys: string | readonly string[], fallback?: number): number {
    return this.#get(keys, fallback, `a whole number from 0 to ${MAX_INTEGER}`, (value) =>
      Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= MAX_INTEGER
        ? (value as number)
        : undefined,
    );
  }

  number(keys: string | readonly string[], fallback?: number): number {
    return this.#get(keys, fallback, "a number", asNumber);
  }

  boolean(keys: string | readonly string[], fallback?: boolean): boolean {
    return this.#get(keys, fallback, "true or false", (value) =>
      typeof value === "boolean" ? value : undefined,
    );
  }

  string(keys: string | readonly string[], fallback?: string): string {
    return this.#get(keys, fallback, "a text", asString);
  }

  numbers(keys: string | readonly string[]): readonly number[] {
    return this.#get(keys, [], "a list of numbers", (value) => list(value, asNumber));
  }

  strings(keys: string | readonly string[]): readonly string[] {
    return this.#get(keys, [], "a list of texts", (value) => list(value, asString));
  }

  section(keys: string | readonly string[]): Config {
    const found = this.#find(asList(keys));
    const path = `${this.#path}${found?.key ?? asList(keys)[0]!}.`;
    if (found === undefined) return new Settings([], this.#file, path);
    const values = entriesOf(found.value);
    if (values === undefined) throw this.#wrong(found.key, found.value, "an object");
    return new Settings([values], this.#file, path);
  }

  error(key: string, message: string, remedy = REMEDY): FewbitError {
    return new FewbitError("E_CHECKPOINT", message, { file: this.#file, key: this.#path + key }, remedy);
  }

  #find(keys: readonly string[]): { readonly key: string; readonly value: unknown } | undefined {
    for (const key of keys)
      for (const values of this.#layers) {
        const value = values.get(key);
        if (value !== undefined && value !== null) return { key, value };
      }
    return undefined;
  }

  #get<T>(
    keys: string | readonly string[],
    fallback: T | undefined,
    wanted: string,
    read: (value: unknown) => T | undefined,
  ): T {
    const found = this.#find(asList(keys));
    if (found === undefined) {
      if (fallback !== undefined) return fallback;
      const [first, ...others] = asList(keys).map((key) => this.#path + key);
      throw this.error(
        asList(keys)[0]!,
        `There is no ${first}${others.length === 0 ? "" : `, nor ${others.join(" or ")}`}.`,
      );
    }
    const value = read(found.value);
    if (value === undefined) throw this.#wrong(found.key, found.value, wanted);
    return value;
  }

  #wrong(key: string, value: unknown, wanted: string): FewbitError {
    return this.error(key, `${this.#path}${key} is ${quoted(JSON.stringify(value))}, not ${wanted}.`);
  }
}

const asList = (keys: string | readonly string[]): readonly string[] =>
  typeof keys === "string" ? [keys] : keys;

const asNumber = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isFinite(value) ? value : undefined;

const asString = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);

function list<T>(value: unknown, read: (item: unknown) => T | undefined): readonly T[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const items = value.map(read);
  return items.every((item) => item !== undefined) ? items : undefined;
}
