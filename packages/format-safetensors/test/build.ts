// Safetensors files by hand, without any code of the package: right by construction, wrong where a test wants it.
import { FewbitError, isFewbitError, memorySource, type Source } from "@fewbit/core";
import type { Sample } from "@fewbit/testing";

const text = new TextEncoder();

export const bytesOf = (value: string): Uint8Array => text.encode(value);

/** A header as it is given, and `data` bytes of data. */
export function build(
  header: string | Uint8Array,
  data: number | Uint8Array = 0,
  length?: bigint,
): Uint8Array<ArrayBuffer> {
  const json = typeof header === "string" ? bytesOf(header) : header;
  const tail = typeof data === "number" ? new Uint8Array(data).fill(7) : data;
  const file = new Uint8Array(8 + json.length + tail.length);
  new DataView(file.buffer).setBigUint64(0, length ?? BigInt(json.length), true);
  file.set(json, 8);
  file.set(tail, 8 + json.length);
  return file;
}

/** One entry of a header, its fields as they are given. */
export const entry = (name: string, dtype: string, shape: string, offsets: string): string =>
  `"${name}":{"dtype":"${dtype}","shape":${shape},"data_offsets":${offsets}}`;

/** A small good file: one line of metadata, F32 [2 × 4] and BF16 [3]. */
export const small = (): Uint8Array<ArrayBuffer> =>
  build(
    `{"__metadata__":{"format":"pt"},${entry("a.weight", "F32", "[2,4]", "[0,32]")},${entry("b", "BF16", "[3]", "[32,38]")}}`,
    38,
  );

export const source = (bytes: Uint8Array<ArrayBuffer>, name = "model.safetensors"): Source =>
  memorySource(bytes, name);

export const alone = async (fileName: string): Promise<Source> => {
  throw new FewbitError("E_IO", `there is no ${fileName}`);
};

/** Two shards and their index. */
export function checkpoint(): Required<Sample> {
  return {
    name: "model.safetensors.index.json",
    bytes: bytesOf('{"metadata":{"total_size":12},"weight_map":{"b":"s2.safetensors","a":"s1.safetensors"}}'),
    siblings: {
      "s1.safetensors": build(`{"__metadata__":{"format":"pt"},${entry("a", "F32", "[2]", "[0,8]")}}`, 8),
      "s2.safetensors": build(`{"__metadata__":{"format":"pt"},${entry("b", "U8", "[4]", "[0,4]")}}`, 4),
    },
  };
}

export const beside =
  (siblings: Readonly<Record<string, Uint8Array>>) =>
  async (name: string): Promise<Source> =>
    Object.hasOwn(siblings, name) ? source(siblings[name]!.slice(), name) : alone(name);

/** The error that is thrown; anything else fails the test. */
export async function refused(run: () => Promise<unknown>): Promise<FewbitError> {
  const outcome = await run().catch((error: unknown) => error);
  if (!isFewbitError(outcome)) throw new Error(`not refused: ${String(outcome)}`);
  return outcome;
}
