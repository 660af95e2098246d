import type { Config } from "@fewbit/core";
import type { Batch, Text } from "./batch.js";

/** Rotary positions. */
export interface Rope {
  /** Of each pair of dimensions, in radians per position. */
  readonly frequencies: Float64Array;
  /** What sines and cosines are multiplied with. */
  readonly scale: number;
}

/**
 * Turns the first dimensions of every head by the token's position in its text. Pairs are dimension `i` and the one
 * half of the turned dimensions further, as the transformers library has them.
 */
export function rotate(x: Batch, head: number, { frequencies, scale }: Rope, texts: readonly Text[]): Batch {
  const half = frequencies.length;
  const values = x.values.slice();
  for (const { first, tokens } of texts)
    for (let position = 0; position < tokens; position++) {
      const start = (first + position) * x.width;
      for (let i = 0; i < half; i++) {
        const cos = Math.cos(position * frequencies[i]!) * scale;
        const sin = Math.sin(position * frequencies[i]!) * scale;
        for (let at = start + i; at < start + x.width; at += head) {
          const [a, b] = [values[at]!, values[at + half]!];
          values[at] = a * cos - b * sin;
          values[at + half] = b * cos + a * sin;
        }
      }
    }
  return { ...x, values };
}

const plain = (base: number, dimensions: number): Float64Array =>
  Float64Array.from({ length: dimensions / 2 }, (_, i) => base ** ((-2 * i) / dimensions));

/**
 * As config.json says, in its old form (`rope_theta`, `rope_scaling`) or its new one (`rope_parameters`).
 *
 * @param longest tokens of the longest text: some models turn long texts by other angles
 */
export function ropeOf(config: Config, head: number, longest: number): Rope {
  const parameters = config.section(config.has("rope_parameters") ? "rope_parameters" : "rope_scaling");
  const either = (key: string, otherwise: number): number =>
    parameters.number(key, config.number(key, otherwise));
  const dimensions = Math.floor(head * either("partial_rotary_factor", 1));
  return scaled(config, parameters, either("rope_theta", 10000), dimensions, longest);
}

/** @param scaling what stretches the positions, as `rope_scaling` of config.json says it */
export function scaled(
  config: Config,
  scaling: Config,
  base: number,
  dimensions: number,
  longest: number,
): Rope {
  const frequencies = plain(base, dimensions);
  const context = config.number("max_position_embeddings", 0);
  const trained = scaling.number(
    "original_max_position_embeddings",
    config.number("original_max_position_embeddings", context),
  );
  switch (scaling.string(["rope_type", "type"], "default")) {
    case "linear":
      return { frequencies: frequencies.map((each) => each / scaling.number("factor")), scale: 1 };
    case "llama3":
      return { frequencies: frequencies.map((each) => llama3(each, scaling, trained)), scale: 1 };
    case "yarn":
      return yarn(frequencies, scaling, base, dimensions, trained);
    case "su":
    case "longrope": {
      const factors = scaling.numbers(longest > trained ? "long_factor" : "short_factor");
      const stretch = context / trained;
      return {
        frequencies: frequencies.map((each, i) => each / factors[i]!),
        scale: scaling.number(
          "attention_factor",
          stretch > 1 ? Math.sqrt(1 + Math.log(stretch) / Math.log(trained)) : 1,
        ),
      };
    }
    default:
      return { frequencies, scale: 1 };
  }
}

/** Slow turns are slowed further, fast ones kept, with a ramp between. */
function llama3(frequency: number, scaling: Config, trained: number): number {
  const factor = scaling.number("factor");
  const low = scaling.number("low_freq_factor");
  const high = scaling.number("high_freq_factor");
  const wavelength = (2 * Math.PI) / frequency;
  if (wavelength < trained / high) return frequency;
  if (wavelength > trained / low) return frequency / factor;
  const ramp = (trained / wavelength - low) / (high - low);
  return (1 - ramp) * (frequency / factor) + ramp * frequency;
}

/** As llama3, with the ramp over dimensions instead of wavelengths. */
function yarn(
  frequencies: Float64Array,
  scaling: Config,
  base: number,
  dimensions: number,
  trained: number,
): Rope {
  const factor = scaling.number("factor");
  const dimensionOf = (turns: number): number =>
    (dimensions * Math.log(trained / (turns * 2 * Math.PI))) / (2 * Math.log(base));
  const cut = scaling.boolean("truncate", true);
  const fast = dimensionOf(scaling.number("beta_fast", 32));
  const slow = dimensionOf(scaling.number("beta_slow", 1));
  const first = Math.max(0, cut ? Math.floor(fast) : fast);
  const last = Math.min(dimensions - 1, cut ? Math.ceil(slow) : slow);
  return {
    frequencies: frequencies.map((each, i) => {
      const ramp = Math.min(1, Math.max(0, (i - first) / Math.max(0.001, last - first)));
      return (each / factor) * ramp + each * (1 - ramp);
    }),
    scale: scaling.number("attention_factor", factor > 1 ? 0.1 * Math.log(factor) + 1 : 1),
  };
}
