import type { MetadataEntry } from "@fewbit/core";

/** `added` in place of entries of their keys, or after all others. */
export function merge(entries: readonly MetadataEntry[], added: readonly MetadataEntry[]): MetadataEntry[] {
  const merged = new Map(entries.map((entry) => [entry.key, entry]));
  for (const entry of added) merged.set(entry.key, entry);
  return [...merged.values()];
}

/** The entry of the file's type, for families that want it among their own. */
export const fileTypeIn = (common: readonly MetadataEntry[]): MetadataEntry[] =>
  common.filter(({ key }) => key === "general.file_type");
