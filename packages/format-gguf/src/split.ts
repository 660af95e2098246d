// Splitting and joining: which tensor goes into which file, and what the files say about it. The rules are those of
// llama-gguf-split, so that either program's shards are the other's, byte for byte.
import { type AssignFiles, FewbitError, type MetadataEntry, type Recipe } from "@fewbit/core";
import { DEFAULT_ALIGNMENT } from "./scan.js";
import { refuseBigEndian } from "./selection.js";
import { splitKeys } from "./writer.js";

/** `split.count` is a u16. */
const MAX_FILES = 65535;

/** When a file is full. */
export interface SplitLimit {
  /**
   * Bytes of tensors in each file, counted with their padding to 32 and without the header. A tensor that is larger has
   * a file of its own.
   */
  readonly maxBytes?: number;
  /** Tensors in each file. */
  readonly maxTensors?: number;
  /** Leaves the first file without tensors: metadata that can be replaced by itself. */
  readonly emptyFirst?: boolean;
}

/**
 * Fills files up to the limit, in the order of the output. Either limit may close a file; without one all tensors are in
 * one file.
 *
 * @throws `E_USAGE` where that takes more files than GGUF can count, when the function is called
 */
export function splitBy({
  maxBytes = Number.POSITIVE_INFINITY,
  maxTensors = Number.POSITIVE_INFINITY,
  emptyFirst = false,
}: SplitLimit): AssignFiles {
  return (sizes) => {
    let file = emptyFirst ? 1 : 0;
    let bytes = 0;
    let tensors = 0;
    const files = sizes.map((size) => {
      const padded = Math.ceil(size / DEFAULT_ALIGNMENT) * DEFAULT_ALIGNMENT;
      if (tensors > 0 && (bytes + padded > maxBytes || tensors === maxTensors)) {
        file++;
        bytes = 0;
        tensors = 0;
      }
      bytes += padded;
      tensors++;
      return file;
    });
    if (file >= MAX_FILES)
      throw new FewbitError(
        "E_USAGE",
        `The output would have ${file + 1} files; GGUF counts up to ${MAX_FILES}.`,
        {},
        "Allow more bytes or tensors in each file.",
      );
    return files;
  };
}

const isSplitKey = ({ key }: MetadataEntry): boolean => splitKeys.includes(key);

/** The keys as llama-gguf-split orders them; the writer knows their values. */
const ordered: readonly MetadataEntry[] = [
  { key: "split.no", type: "u16", value: 0 },
  { key: "split.tensors.count", type: "i32", value: 0 },
  { key: "split.count", type: "u16", value: 0 },
];

/** The same recipe for an output that is split: as if llama-gguf-split had split what the recipe makes. */
export const splitting = (recipe: Recipe): Recipe => ({
  ...recipe,
  assign: (model, context) => recipe.assign(model, context),
  metadata: (model, context) => [
    ...(recipe.metadata?.(model, context) ?? model.metadata).filter((entry) => !isSplitKey(entry)),
    ...ordered,
  ],
});

/** Every tensor and every entry as it is and where it is: what splits and joins, and changes nothing else. */
export const verbatim: Recipe = {
  id: "VERBATIM",
  summary: "Every tensor and every metadata entry as it is, in the order of the model.",
  base: "keep",
  assign(model) {
    refuseBigEndian(model);
    return model.tensors.map(({ name }) => ({
      tensor: name,
      scheme: "keep",
      reason: "everything is copied",
    }));
  },
  metadata: (model) => model.metadata.filter((entry) => !isSplitKey(entry)),
};
