import { type Draft, FewbitError, type FormatWriter, type MetadataEntry, type Output } from "@fewbit/core";
import { compareBytes, encode, quoted, wellFormed } from "./text.js";
import { dtypes, MAX_HEADER_BYTES, METADATA, PREFIX_BYTES } from "./types.js";

/** The header is padded so that the data, and with it every element, is aligned. */
const ALIGNMENT = 8;

/**
 * Writes safetensors byte for byte as the format's own library does: tensors with the widest elements first, then by
 * name, so that every one is aligned although there are no gaps.
 *
 * Without `fileNames`: a split checkpoint needs an index beside its shards, which is no file of tensors. `layout` lays
 * out any number of files all the same, and `writeIndex` makes their index.
 */
export const writer = {
  id: "safetensors",
  extensions: [".safetensors"],
  accepts,
  layout,
} as const satisfies FormatWriter;

function accepts(dtype: string): true | string {
  return dtypes.has(dtype) || `safetensors has no dtype ${dtype}; it has ${[...dtypes.keys()].join(", ")}`;
}

/**
 * Header bytes of every file and a place for every tensor. Pure. The metadata goes into every file.
 *
 * @throws `E_ST_NAME`, `E_ST_DUP`, `E_ST_DTYPE`, `E_ST_SHAPE`, `E_ST_METADATA`, `E_ST_HEADER_LENGTH`; `E_PLUGIN_FAILED`
 *   where a scheme's parts are not the bytes its type takes
 */
export function layout(draft: Draft): Output {
  const seen = new Set<string>();
  for (const tensor of draft.tensors) {
    check(tensor);
    if (seen.has(tensor.name))
      throw new FewbitError(
        "E_ST_DUP",
        `The tensor ${quoted(tensor.name)} is to be written twice.`,
        { tensor: tensor.name },
        "Give each tensor a name of its own.",
      );
    seen.add(tensor.name);
  }
  const metadata = metadataText(draft.metadata);
  const order = new Map(Array.from(dtypes.keys(), (dtype, i) => [dtype, i]));
  const sorted = [...draft.tensors].sort(
    (a, b) => order.get(b.dtype)! - order.get(a.dtype)! || compareBytes(a.name, b.name),
  );

  const places: Output["places"][number][] = [];
  const files = Array.from({ length: draft.files }, (_, file) => {
    let offset = 0;
    const own = sorted.filter((tensor) => tensor.file === file);
    const entries = own.map(({ name, dtype, shape, parts }) => {
      const begin = offset;
      offset += parts[0]!.bytes;
      // Text by hand: as keys of an object, names such as "1" would move and "__proto__" would vanish.
      return `${JSON.stringify(name)}:{"dtype":"${dtype}","shape":[${shape.join(",")}],"data_offsets":[${begin},${offset}]}`;
    });
    const header = seal(`{${[...metadata, ...entries].join(",")}}`);
    let at = header.length;
    for (const { name, parts } of own) {
      places.push({ tensor: name, part: "", file, offset: at });
      at += parts[0]!.bytes;
    }
    return { header, size: at };
  });
  return { files, places };
}

/** Length, text, and spaces up to the alignment. */
function seal(text: string): Uint8Array {
  const bytes = encode(text);
  const length = Math.ceil(bytes.length / ALIGNMENT) * ALIGNMENT;
  if (length > MAX_HEADER_BYTES)
    throw new FewbitError(
      "E_ST_HEADER_LENGTH",
      `The header would have ${length} bytes; at most ${MAX_HEADER_BYTES} are allowed.`,
      { key: "header_length" },
      "Split the model into more files, or shorten its metadata.",
    );
  const header = new Uint8Array(PREFIX_BYTES + length).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(bytes, PREFIX_BYTES);
  return header;
}

function check({ name, dtype, shape, parts }: Draft["tensors"][number]): void {
  const bits = dtypes.get(dtype)?.bits;
  if (bits === undefined)
    throw new FewbitError(
      "E_ST_DTYPE",
      `${quoted(name)} cannot be stored: ${accepts(dtype)}.`,
      { tensor: name },
      "Choose another type for it.",
    );
  if (name === METADATA || !wellFormed(name))
    throw new FewbitError(
      "E_ST_NAME",
      `safetensors cannot hold the tensor name ${quoted(name)}.`,
      { tensor: name },
      `Names are any text but ${METADATA}.`,
    );
  if (!shape.every((dim) => Number.isSafeInteger(dim) && dim >= 0))
    throw new FewbitError(
      "E_ST_SHAPE",
      `${quoted(name)} cannot have the shape [${shape.join(", ")}].`,
      { tensor: name },
      "Dimensions are whole numbers from 0.",
    );
  const size = shape.reduce((product, dim) => product * BigInt(dim), BigInt(bits));
  const whole = size % 8n === 0n;
  if (!whole || parts.length !== 1 || parts[0]!.name !== "" || BigInt(parts[0]!.bytes) !== size / 8n)
    throw new FewbitError(
      "E_PLUGIN_FAILED",
      `${quoted(name)} [${shape.join(" × ")}] as ${dtype} takes ${whole ? size / 8n : "no whole number of"} bytes in one part; its scheme says ${parts
        .map((part) => `${part.bytes} bytes${part.name === "" ? "" : ` (${part.name})`}`)
        .join(", ")}.`,
      { tensor: name },
      "This is a fault of the plugin that brings the scheme: report it there.",
    );
}

function metadataText(metadata: readonly MetadataEntry[]): string[] {
  if (metadata.length === 0) return [];
  const seen = new Set<string>();
  const entries = metadata.map(({ key, type, value }) => {
    if (seen.has(key))
      throw new FewbitError(
        "E_ST_DUP",
        `The metadata key ${quoted(key)} is to be written twice.`,
        { key },
        "Give each entry a key of its own.",
      );
    seen.add(key);
    if (type !== "string" || typeof value !== "string" || !wellFormed(key) || !wellFormed(value))
      throw new FewbitError(
        "E_ST_METADATA",
        `safetensors cannot hold the metadata ${quoted(key)} of type ${type}.`,
        { key },
        "Leave it out or make it text: keys and values are text only.",
      );
    return `${JSON.stringify(key)}:${JSON.stringify(value)}`;
  });
  return [`"${METADATA}":{${entries.join(",")}}`];
}
