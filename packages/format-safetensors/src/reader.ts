import {
  bareName,
  FewbitError,
  type FormatReader,
  isFewbitError,
  locate,
  type MetadataEntry,
  type Model,
  nameOf,
  type Source,
} from "@fewbit/core";
import { type Index, readIndex } from "./checkpoint.js";
import { type Scan, scan } from "./scan.js";
import { quoted } from "./text.js";
import { MAX_HEADER_BYTES } from "./types.js";

const INDEX_NAME = /\.safetensors\.index(\.[\w-]+)?\.json$/i;

/** Reads single files and, by their index, sharded checkpoints; refuses whatever breaks a rule of the format. */
export const reader: FormatReader = {
  id: "safetensors",
  extensions: [".safetensors"],
  folderFiles: ["model.safetensors.index.json", "model.safetensors"],
  sniff,
  open: openSafetensors,
};

/** By name as well: a damaged or mislabelled file deserves this reader's explanation. */
function sniff(head: Uint8Array, fileName: string): boolean {
  if (/\.safetensors$/i.test(fileName) || INDEX_NAME.test(fileName)) return true;
  if (head.length < 10) return false;
  const length = new DataView(head.buffer, head.byteOffset).getBigUint64(0, true);
  return (
    length >= 2n && length <= BigInt(MAX_HEADER_BYTES) && head[8] === 0x7b && /["}\s]/.test(char(head[9]!))
  );
}

const char = (byte: number): string => String.fromCharCode(byte);

/**
 * Opens a single file, or all shards of a checkpoint where the name is an index's (`….json`).
 *
 * @throws `E_ST_*` where a file is malformed, `E_INDEX_*` where an index is, or its shards do not belong together
 */
export async function openSafetensors(
  source: Source,
  sibling: (fileName: string) => Promise<Source>,
): Promise<Model> {
  if (!/\.json$/i.test(bareName(source.at))) return join([source], [await scan(source)]);

  const index = await readIndex(source);
  const sources: Source[] = [];
  const scans: Scan[] = [];
  for (const [i, name] of index.shards.entries()) {
    const shard = await openShard(sibling, name, i, index);
    try {
      scans.push(await scan(shard));
    } finally {
      await shard.close();
    }
    sources.push(shard);
  }
  const unlisted = checkHomes(index, sources, scans);
  return join(sources, scans, [...unlisted, ...checkTotal(index, scans)]);
}

async function openShard(
  sibling: (fileName: string) => Promise<Source>,
  name: string,
  shard: number,
  index: Index,
): Promise<Source> {
  try {
    return await sibling(name);
  } catch (cause) {
    if (isFewbitError(cause) && cause.code !== "E_IO") throw locate(cause, { file: name });
    const why = cause instanceof Error ? `: ${cause.message}` : "";
    throw index.error(
      index.someTensorOf(shard),
      "E_INDEX_MISSING",
      `The index names ${quoted(name)}, which cannot be opened${why}.`,
      "Put all files of the checkpoint into one folder; download the missing one.",
      cause,
    );
  }
}

/** Every tensor of the index must be in its shard, and in no other; gives a warning about those it forgets. */
function checkHomes(index: Index, sources: readonly Source[], scans: readonly Scan[]): string[] {
  const found = new Map<string, number>();
  for (const [shard, { tensors }] of scans.entries())
    for (const { name, record } of tensors) {
      const other = found.get(name);
      if (other !== undefined)
        throw new FewbitError(
          "E_INDEX_DUP",
          `The tensor ${quoted(name)} is in ${index.shards[other]} and in ${index.shards[shard]}.`,
          { file: nameOf(sources[shard]!.at), tensor: name, offset: record, key: "weight_map" },
          "Download all files of the checkpoint again, from the same place.",
        );
      found.set(name, shard);
    }
  for (const [tensor, shard] of index.homes)
    if (found.get(tensor) !== shard)
      throw index.error(
        tensor,
        "E_INDEX_MISMATCH",
        `The index puts ${quoted(tensor)} into ${index.shards[shard]}, which does not hold it.`,
        "Download all files of the checkpoint again, from the same place.",
      );
  const unlisted = found.size - index.homes.size;
  return unlisted === 0
    ? []
    : [`${unlisted} tensors are in the shards and not in the index; they are taken as part of the model.`];
}

function checkTotal({ totalSize }: Index, scans: readonly Scan[]): string[] {
  const total = scans.flatMap(({ tensors }) => tensors).reduce((sum, { bytes }) => sum + bytes, 0);
  return totalSize === undefined || totalSize === BigInt(total)
    ? []
    : [`The index says the tensors have ${totalSize} bytes; they have ${total}.`];
}

/** One model from all its files: tensors in the order of the files and of their headers. */
function join(sources: readonly Source[], scans: readonly Scan[], warnings: readonly string[] = []): Model {
  const files = sources.map((source) => source.at);
  const metadata = new Map<string, MetadataEntry>();
  const differing = new Set<string>();
  for (const entry of scans.flatMap((each) => each.metadata)) {
    const earlier = metadata.get(entry.key);
    if (earlier === undefined) metadata.set(entry.key, entry);
    else if (earlier.value !== entry.value) differing.add(entry.key);
  }
  return {
    format: "safetensors",
    metadata: [...metadata.values()],
    tensors: scans.flatMap(({ tensors }, file) =>
      tensors.map(({ name, shape, dtype, offset, bytes }) => ({ name, shape, dtype, file, offset, bytes })),
    ),
    files,
    warnings: [
      ...scans.flatMap((each, file) =>
        scans.length === 1
          ? each.warnings
          : each.warnings.map((warning) => `${bareName(files[file]!)}: ${warning}`),
      ),
      ...Array.from(
        differing,
        (key) => `The shards give different values of the metadata ${quoted(key)}; the first is taken.`,
      ),
      ...warnings,
    ],
  };
}
