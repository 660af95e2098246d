import { FewbitError, type ImportanceMatrix, type MetadataEntry, type Model } from "@fewbit/core";
import { mixes } from "./mixes.js";
import { type PrunedModel, visitingOrder } from "./selection.js";
import { decodeLenient, encode, quoted } from "./text.js";
import { FILE_TYPE_GUESSED } from "./types.js";
import { splitKeys } from "./writer.js";

/** ggml's version of the quantized types' layouts. */
const QUANTIZATION_VERSION = 2;
/** Longer strings are cut by llama.cpp's tools. */
const MAX_OVERRIDE_BYTES = 127;

/** The entries with `added` at the end, in place of entries of the same keys. */
function moveToEnd(entries: readonly MetadataEntry[], added: readonly MetadataEntry[]): MetadataEntry[] {
  const keys = new Set(added.map(({ key }) => key));
  return [...entries.filter(({ key }) => !keys.has(key)), ...added];
}

/**
 * The metadata of a quantized model: the source's own, then version and file type, then where the importance matrix
 * came from. Key order is llama-quantize's. A matrix without `file` leaves no trace.
 */
export function outputMetadata(
  model: Model,
  fileType: number,
  importance?: ImportanceMatrix,
): MetadataEntry[] {
  const own = model.metadata.filter(({ key }) => !splitKeys.includes(key));
  const pruned = (model as Partial<PrunedModel>).unpruned !== undefined;
  return moveToEnd(own, [
    { key: "general.quantization_version", type: "u32", value: QUANTIZATION_VERSION },
    { key: "general.file_type", type: "u32", value: fileType },
    ...importanceEntries(importance),
    ...(pruned ? own.filter(({ key }) => key.endsWith(".block_count")) : []),
  ]);
}

function importanceEntries(importance: ImportanceMatrix | undefined): MetadataEntry[] {
  if (importance?.file === undefined) return [];
  const { file, datasets, tensors, chunks } = importance;
  const name = file.split(/[/\\]/).at(-1)!;
  return [
    // Without its folder: an output must not depend on the machine it was made on.
    { key: "quantize.imatrix.file", type: "string", value: cut(name) },
    ...(datasets[0] === undefined
      ? []
      : [{ key: "quantize.imatrix.dataset", type: "string", value: cut(datasets[0]) }]),
    { key: "quantize.imatrix.entries_count", type: "u32", value: tensors.size },
    ...(chunks > 0 ? [{ key: "quantize.imatrix.chunks_count", type: "u32", value: chunks }] : []),
  ];
}

/** Cut to 127 bytes, between characters. */
function cut(text: string): string {
  const bytes = encode(text);
  if (bytes.length <= MAX_OVERRIDE_BYTES) return text;
  let end = MAX_OVERRIDE_BYTES;
  while ((bytes[end]! & 0xc0) === 0x80) end--;
  return decodeLenient(bytes.subarray(0, end));
}

/** The file type of a plain copy: the source's own, or what its most frequent tensor type suggests. */
export function sourceFileType(model: Model): number {
  const own = model.metadata.find(({ key, type }) => key === "general.file_type" && type === "u32");
  if (own !== undefined) return own.value as number;
  const counts = new Map<string, number>();
  let most = "F32";
  let count = 0;
  // The type that first reaches the highest count, in visiting order.
  for (const { dtype } of visitingOrder(model, false)) {
    const next = (counts.get(dtype) ?? 0) + 1;
    counts.set(dtype, next);
    if (next > count) [most, count] = [dtype, next];
  }
  const name = { Q3_K: "Q3_K_M", Q4_K: "Q4_K_M", Q5_K: "Q5_K_M" }[most] ?? most;
  const fileType = name === "NVFP4" ? 39 : (mixes.get(name)?.fileType ?? 0);
  return fileType | FILE_TYPE_GUESSED;
}

/**
 * `KEY=TYPE:VALUE` as llama-quantize's --override-kv takes it: `int` (stored as u32), `float` (f32), `bool`, `str`.
 *
 * @throws `E_USAGE`
 */
export function parseOverride(text: string): MetadataEntry {
  const match = /^([^=]+)=([a-z]+):(.*)$/s.exec(text);
  const fail = (why: string): FewbitError =>
    new FewbitError(
      "E_USAGE",
      `The metadata override ${quoted(text)} ${why}.`,
      {},
      "Write KEY=TYPE:VALUE with the type int, float, bool or str, such as general.name=str:Mine.",
    );
  if (match === null) throw fail("is not of the form KEY=TYPE:VALUE");
  const [, key, type, value] = match as unknown as [string, string, string, string];
  if (encode(key).length > MAX_OVERRIDE_BYTES)
    throw fail(`has a key longer than ${MAX_OVERRIDE_BYTES} bytes`);
  if (splitKeys.includes(key) || key === "general.alignment")
    throw fail("names a key that the writer itself decides");
  switch (type) {
    case "int": {
      const number = /^\s*[+-]?\d+\s*$/.test(value) ? BigInt(value.trim().replace(/^\+/, "")) : undefined;
      const size = number === undefined ? undefined : number < 0n ? -number : number;
      // llama.cpp stores the absolute value as u32, whatever the key's type was.
      if (size === undefined || size >= 2n ** 32n) throw fail("is no whole number below 2^32");
      return { key, type: "u32", value: Number(size) };
    }
    case "float":
      if (value.trim() === "" || Number.isNaN(Number(value))) throw fail("is no number");
      return { key, type: "f32", value: Number(value) };
    case "bool":
      if (value !== "true" && value !== "false") throw fail("is neither true nor false");
      return { key, type: "bool", value: value === "true" };
    case "str":
      if (encode(value).length > MAX_OVERRIDE_BYTES) throw fail(`is longer than ${MAX_OVERRIDE_BYTES} bytes`);
      return { key, type: "string", value };
    default:
      throw fail(`has the unknown type ${quoted(type)}`);
  }
}

/**
 * A recipe's metadata with the user's overrides where llama-quantize puts them: after the file type, before what it
 * says of the importance matrix and of pruned layers, which they cannot change.
 */
export function applyOverrides(
  metadata: readonly MetadataEntry[],
  overrides: readonly MetadataEntry[],
): MetadataEntry[] {
  let tail = metadata.length;
  while (tail > 0 && setLater(metadata[tail - 1]!.key)) tail--;
  const later = new Set(metadata.slice(tail).map(({ key }) => key));
  // As when keys are set one after another: the last of a key wins, in the last place.
  const last = overrides.reduce<MetadataEntry[]>((done, entry) => moveToEnd(done, [entry]), []);
  return [
    ...moveToEnd(
      metadata.slice(0, tail),
      last.filter(({ key }) => !later.has(key)),
    ),
    ...metadata.slice(tail),
  ];
}

/** Keys that llama-quantize sets after the user's. */
const setLater = (key: string): boolean =>
  key.startsWith("quantize.imatrix.") || key.endsWith(".block_count");
