import {
  bareName,
  FewbitError,
  type FormatReader,
  isFewbitError,
  locate,
  type Model,
  nameOf,
  type Source,
} from "@fewbit/core";
import { type Scan, scan } from "./scan.js";
import { parseShardName, shardName } from "./shard.js";
import { quoted } from "./text.js";

/** Reads GGUF version 2 and 3, split or not, and refuses whatever its header leaves doubtful. */
export const reader: FormatReader = {
  id: "gguf",
  extensions: [".gguf"],
  // By name as well: a damaged, mislabelled or unfinished .gguf file deserves this reader's explanation.
  sniff: (head, fileName) =>
    (head[0] === 0x47 && head[1] === 0x47 && head[2] === 0x55 && head[3] === 0x46) ||
    /\.gguf(\.partial)?$/i.test(fileName),
  open: openGguf,
};

/**
 * Opens the first shard of a split model and all others beside it.
 *
 * @throws `E_GGUF_*` where a file is malformed, `E_SPLIT_MISSING` and `E_SPLIT_MISMATCH` where shards do not belong together
 */
export async function openGguf(
  source: Source,
  sibling: (fileName: string) => Promise<Source>,
): Promise<Model> {
  const first = await scan(source);
  const count = split(first, "split.count") ?? 1;
  if (count <= 1) return join([source], [first]);

  const file = nameOf(source.at);
  const name = parseShardName(bareName(source.at));
  const number = split(first, "split.no");
  if (number !== 0)
    throw mismatch(
      file,
      "split.no",
      number === undefined
        ? "says it is split, but not which shard it is"
        : `is shard ${number + 1} of ${count}`,
      name === undefined
        ? "Open the first shard."
        : `Open the first shard: ${shardName(name.prefix, 0, name.count)}.`,
    );
  if (name === undefined || name.number !== 1 || name.count !== count)
    throw mismatch(
      file,
      "split.count",
      `is the first of ${count} shards, which its name does not say`,
      `Name the shards PREFIX-00001-of-${String(count).padStart(5, "0")}.gguf and so on.`,
    );

  const sources = [source];
  const scans = [first];
  try {
    for (let i = 1; i < count; i++) {
      const shard = await openShard(sibling, shardName(name.prefix, i, count), count);
      sources.push(shard);
      const scanned = await scan(shard);
      checkShard(scanned, nameOf(shard.at), i, count);
      scans.push(scanned);
    }
  } finally {
    await Promise.all(sources.slice(1).map((shard) => shard.close()));
  }
  return join(sources, scans);
}

async function openShard(
  sibling: (fileName: string) => Promise<Source>,
  fileName: string,
  count: number,
): Promise<Source> {
  try {
    return await sibling(fileName);
  } catch (cause) {
    if (isFewbitError(cause) && cause.code !== "E_IO") throw locate(cause, { file: fileName });
    throw new FewbitError(
      "E_SPLIT_MISSING",
      `The model is split into ${count} files, and ${fileName} cannot be opened.`,
      { file: (isFewbitError(cause) && cause.at.file) || fileName, key: "split.count" },
      "Put all files of the model into one folder; download the missing one.",
      cause,
    );
  }
}

function checkShard(scanned: Scan, file: string, index: number, count: number): void {
  const number = split(scanned, "split.no");
  const total = split(scanned, "split.count");
  const remedy = "Download all files of the model again, from the same place.";
  if (number !== index)
    throw mismatch(
      file,
      "split.no",
      `says it is shard ${number === undefined ? "unknown" : number + 1}; by its name it is shard ${index + 1}`,
      remedy,
    );
  if (total !== count)
    throw mismatch(
      file,
      "split.count",
      `says the model has ${total ?? "an unknown number of"} files; the first says ${count}`,
      remedy,
    );
}

/** One model from all its files: metadata of the first, tensors of all. */
function join(sources: readonly Source[], scans: readonly Scan[]): Model {
  const [first] = scans as [Scan];
  const files = sources.map((source) => source.at);
  const tensors = scans.flatMap(({ tensors }, file) =>
    tensors.map(({ name, dims, dtype, offset, bytes }) => ({
      name,
      shape: [...dims].reverse(),
      dtype,
      file,
      offset,
      bytes,
    })),
  );

  if (scans.length > 1) {
    const seen = new Map<string, number>();
    for (const { name, file } of tensors) {
      const earlier = seen.get(name);
      if (earlier !== undefined) {
        const index = scans[file]!.tensors.findIndex((tensor) => tensor.name === name);
        const offset = scans[file]!.tensors[index]!.record;
        throw new FewbitError(
          "E_GGUF_DUP_TENSOR",
          `The tensor ${quoted(name)} occurs in ${nameOf(files[earlier]!)} and in ${nameOf(files[file]!)}.`,
          { file: nameOf(files[file]!), tensor: name, offset, key: `tensor[${index}].name` },
          "Download all files of the model again, from the same place.",
        );
      }
      seen.set(name, file);
    }
    const total = split(first, "split.tensors.count");
    if (total !== undefined && total !== tensors.length)
      throw mismatch(
        nameOf(files[0]!),
        "split.tensors.count",
        `promises ${total} tensors; all its files together have ${tensors.length}`,
        "Download all files of the model again, from the same place.",
      );
  }

  return {
    format: "gguf",
    metadata: first.metadata,
    tensors,
    files,
    warnings: scans.flatMap(({ warnings }, file) =>
      scans.length === 1 ? warnings : warnings.map((warning) => `${bareName(files[file]!)}: ${warning}`),
    ),
  };
}

const split = (scanned: Scan, key: string): number | undefined =>
  scanned.metadata.find((entry) => entry.key === key)?.value as number | undefined;

const mismatch = (file: string, key: string, what: string, remedy: string): FewbitError =>
  new FewbitError("E_SPLIT_MISMATCH", `The file ${what}.`, { file, key }, remedy);
