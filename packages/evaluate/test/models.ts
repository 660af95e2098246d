import { type Codec, createRegistry, inlineRunner, type Model, type Registry } from "@fewbit/core";
import { nodeIo } from "@fewbit/core/node";
import asymmetric from "@fewbit/scheme-asymmetric";
import float from "@fewbit/scheme-float";
import symmetric from "@fewbit/scheme-symmetric";

export const plugins = [symmetric, asymmetric, float];
export const registry: Registry = createRegistry(plugins);
export const runner = inlineRunner(plugins, nodeIo());

export interface GivenTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** F32 unless said otherwise. */
  readonly dtype?: string;
  readonly bytes: Uint8Array;
}

/** A model in memory, of one file with some bytes before and between its tensors. */
export function modelOf(name: string, tensors: readonly GivenTensor[], format = "made"): Model {
  const gap = new Uint8Array(5);
  const offsets = tensors.map((_, i) =>
    tensors.slice(0, i).reduce((sum, { bytes }) => sum + bytes.length + gap.length, gap.length),
  );
  const blob = new Blob(tensors.flatMap(({ bytes }) => [gap, new Uint8Array(bytes)]));
  return {
    format,
    metadata: [],
    files: [{ kind: "blob", blob, name }],
    warnings: [],
    tensors: tensors.map(({ name, shape, dtype = "F32", bytes }, i) => ({
      name,
      shape,
      dtype,
      file: 0,
      offset: offsets[i]!,
      bytes: bytes.length,
    })),
  };
}

export const float32 = (...values: readonly number[]): Uint8Array =>
  new Uint8Array(Float32Array.from(values).buffer);

const codecs = new Map<string, Promise<Codec>>();
const codecOf = (scheme: string): Promise<Codec> => {
  const codec = codecs.get(scheme) ?? registry.scheme(scheme).value.load();
  codecs.set(scheme, codec);
  return codec;
};

/** The bytes that a scheme makes of some rows. */
export async function encode(scheme: string, rows: Float32Array, columns: number): Promise<Uint8Array> {
  const parts = registry.scheme(scheme).value.layout([rows.length / columns, columns]);
  if ("unfit" in parts) throw new Error(parts.unfit);
  const out = new Uint8Array(parts[0]!.bytes);
  (await codecOf(scheme)).encode(rows.slice(), [out], { columns });
  return out;
}

export async function decode(
  scheme: string,
  bytes: Uint8Array,
  columns: number,
  weights: number,
): Promise<Float32Array> {
  const out = new Float32Array(weights);
  (await codecOf(scheme)).decode([bytes.slice()], out, { columns });
  return out;
}

/** The same in every run. */
export function randomWeights(count: number, seed: number): Float32Array {
  let state = seed * 2654435761;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return (state >>> 8) / 2 ** 24 - 0.5;
  };
  return Float32Array.from({ length: count }, () => (next() + next() + next()) * 0.05);
}
