import { type Draft, FewbitError, type FormatWriter, type MetadataEntry, type Output } from "@fewbit/core";
import { DEFAULT_ALIGNMENT } from "./scan.js";
import { parseShardName, shardName } from "./shard.js";
import { encode, quoted } from "./text.js";
import { BIG_ENDIAN, tensorBytes, tensorTypes } from "./types.js";
import { Bytes, encodeValue, valueTypeId } from "./value.js";

/** What every shard of a split model says, and no other file; in llama-quantize's order. */
export const splitKeys: readonly string[] = ["split.no", "split.count", "split.tensors.count"];

/** Writes GGUF version 3, byte for byte as llama.cpp lays it out. */
export const writer = {
  id: "gguf",
  extensions: [".gguf"],
  accepts,
  layout,
  fileNames,
} as const satisfies FormatWriter;

function accepts(dtype: string): true | string {
  if (tensorTypes.has(dtype)) return true;
  if (dtype.endsWith(BIG_ENDIAN))
    return "its bytes are big-endian, and GGUF is written little-endian; convert the file's byte order first";
  return `GGUF has no tensor type ${dtype}`;
}

/**
 * `model.gguf`, 2 → `model-00001-of-00002.gguf`, `model-00002-of-00002.gguf`. A name that is a shard's already keeps
 * its prefix only.
 */
function fileNames(output: string, files: number): readonly string[] {
  if (files <= 1) return [output];
  const prefix = parseShardName(output)?.prefix ?? output.replace(/\.gguf$/i, "");
  return Array.from({ length: files }, (_, i) => shardName(prefix, i, files));
}

/**
 * Header bytes of every file and a place for every tensor. Pure.
 *
 * The metadata goes into the first file; a split adds its own keys to each, and a single file has none of them. Data
 * is padded to `general.alignment` in the file that says it, to 32 elsewhere.
 *
 * @throws `E_GGUF_KEY`, `E_GGUF_DUP_KEY`, `E_GGUF_TYPE`, `E_GGUF_ALIGNMENT`, `E_GGUF_NAME`, `E_GGUF_DUP_TENSOR`,
 *   `E_GGUF_NDIMS`, `E_GGUF_TENSOR_TYPE`; `E_PLUGIN_FAILED` where a scheme's parts are not the bytes its type takes
 */
export function layout(draft: Draft): Output {
  const seen = new Set<string>();
  const tensors = draft.tensors.map((tensor) => {
    if (seen.has(tensor.name))
      throw new FewbitError(
        "E_GGUF_DUP_TENSOR",
        `The tensor ${quoted(tensor.name)} is to be written twice.`,
        { tensor: tensor.name },
        "Give each tensor a name of its own.",
      );
    seen.add(tensor.name);
    return describe(tensor);
  });

  const places: Output["places"][number][] = [];
  const files = Array.from({ length: draft.files }, (_, file) => {
    const metadata = fileMetadata(draft, file);
    const alignment = alignmentOf(metadata);
    const own = tensors.filter((tensor) => tensor.file === file);

    const header = new Bytes();
    header.raw(encode("GGUF"));
    header.u32(3);
    header.u64(BigInt(own.length));
    header.u64(BigInt(metadata.length));
    putMetadata(header, metadata);
    let offset = 0;
    for (const tensor of own) {
      header.string(tensor.nameBytes);
      header.u32(tensor.dims.length);
      for (const dim of tensor.dims) header.u64(BigInt(dim));
      header.u32(tensor.type);
      header.u64(BigInt(offset));
      places.push({ tensor: tensor.name, part: "", file, offset });
      offset = Math.ceil((offset + tensor.bytes) / alignment) * alignment;
    }
    header.padTo(alignment);
    const bytes = header.done();
    return { header: bytes, size: bytes.length + offset };
  });
  return {
    files,
    places: places.map((place) => ({ ...place, offset: place.offset + files[place.file]!.header.length })),
  };
}

type DraftTensor = Draft["tensors"][number];

