// Writes a GGUF in the shape of a Llama model: random weights, or holes that read as zeros and take no room on the disk.
import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";
import float from "@fewbit/scheme-float";
import { makeRows } from "../cases.js";

export interface ModelShape {
  readonly hidden: number;
  readonly ffn: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly vocab: number;
  readonly layers: number;
}

/** Sizes of a small Llama 3, without layers. */
export const smallShape = { hidden: 1024, ffn: 2816, heads: 16, kvHeads: 4, vocab: 8192 };
/** Sizes of Llama 2 7B, without layers. */
export const largeShape = { hidden: 4096, ffn: 11008, heads: 32, kvHeads: 32, vocab: 32000 };

interface Tensor {
  readonly name: string;
  /** The last dimension is the contiguous one. */
  readonly shape: readonly number[];
}

function tensors({ hidden, ffn, heads, kvHeads, vocab, layers }: ModelShape): Tensor[] {
  const kv = (hidden / heads) * kvHeads;
  const layer = (i: number): Tensor[] => [
    { name: `blk.${i}.attn_norm.weight`, shape: [hidden] },
    { name: `blk.${i}.attn_q.weight`, shape: [hidden, hidden] },
    { name: `blk.${i}.attn_k.weight`, shape: [kv, hidden] },
    { name: `blk.${i}.attn_v.weight`, shape: [kv, hidden] },
    { name: `blk.${i}.attn_output.weight`, shape: [hidden, hidden] },
    { name: `blk.${i}.ffn_norm.weight`, shape: [hidden] },
    { name: `blk.${i}.ffn_gate.weight`, shape: [ffn, hidden] },
    { name: `blk.${i}.ffn_up.weight`, shape: [ffn, hidden] },
    { name: `blk.${i}.ffn_down.weight`, shape: [hidden, ffn] },
  ];
  return [
    { name: "token_embd.weight", shape: [vocab, hidden] },
    ...Array.from({ length: layers }, (_, i) => layer(i)).flat(),
    { name: "output_norm.weight", shape: [hidden] },
    { name: "output.weight", shape: [vocab, hidden] },
  ];
}

const count = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
/** Norms are float32, as in every published model. */
const bytesOf = ({ shape }: Tensor): number => count(shape) * (shape.length === 1 ? 4 : 2);
const weights = (shape: ModelShape): number => tensors(shape).reduce((sum, t) => sum + count(t.shape), 0);

/** The shape with as many layers as bring its file nearest to `bytes`, at least one. */
export function shapeOfSize(base: Omit<ModelShape, "layers">, bytes: number): ModelShape {
  const without = weights({ ...base, layers: 0 }) * 2;
  const layer = weights({ ...base, layers: 1 }) * 2 - without;
  return { ...base, layers: Math.max(1, Math.round((bytes - without) / layer)) };
}

export type SourceType = "F16" | "BF16";

/** @returns bytes of the file */
export async function writeModel(
  path: string,
  shape: ModelShape,
  type: SourceType,
  sparse: boolean,
): Promise<number> {
  const list = tensors(shape);
  const file = openSync(path, "w");
  try {
    const header = encodeHeader(shape, list, type);
    let at = writeSync(file, header, 0, header.length, 0);
    const pool = sparse ? new Uint8Array(0) : await randomWeights(type);
    for (const tensor of list) {
      const size = bytesOf(tensor);
      if (tensor.shape.length === 1) writeAt(file, floats(new Float32Array(size / 4).fill(1)), at);
      // Every tensor starts elsewhere in the pool, so that none repeats another.
      else if (!sparse)
        for (let done = 0, from = ((at * 7) % pool.length) & ~1; done < size; from = 0) {
          const piece = pool.subarray(from, from + Math.min(size - done, pool.length - from));
          writeAt(file, piece, at + done);
          done += piece.length;
        }
      at += align(size);
    }
    ftruncateSync(file, at);
    return at;
  } finally {
    closeSync(file);
  }
}

const floats = (values: Float32Array): Uint8Array => new Uint8Array(values.buffer);
const writeAt = (file: number, bytes: Uint8Array, at: number): void => {
  for (let done = 0; done < bytes.length; )
    done += writeSync(file, bytes, done, bytes.length - done, at + done);
};

/** 2²² normal numbers as trained matrices have them. */
async function randomWeights(type: SourceType): Promise<Uint8Array> {
  const rows = makeRows("normal", 1024, 4096);
  const codec = await float.schemes.find(({ id }) => id === type)!.load();
  const bytes = new Uint8Array(rows.length * 2);
  codec.encode(rows, [bytes], { columns: 4096 });
  return bytes;
}

const ALIGNMENT = 32;
const align = (n: number): number => Math.ceil(n / ALIGNMENT) * ALIGNMENT;

function encodeHeader(shape: ModelShape, list: readonly Tensor[], type: SourceType): Buffer {
  const u32 = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    return bytes;
  };
  const u64 = (value: number) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(value));
    return bytes;
  };
  const text = (value: string) => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);
  const metadata: [string, string | number | Float32Array][] = [
    ["general.architecture", "llama"],
    ["general.name", "benchmark"],
    ["general.file_type", type === "F16" ? 1 : 32],
    ["llama.context_length", 2048],
    ["llama.embedding_length", shape.hidden],
    ["llama.block_count", shape.layers],
    ["llama.feed_forward_length", shape.ffn],
    ["llama.attention.head_count", shape.heads],
    ["llama.attention.head_count_kv", shape.kvHeads],
    ["llama.attention.layer_norm_rms_epsilon", Float32Array.of(1e-5)],
    ["llama.rope.dimension_count", shape.hidden / shape.heads],
    ["llama.vocab_size", shape.vocab],
  ];
  const value = (v: string | number | Float32Array): Uint8Array[] =>
    typeof v === "string"
      ? [u32(8), text(v)]
      : typeof v === "number"
        ? [u32(4), u32(v)]
        : [u32(6), floats(v)];
  const parts: Uint8Array[] = [Buffer.from("GGUF"), u32(3), u64(list.length), u64(metadata.length)];
  for (const [key, v] of metadata) parts.push(text(key), ...value(v));
  let offset = 0;
  for (const tensor of list) {
    const dimensions = [...tensor.shape].reverse();
    const id = tensor.shape.length === 1 ? 0 : type === "F16" ? 1 : 30;
    parts.push(text(tensor.name), u32(dimensions.length), ...dimensions.map(u64), u32(id), u64(offset));
    offset += align(bytesOf(tensor));
  }
  const header = Buffer.concat(parts);
  return Buffer.concat([header, Buffer.alloc(align(header.length) - header.length)]);
}
