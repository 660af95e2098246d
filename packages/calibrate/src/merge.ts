import { FewbitError } from "@fewbit/core";
import type { Collected, Collection, StoredCollection } from "@fewbit/format-gguf";

interface Sums {
  readonly sums: Float32Array;
  /** Float32 would stop counting at 2²⁴. */
  counts: Float64Array;
}

/** What is merged, with the name that errors give it. */
export interface NamedCollection {
  readonly name: string;
  readonly collection: StoredCollection;
}

/**
 * Adds importance matrices: sums to sums and counts to counts, as llama-imatrix does with `--in-file`. The legacy form
 * says nothing of tokens: its numbers are taken for chunks of `chunkSize`.
 *
 * @param chunkSize tokens of a chunk; that of the first matrix in the GGUF form when absent, 512 where there is none
 * @throws `E_IMATRIX_SHAPE` naming file and tensor where entries have different sizes
 */
export function mergeCollections(matrices: readonly NamedCollection[], chunkSize?: number): Collection {
  const size =
    chunkSize ?? (matrices.find(({ collection }) => !collection.legacy)?.collection.chunkSize || 512);
  const entries = new Map<string, Sums>();
  for (const { name: file, collection } of matrices)
    for (const [name, entry] of collection.entries)
      addEntry(entries, name, entry, collection.legacy ? size : undefined, file);
  const most = Math.max(0, ...[...entries.values()].map(({ counts }) => Math.max(...counts)));
  return {
    entries: new Map(
      [...entries].map(([name, { sums, counts }]) => [name, { sums, counts: Float32Array.from(counts) }]),
    ),
    datasets: matrices.flatMap(({ collection }) => collection.datasets),
    chunks: Math.floor(most / size),
    chunkSize: size,
  };
}

/** @param scale tokens of a chunk where the entry is of the legacy form */
function addEntry(
  entries: Map<string, Sums>,
  name: string,
  { sums, counts }: Collected,
  scale: number | undefined,
  file: string,
): void {
  let entry = entries.get(name);
  if (entry === undefined) {
    entry = { sums: new Float32Array(sums.length), counts: new Float64Array(counts.length) };
    entries.set(name, entry);
  }
  const refuse = (what: string): never => {
    throw new FewbitError(
      "E_IMATRIX_SHAPE",
      what,
      { file, tensor: name },
      "Only matrices of one model can be merged.",
    );
  };
  if (entry.sums.length !== sums.length)
    refuse(`The entry ${name} has ${sums.length} values here and ${entry.sums.length} in the files before.`);
  // A single count stands for every expert; with the legacy form it is all there is.
  if (entry.counts.length === 1 && counts.length > 1)
    entry.counts = new Float64Array(counts.length).fill(entry.counts[0]!);
  if (counts.length !== entry.counts.length && !(scale !== undefined && counts.length === 1))
    refuse(
      `The entry ${name} has ${counts.length} counts here and ${entry.counts.length} in the files before.`,
    );
  const factor = scale ?? 1;
  for (let i = 0; i < sums.length; i++) entry.sums[i]! += Math.fround(sums[i]! * factor);
  for (let i = 0; i < entry.counts.length; i++)
    entry.counts[i]! += Math.round(counts[counts.length === 1 ? 0 : i]!) * factor;
}
