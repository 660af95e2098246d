// The index of a sharded checkpoint:
//   {"metadata": {"total_size": 1312000}, "weight_map": {"model.norm.weight": "model-00003-of-00003.safetensors", …}}

import { type Draft, type ErrorCode, FewbitError, nameOf, type Source } from "@fewbit/core";
import { type Json, JsonReader, wholeNumber } from "./json.js";
import { isShardName } from "./shard.js";
import { compareBytes, decode, encode, firstInvalid, Offsets, quoted, wellFormed } from "./text.js";
import { MAX_HEADER_BYTES } from "./types.js";

/** What an index says, checked as far as it can be without opening a shard. */
export interface Index {
  /** Bare file names, in the order of their bytes. */
  readonly shards: readonly string[];
  /** Tensor → shard, as an index into `shards`. */
  readonly homes: ReadonlyMap<string, number>;
  /** Bytes of all tensors, where the index says it. */
  readonly totalSize: bigint | undefined;
  /** An error about a tensor's line in the index. */
  error(tensor: string, code: ErrorCode, message: string, remedy: string, cause?: unknown): FewbitError;
  /** A tensor that the index puts into this shard, for errors about the shard. */
  someTensorOf(shard: number): string;
}

/** @throws `E_INDEX_FORMAT`, `E_INDEX_DUP`, `E_INDEX_PATH`: before any shard is opened */
export async function readIndex(source: Source): Promise<Index> {
  const file = nameOf(source.at);
  const remedy = "Download or write the index again.";
  if (source.size > MAX_HEADER_BYTES)
    throw new FewbitError(
      "E_INDEX_FORMAT",
      `The index has ${source.size} bytes; at most ${MAX_HEADER_BYTES} are allowed.`,
      { file, offset: 0, key: "index" },
      remedy,
    );
  const bytes = new Uint8Array(source.size);
  await source.read(0, bytes);
  const text = decode(bytes);
  if (text === undefined)
    throw new FewbitError(
      "E_INDEX_FORMAT",
      "The index is not UTF-8.",
      { file, offset: firstInvalid(bytes), key: "index" },
      remedy,
    );

  const offsets = new Offsets(text);
  const error = (code: ErrorCode, message: string, at: number, key: string, what = remedy, cause?: unknown) =>
    new FewbitError(code, message, { file, offset: offsets.of(at), key }, what, cause);
  const json = new JsonReader(text, (kind, message, at) => {
    throw kind === "duplicate"
      ? error("E_INDEX_DUP", `In the index ${message}.`, at, "index")
      : error("E_INDEX_FORMAT", `The index is not JSON as it must be: ${message}.`, at, "index");
  });

  let map: Json | undefined;
  let totalSize: bigint | undefined;
  for (const [key, { value }] of json.members()) {
    if (key === "weight_map") map = value;
    if (key !== "metadata") continue;
    if (value.kind !== "object")
      throw error("E_INDEX_FORMAT", "metadata is not an object.", value.at, "metadata");
    const total = value.members.get("total_size")?.value;
    totalSize = total === undefined ? undefined : wholeNumber(total);
  }
  if (map?.kind !== "object" || map.members.size === 0)
    throw error(
      "E_INDEX_FORMAT",
      map === undefined
        ? "The index has no weight_map."
        : map.kind === "object"
          ? "The weight_map is empty."
          : "The weight_map is not an object.",
      map?.at ?? 0,
      "weight_map",
      "Give the index of a checkpoint, model.safetensors.index.json, or download it again.",
    );

  const { members } = map;
  const names = new Map<string, string>();
  const examples = new Map<string, string>();
  for (const [tensor, { at, value }] of members) {
    const key = (): string => `weight_map[${quoted(tensor)}]`;
    if (!wellFormed(tensor))
      throw error("E_INDEX_FORMAT", `The name ${quoted(tensor)} holds half of a character.`, at, key());
    if (value.kind !== "string")
      throw error("E_INDEX_FORMAT", `The file of ${quoted(tensor)} is not a text.`, value.at, key());
    if (!isShardName(value.value))
      throw error(
        "E_INDEX_PATH",
        `The index puts ${quoted(tensor)} into ${quoted(value.value)}, which is not the plain name of a .safetensors file beside it.`,
        value.at,
        key(),
        "Do not trust this index; download the checkpoint again from a place you know.",
      );
    names.set(tensor, value.value);
    if (!examples.has(value.value)) examples.set(value.value, tensor);
  }

  const shards = [...examples.keys()].sort(compareBytes);
  const numbers = new Map(shards.map((name, i) => [name, i]));
  return {
    shards,
    homes: new Map(Array.from(names, ([tensor, shard]) => [tensor, numbers.get(shard)!])),
    totalSize,
    error: (tensor, code, message, what, cause) =>
      error(code, message, members.get(tensor)!.value.at, `weight_map[${quoted(tensor)}]`, what, cause),
    someTensorOf: (shard) => examples.get(shards[shard]!)!,
  };
}

/**
 * The index file of a checkpoint that is laid out in several files, as transformers writes it: what
 * `model.safetensors.index.json` holds. `fileNames[i]` is the name of the draft's file `i`.
 */
export function writeIndex(draft: Draft, fileNames: readonly string[]): Uint8Array {
  const total = draft.tensors.flatMap(({ parts }) => parts).reduce((sum, { bytes }) => sum + bytes, 0);
  // Text by hand: as keys of an object, names such as "1" would move and "__proto__" would vanish.
  const map = [...draft.tensors]
    .sort((a, b) => compareBytes(a.name, b.name))
    .map(({ name, file }) => `    ${JSON.stringify(name)}: ${JSON.stringify(fileNames[file])}`);
  return encode(
    `{\n  "metadata": {\n    "total_size": ${total}\n  },\n  "weight_map": {\n${map.join(",\n")}\n  }\n}\n`,
  );
}
