import { writeFileSync } from "node:fs";
import type { MetadataEntry } from "@fewbit/core";
import formatGguf from "@fewbit/format-gguf";

export interface GivenTensor {
  readonly name: string;
  /** Row-major. */
  readonly shape: readonly number[];
  /** F32 unless said otherwise. */
  readonly dtype?: "F32" | "F16" | "BF16" | "Q8_0";
  readonly bytes: Uint8Array;
}

/** Weights like a trained model's: small, centred, the same in every run. */
export function weights(count: number, seed: number): Float32Array {
  let state = seed * 2654435761;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return (state >>> 8) / 2 ** 24 - 0.5;
  };
  return Float32Array.from({ length: count }, () => (next() + next() + next()) * 0.05);
}

export const float32 = (values: Float32Array): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

/** The upper half of each float32. */
export function bfloat16(values: Float32Array): Uint8Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return new Uint8Array(Uint16Array.from(bits, (word) => word >>> 16).buffer);
}

/** Writes a GGUF file through the product's own writer. */
export function writeGguf(
  path: string,
  metadata: readonly MetadataEntry[],
  tensors: readonly GivenTensor[],
): void {
  const [writer] = formatGguf.writers!;
  const output = writer!.layout({
    metadata,
    files: 1,
    tensors: tensors.map(({ name, shape, dtype = "F32", bytes }) => ({
      name,
      dtype,
      shape,
      file: 0,
      parts: [{ name: "", dtype, shape, bytes: bytes.length, per: "tensor" }],
    })),
  });
  const { header, size } = output.files[0]!;
  const file = new Uint8Array(size);
  file.set(header);
  for (const place of output.places)
    file.set(tensors.find((tensor) => tensor.name === place.tensor)!.bytes, place.offset);
  writeFileSync(path, file);
}

/** The metadata and tensors of a small llama: two layers of 256 columns. */
export function writeTinyModel(path: string, more: readonly MetadataEntry[] = []): void {
  const metadata: MetadataEntry[] = [
    { key: "general.architecture", type: "string", value: "llama" },
    { key: "general.name", type: "string", value: "tiny" },
    { key: "llama.block_count", type: "u32", value: 2 },
    { key: "llama.context_length", type: "u32", value: 128 },
    { key: "llama.embedding_length", type: "u32", value: 256 },
    { key: "llama.feed_forward_length", type: "u32", value: 512 },
    { key: "llama.attention.head_count", type: "u32", value: 4 },
    { key: "llama.attention.head_count_kv", type: "u32", value: 4 },
    ...more,
  ];
  let seed = 1;
  const matrix = (name: string, rows: number, columns: number): GivenTensor => ({
    name,
    shape: [rows, columns],
    dtype: "BF16",
    bytes: bfloat16(weights(rows * columns, seed++)),
  });
  const norm = (name: string): GivenTensor => ({ name, shape: [256], bytes: float32(weights(256, seed++)) });
  writeGguf(path, metadata, [
    matrix("token_embd.weight", 64, 256),
    ...[0, 1].flatMap((i) => [
      norm(`blk.${i}.attn_norm.weight`),
      matrix(`blk.${i}.attn_q.weight`, 256, 256),
      matrix(`blk.${i}.attn_k.weight`, 256, 256),
      matrix(`blk.${i}.attn_v.weight`, 256, 256),
      matrix(`blk.${i}.attn_output.weight`, 256, 256),
      norm(`blk.${i}.ffn_norm.weight`),
      matrix(`blk.${i}.ffn_gate.weight`, 512, 256),
      matrix(`blk.${i}.ffn_up.weight`, 512, 256),
      matrix(`blk.${i}.ffn_down.weight`, 256, 512),
    ]),
    norm("output_norm.weight"),
    matrix("output.weight", 64, 256),
  ]);
}