/** A tensor in GGUF's own terms. */
function describe({ name, dtype, shape, parts, file }: DraftTensor) {
  const nameBytes = encode(name);
  const fail = (code: "E_GGUF_NAME" | "E_GGUF_NDIMS", message: string, remedy: string): never => {
    throw new FewbitError(code, message, { tensor: name }, remedy);
  };
  if (nameBytes.length === 0 || nameBytes.length > 64 || name.includes("\0") || !wellFormed(name))
    fail(
      "E_GGUF_NAME",
      `GGUF cannot hold the tensor name ${quoted(name)}.`,
      "Names are 1 to 64 bytes of UTF-8 without NUL.",
    );
  const dims = countedDims([...shape].reverse());
  if (dims.length > 4)
    fail(
      "E_GGUF_NDIMS",
      `${quoted(name)} has ${dims.length} dimensions; GGUF allows 4.`,
      "Merge dimensions that belong together.",
    );
  const type = tensorTypes.get(dtype);
  if (type === undefined)
    throw new FewbitError(
      "E_GGUF_TENSOR_TYPE",
      `${quoted(name)} cannot be stored: ${accepts(dtype)}.`,
      { tensor: name },
      "Choose another type for it.",
    );
  const rows = dims.slice(1).reduce((a, b) => a * b, 1);
  const bytes = tensorBytes(type, dims[0] ?? 1, rows);
  if (parts.length !== 1 || parts[0]!.name !== "" || parts[0]!.bytes !== bytes)
    throw new FewbitError(
      "E_PLUGIN_FAILED",
      `${quoted(name)} [${shape.join(" × ")}] as ${dtype} takes ${bytes ?? "no whole number of"} bytes in one part; its scheme says ${parts
        .map((part) => `${part.bytes} bytes${part.name === "" ? "" : ` (${part.name})`}`)
        .join(", ")}.`,
      { tensor: name },
      "This is a fault of the plugin that brings the scheme: report it there.",
    );
  return { name, nameBytes, dims, type: type.id, bytes, file };
}

/** Trailing dimensions of 1 are not counted, as in every file that ggml writes. */
function countedDims(dims: readonly number[]): readonly number[] {
  let count = dims.length;
  while (count > 1 && dims[count - 1] === 1) count--;
  return dims.slice(0, count);
}

/** Where the output is split, its keys follow: in the order of the draft where that names them all. */
function fileMetadata(draft: Draft, file: number): readonly MetadataEntry[] {
  const own = draft.metadata.filter(({ key }) => !splitKeys.includes(key));
  if (draft.files === 1) return own;
  const named = draft.metadata.map(({ key }) => key).filter((key) => splitKeys.includes(key));
  const values: Readonly<Record<string, MetadataEntry>> = {
    "split.no": { key: "split.no", type: "u16", value: file },
    "split.count": { key: "split.count", type: "u16", value: draft.files },
    "split.tensors.count": { key: "split.tensors.count", type: "i32", value: draft.tensors.length },
  };
  const order = named.length === splitKeys.length ? named : splitKeys;
  return [...(file === 0 ? own : []), ...order.map((key) => values[key]!)];
}

function alignmentOf(metadata: readonly MetadataEntry[]): number {
  const entry = metadata.find(({ key }) => key === "general.alignment");
  if (entry === undefined) return DEFAULT_ALIGNMENT;
  const alignment = entry.value as number;
  if (entry.type !== "u32" || !Number.isInteger(Math.log2(alignment)) || alignment > 65536)
    throw new FewbitError(
      "E_GGUF_ALIGNMENT",
      `general.alignment cannot be the ${entry.type} ${quoted(String(entry.value))}.`,
      { key: "general.alignment" },
      "Make it a u32 that is a power of two up to 65536, or leave it out.",
    );
  return alignment;
}

function putMetadata(header: Bytes, metadata: readonly MetadataEntry[]): void {
  const seen = new Set<string>();
  for (const { key, type, value, raw } of metadata) {
    if (seen.has(key))
      throw new FewbitError(
        "E_GGUF_DUP_KEY",
        `The metadata key ${quoted(key)} is to be written twice.`,
        { key },
        "Give each entry a key of its own.",
      );
    seen.add(key);
    const keyBytes = encode(key);
    if (keyBytes.length === 0 || keyBytes.length > 65535 || key.includes("\0") || !wellFormed(key))
      throw new FewbitError(
        "E_GGUF_KEY",
        `GGUF cannot hold the metadata key ${quoted(key)}.`,
        { key },
        "Keys are 1 to 65535 bytes of UTF-8 without NUL.",
      );
    const bytes = raw ?? encodeValue(type, value, key);
    header.string(keyBytes);
    header.u32(valueTypeId(type));
    header.raw(bytes);
  }
}

/** A lone surrogate has no UTF-8: two names that differ in it would be written as one. */
const wellFormed = (text: string): boolean => !/\p{Surrogate}/u.test(text);
