// Writes a checkpoint of random weights as the transformers library lays it out: config.json, tokenizer, weights.
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { shardNames, writeIndex, writer } from "@fewbit/format-safetensors";
import { bell, numbers } from "./random.js";
import type { Files } from "./tokenizer.js";

/** One tensor of a checkpoint. */
export interface TinyTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** BF16 when absent. */
  readonly dtype?: "F32" | "F16" | "BF16" | "U8";
  /** Mean and standard deviation; 0 and 1 ÷ √columns when absent. For bytes: least, and how many values. */
  readonly mean?: number;
  readonly spread?: number;
}

/** A model too small to know anything, of a real architecture. */
export interface Tiny {
  readonly name: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly tensors: readonly TinyTensor[];
  /** The tokenizer's files, and whatever else lies in the folder. */
  readonly files: Files;
  /** 1 when absent. */
  readonly shards?: number;
}

const WIDTH = { F32: 4, F16: 2, BF16: 2, U8: 1 };

/** Same model, same bytes. */
export function writeCheckpoint(folder: string, tiny: Tiny): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "config.json"), `${JSON.stringify(tiny.config, null, 2)}\n`);
  for (const [name, content] of Object.entries(tiny.files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  const shards = tiny.shards ?? 1;
  const draft = {
    metadata: [{ key: "format", type: "string", value: "pt" }],
    files: shards,
    tensors: tiny.tensors.map(({ name, shape, dtype = "BF16" }, i) => ({
      name,
      shape,
      dtype,
      parts: [{ name: "", dtype, shape, bytes: count(shape) * WIDTH[dtype], per: "row" as const }],
      file: Math.floor((i * shards) / tiny.tensors.length),
    })),
  };
  const { files, places } = writer.layout(draft);
  const contents = files.map(({ header, size }) => {
    const bytes = new Uint8Array(size);
    bytes.set(header);
    return bytes;
  });
  const byName = new Map(tiny.tensors.map((tensor) => [tensor.name, tensor]));
  for (const { tensor, file, offset } of places)
    contents[file]!.set(content(tiny.name, byName.get(tensor)!), offset);
  const names = shards === 1 ? ["model.safetensors"] : shardNames(shards);
  for (const [i, bytes] of contents.entries()) writeFileSync(join(folder, names[i]!), bytes);
  if (shards > 1) writeFileSync(join(folder, "model.safetensors.index.json"), writeIndex(draft, names));
}

const count = (shape: readonly number[]): number => shape.reduce((product, dim) => product * dim, 1);

function content(model: string, { name, shape, dtype = "BF16", mean = 0, spread }: TinyTensor): Uint8Array {
  const next = numbers(`${model}/${name}`);
  const size = count(shape);
  if (dtype === "U8") return Uint8Array.from({ length: size }, () => mean + (next() % (spread ?? 256)));
  const normal = bell(next);
  const deviation = spread ?? 1 / Math.sqrt(shape.at(-1)!);
  const values = Float32Array.from({ length: size }, () => mean + normal() * deviation);
  if (dtype === "F32") return new Uint8Array(values.buffer);
  const bits = new Uint32Array(values.buffer);
  return new Uint8Array(Uint16Array.from(bits, dtype === "F16" ? half : (word) => word >>> 16).buffer);
}

/** float32 bits → float16 bits, cut off; the numbers here are neither huge nor infinite. */
function half(word: number): number {
  const exponent = ((word >>> 23) & 255) - 112;
  const sign = (word >>> 16) & 0x8000;
  return exponent <= 0 ? sign : sign | (exponent << 10) | ((word >>> 13) & 1023);
}
