// GGUF files by hand, without any code of the package: right by construction, wrong where a test wants it.
import type { Source } from "@fewbit/core";
import { memorySource } from "@fewbit/core";

const text = new TextEncoder();

export const u32 = (value: number): Uint8Array => {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
};

export const u64 = (value: number | bigint): Uint8Array => {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, BigInt(value)), true);
  return bytes;
};

export const cat = (...parts: (Uint8Array | readonly number[])[]): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(parts.flatMap((part) => Array.from(part)));

export const string = (value: string | Uint8Array): Uint8Array => {
  const bytes = typeof value === "string" ? text.encode(value) : value;
  return cat(u64(bytes.length), bytes);
};

/** One metadata pair from its value's type number and bytes. */
export const pair = (key: string | Uint8Array, type: number, value: Uint8Array): Uint8Array =>
  cat(string(key), u32(type), value);

export interface Info {
  name: string | Uint8Array;
  dims: readonly (number | bigint)[];
  type: number;
  offset: number | bigint;
}

export const info = ({ name, dims, type, offset }: Info): Uint8Array =>
  cat(string(name), u32(dims.length), ...dims.map(u64), u32(type), u64(offset));

export interface Parts {
  magic?: string;
  version?: number;
  pairs?: readonly Uint8Array[];
  infos?: readonly Uint8Array[];
  pairCount?: number | bigint;
  infoCount?: number | bigint;
  alignment?: number;
  data?: Uint8Array;
}

export function build(parts: Parts = {}): Uint8Array<ArrayBuffer> {
  const pairs = parts.pairs ?? [];
  const infos = parts.infos ?? [];
  const header = cat(
    text.encode(parts.magic ?? "GGUF"),
    u32(parts.version ?? 3),
    u64(parts.infoCount ?? infos.length),
    u64(parts.pairCount ?? pairs.length),
    ...pairs,
    ...infos,
  );
  const alignment = parts.alignment ?? 32;
  const padding = new Uint8Array((alignment - (header.length % alignment)) % alignment);
  return cat(header, padding, parts.data ?? []);
}

/** A small good model: one metadata entry of text, two tensors of F32 [2 × 8] and Q8_0 [1 × 32]. */
export const small = (): Uint8Array<ArrayBuffer> =>
  build({
    pairs: [pair("general.architecture", 8, string("llama"))],
    infos: [
      info({ name: "a.weight", dims: [8, 2], type: 0, offset: 0 }),
      info({ name: "b.weight", dims: [32], type: 8, offset: 64 }),
    ],
    data: new Uint8Array(64 + 64).fill(7),
  });

export const source = (bytes: Uint8Array<ArrayBuffer>, name = "model.gguf"): Source =>
  memorySource(bytes, name);

export const alone = async (fileName: string): Promise<Source> => {
  throw new Error(`nothing beside it: ${fileName}`);
};
