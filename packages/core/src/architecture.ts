// How the checkpoints of a model family become GGUF: what `convert` asks of a plugin.
import type { MetadataEntry } from "./types.js";
import type { View } from "./view.js";

/**
 * A checkpoint's config.json. Settings of a nested `text_config` come before those beside it. Where several keys are
 * given, the first that is there and not null counts.
 */
export interface Config {
  has(...keys: string[]): boolean;
  /** @throws `E_CHECKPOINT` where there is none and no fallback, or it is no whole number from 0 */
  integer(keys: string | readonly string[], fallback?: number): number;
  /** @throws `E_CHECKPOINT` where there is none and no fallback, or it is no finite number */
  number(keys: string | readonly string[], fallback?: number): number;
  /** @throws `E_CHECKPOINT` where there is none and no fallback, or it is neither true nor false */
  boolean(keys: string | readonly string[], fallback?: boolean): boolean;
  /** @throws `E_CHECKPOINT` where there is none and no fallback, or it is no text */
  string(keys: string | readonly string[], fallback?: string): string;
  /** Empty where there is none. @throws `E_CHECKPOINT` where it is no list of finite numbers */
  numbers(keys: string | readonly string[]): readonly number[];
  /** Empty where there is none. @throws `E_CHECKPOINT` where it is no list of texts */
  strings(keys: string | readonly string[]): readonly string[];
  /** Settings within a setting, such as `rope_scaling`; an empty one where there is none. @throws `E_CHECKPOINT` */
  section(keys: string | readonly string[]): Config;
  /** An error about a key, with the file's name. */
  error(key: string, message: string, remedy?: string): Error;
  /** `num_hidden_layers`, under any of its names. */
  readonly layers: number;
}

/** How some tensors of the checkpoint become a tensor of the GGUF file. */
export interface TensorRule {
  /**
   * Names in the checkpoint. With `{bid}` the rule holds for every layer, with `{xid}` it names all experts of the
   * layer, in their order. Several: all of them go into the result. None: the result is made of settings only.
   */
  readonly from: string | readonly string[];
  /** Its name there, `{bid}` being the layer. Absent: these tensors are known, and left out. */
  readonly to?: string;
  /** What it is made of; the one tensor itself where absent. `layer` is -1 where the rule has no `{bid}`. */
  readonly make?: (tensors: readonly View[], layer: number) => View;
  /** The shape that the settings ask for; any where absent. */
  readonly shape?: readonly number[];
  /** How many experts `{xid}` counts. */
  readonly experts?: number;
  /** The layers of a rule with `{bid}`; all of them where absent. */
  readonly layers?: readonly number[];
  /** Whether the checkpoint may lack the tensors. Of several such rules with the same `to`, it must have those of one. */
  readonly optional?: boolean;
}

/** A family of models. */
export interface Architecture {
  /** GGUF's name of it: `llama`. */
  readonly id: string;
  readonly summary: string;
  /** Names that config.json may have under `architectures`. */
  readonly classes: readonly string[];
  /** What the transformers library takes where config.json is silent, as far as GGUF must say it. */
  readonly defaults?: Readonly<Record<string, number | string | boolean>>;
  /**
   * The entries between `general.*` and the tokenizer's. `common` is what llama.cpp's converter writes for any model,
   * `general.file_type` last among it; absent: just that.
   *
   * @throws `E_CHECKPOINT`
   */
  metadata?(config: Config, common: readonly MetadataEntry[]): readonly MetadataEntry[];
  /** Another spelling of a checkpoint's names, before rules see them; undefined for tensors that are left out. */
  rename?(name: string, config: Config): string | undefined;
  /**
   * Every tensor that a checkpoint may hold: one that no rule names is an error. The order decides only between
   * tensors made of the same ones.
   *
   * @throws `E_CHECKPOINT`
   */
  tensors(config: Config): readonly TensorRule[];
  /** Changes to the tokenizer's entries. */
  tokenizer?(config: Config, entries: readonly MetadataEntry[]): readonly MetadataEntry[];
}
