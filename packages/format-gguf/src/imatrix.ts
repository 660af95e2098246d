// Importance matrices as llama-imatrix writes them: sums of squared activations and how many rows were summed.
//
//   GGUF:    NAME.in_sum2 [columns, experts] and NAME.counts [1, experts], F32
//   legacy:  i32 entries | per entry: i32 length, name, i32 calls, i32 values, f32 × values | i32 chunks, i32 length, dataset

import {
  type ErrorCode,
  FewbitError,
  type ImportanceMatrix,
  type MetadataEntry,
  nameOf,
  type Source,
} from "@fewbit/core";
import { metadataMap } from "./facts.js";
import { type ScannedTensor, scan } from "./scan.js";
import { compareBytes, decodeStrict, encode, quoted } from "./text.js";
import { Bytes } from "./value.js";
import { layout } from "./writer.js";

const SUMS = ".in_sum2";
const COUNTS = ".counts";
const AGAIN = "Collect the importance matrix again, or download it again.";

/** What was collected for one tensor. */
export interface Collected {
  /** Squared activations summed over rows, `experts × columns`. */
  readonly sums: Float32Array;
  /** Rows summed, one number per expert. */
  readonly counts: Float32Array;
}

/** Activations as llama-imatrix collects them. */
export interface Collection {
  readonly entries: ReadonlyMap<string, Collected>;
  readonly datasets: readonly string[];
  /** Text chunks seen, and tokens per chunk. */
  readonly chunks: number;
  readonly chunkSize: number;
  /** Keys besides those that llama-imatrix writes. */
  readonly metadata?: readonly MetadataEntry[];
}

/** As it is in a file. */
export interface StoredCollection extends Collection {
  /**
   * The older form says of each entry the mean of its squares times a number of chunks: that number is its only count,
   * whatever the number of experts, and `chunkSize` is 0.
   */
  readonly legacy: boolean;
  readonly warnings: readonly string[];
}

/**
 * Reads an importance matrix in either form. Experts that no text reached get the weight 1 everywhere, with a warning.
 *
 * @throws `E_IMATRIX_FORMAT`, `E_IMATRIX_VALUE` naming entry and byte, and `E_GGUF_*` for a malformed GGUF file
 */
export async function readImportance(source: Source): Promise<ImportanceMatrix> {
  const { entries, datasets, chunks, legacy, warnings: found } = await readCollection(source);
  const warnings = [...found];
  const mean = legacy ? meanOfCalls : meanSquares;
  return {
    tensors: new Map([...entries].map(([name, entry]) => [name, mean(entry, name, warnings)])),
    datasets,
    chunks,
    file: nameOf(source.at),
    warnings,
  };
}

/**
 * Reads an importance matrix in either form as it was summed, to go on with it or to add it to others.
 *
 * @throws `E_IMATRIX_FORMAT`, `E_IMATRIX_VALUE` naming entry and byte, and `E_GGUF_*` for a malformed GGUF file
 */
export async function readCollection(source: Source): Promise<StoredCollection> {
  const head = new Uint8Array(Math.min(4, source.size));
  await source.read(0, head);
  return decodeStrict(head) === "GGUF" ? readGguf(source) : new LegacyReader(source).read();
}

function fail(
  code: ErrorCode,
  file: string,
  message: string,
  entry: string | undefined,
  offset: number,
  key: string,
): never {
  throw new FewbitError(
    code,
    message,
    { file, ...(entry === undefined ? {} : { tensor: entry }), offset, key },
    AGAIN,
  );
}

/** The floats at `offset`; finite and not negative, as sums of squares and counts are. */
async function readFloats(source: Source, offset: number, count: number, entry: string, key: string) {
  const bytes = new Uint8Array(count * 4);
  await source.read(offset, bytes);
  const values = new Float32Array(bytes.buffer);
  const bad = values.findIndex((value) => !(value >= 0 && value < Infinity));
  if (bad >= 0)
    fail(
      "E_IMATRIX_VALUE",
      nameOf(source.at),
      `Value ${bad} of the importance entry ${quoted(entry)} is ${values[bad]}; sums of squares are finite and not negative.`,
      entry,
      offset + 4 * bad,
      key,
    );
  return values;
}

// ---- GGUF ----

const OWN_KEYS = ["general.type", "imatrix.datasets", "imatrix.chunk_count", "imatrix.chunk_size"];

async function readGguf(source: Source): Promise<StoredCollection> {
  const file = nameOf(source.at);
  const { metadata, tensors } = await scan(source);
  const keys = metadataMap(metadata);
  const warnings: string[] = [];
  const entries = new Map<string, { sums?: ScannedTensor; counts?: ScannedTensor }>();
  for (const tensor of tensors) {
    const part = tensor.name.endsWith(SUMS) ? "sums" : tensor.name.endsWith(COUNTS) ? "counts" : undefined;
    if (part === undefined) continue;
    const name = tensor.name.slice(0, -(part === "sums" ? SUMS : COUNTS).length);
    entries.set(name, { ...entries.get(name), [part]: tensor });
  }
  if (entries.size === 0)
    fail(
      "E_IMATRIX_FORMAT",
      file,
      `The file is GGUF, but holds no importance matrix: none of its ${tensors.length} tensors is named …${SUMS}.`,
      undefined,
      8,
      "tensor_count",
    );
  if (!["imatrix.datasets", "imatrix.chunk_count", "imatrix.chunk_size"].every((key) => keys.has(key)))
    warnings.push(
      "The importance matrix does not say which texts it was collected from; llama-quantize refuses it.",
    );

  const collected = new Map<string, Collected>();
  for (const [name, { sums, counts }] of entries) {
    if (sums === undefined || counts === undefined) {
      const present = (sums ?? counts)!;
      fail(
        "E_IMATRIX_FORMAT",
        file,
        `The importance entry ${quoted(name)} has ${sums ? "sums without counts" : "counts without sums"}.`,
        name,
        present.record,
        present.name,
      );
    }
    for (const part of [sums, counts])
      if (part.dtype !== "F32")
        fail(
          "E_IMATRIX_FORMAT",
          file,
          `${quoted(part.name)} is ${part.dtype}; it must be F32.`,
          name,
          part.record,
          part.name,
        );
    const experts = counts.bytes / 4;
    const total = sums.bytes / 4;
    if (experts === 0 || total === 0 || total % experts !== 0)
      fail(
        "E_IMATRIX_FORMAT",
        file,
        `The importance entry ${quoted(name)} has ${total} sums for ${experts} counts, which is no whole row each.`,
        name,
        sums.record,
        sums.name,
      );
    collected.set(name, {
      sums: await readFloats(source, sums.offset, total, name, sums.name),
      counts: await readFloats(source, counts.offset, experts, name, counts.name),
    });
  }
  const datasets = keys.get("imatrix.datasets");
  const number = (key: string): number => {
    const value = keys.get(key);
    return typeof value === "number" ? value : 0;
  };
  return {
    entries: collected,
    datasets: Array.isArray(datasets) ? datasets.filter((text) => typeof text === "string") : [],
    chunks: number("imatrix.chunk_count"),
    chunkSize: number("imatrix.chunk_size"),
    metadata: metadata.filter(({ key }) => !OWN_KEYS.includes(key)),
    legacy: false,
    warnings,
  };
}

/** What the older form says, in single precision. */
function meanOfCalls({ sums, counts }: Collected): Float32Array {
  const calls = counts[0]!;
  return calls > 0 ? sums.map((sum) => sum / calls) : sums;
}

/** Sums ÷ counts in single precision. */
function meanSquares({ sums, counts }: Collected, name: string, warnings: string[]): Float32Array {
  const columns = sums.length / counts.length;
  const values = new Float32Array(sums.length);
  let unused = 0;
  for (let expert = 0; expert < counts.length; expert++) {
    // Counts are whole numbers kept as floats.
    const count = Math.round(counts[expert]!);
    const from = expert * columns;
    if (count === 0) {
      unused++;
      values.fill(1, from, from + columns);
    } else for (let i = from; i < from + columns; i++) values[i] = sums[i]! / count;
  }
  if (unused > 0)
    warnings.push(
      counts.length === 1
        ? `No text reached ${quoted(name)}; all its columns count the same.`
        : `No text reached ${unused} of the ${counts.length} experts of ${quoted(name)}; all their columns count the same.`,
    );
  return values;
}

// ---- legacy ----

class LegacyReader {
  readonly #source: Source;
  readonly #file: string;
  #at = 0;

  constructor(source: Source) {
    this.#source = source;
    this.#file = nameOf(source.at);
  }

  async read(): Promise<StoredCollection> {
    const count = await this.#int("entries");
    if (count < 1)
      this.#fail(`The file promises ${count} entries; it is no importance matrix, or damaged.`, 0, "entries");
    // The length of its name alone takes 4 bytes; whatever else is short is named where it is read.
    if (count * 4 > this.#source.size - this.#at)
      this.#fail(`The file promises ${count} entries and has ${this.#source.size} bytes.`, 0, "entries");
    const entries = new Map<string, Collected>();
    for (let i = 0; i < count; i++) {
      const start = this.#at;
      const name = await this.#text(`entry[${i}].name`);
      if (entries.has(name))
        this.#fail(`The importance entry ${quoted(name)} occurs twice.`, start, `entry[${i}].name`);
      entries.set(name, await this.#values(name, `entry[${i}]`));
    }
    const { chunks, dataset } = await this.#tail();
    return {
      entries,
      datasets: dataset === "" ? [] : [dataset],
      chunks,
      chunkSize: 0,
      legacy: true,
      warnings: [],
    };
  }

  async #values(name: string, path: string): Promise<Collected> {
    const calls = await this.#int(`${path}.calls`);
    const offset = this.#at;
    const count = await this.#int(`${path}.values`);
    if (count < 1 || count * 4 > this.#source.size - this.#at)
      this.#fail(
        `The importance entry ${quoted(name)} is said to hold ${count} values; the file has ${this.#source.size - this.#at} bytes left.`,
        offset,
        `${path}.values`,
      );
    const sums = await readFloats(this.#source, this.#at, count, name, path);
    this.#at += count * 4;
    return { sums, counts: Float32Array.of(calls) };
  }

  async #tail(): Promise<{ chunks: number; dataset: string }> {
    if (this.#at === this.#source.size) return { chunks: 0, dataset: "" };
    const chunks = Math.max(0, await this.#int("chunks"));
    if (this.#at === this.#source.size) return { chunks, dataset: "" };
    const dataset = await this.#text("dataset", 0);
    if (this.#at !== this.#source.size)
      this.#fail(
        `${this.#source.size - this.#at} unexplained bytes follow the last entry.`,
        this.#at,
        "dataset",
      );
    return { chunks, dataset };
  }

  #fail(message: string, offset: number, key: string): never {
    return fail("E_IMATRIX_FORMAT", this.#file, message, undefined, offset, key);
  }

  async #int(key: string): Promise<number> {
    if (this.#at + 4 > this.#source.size)
      this.#fail(`The file ends early: ${key} needs bytes up to ${this.#at + 4}.`, this.#at, key);
    const bytes = new Uint8Array(4);
    await this.#source.read(this.#at, bytes);
    this.#at += 4;
    return new DataView(bytes.buffer).getInt32(0, true);
  }

  async #text(key: string, least = 1): Promise<string> {
    const offset = this.#at;
    const length = await this.#int(key);
    if (length < least || length > this.#source.size - this.#at)
      this.#fail(
        `${key} is said to be ${length} bytes long; the file has ${this.#source.size - this.#at} left.`,
        offset,
        key,
      );
    const bytes = new Uint8Array(length);
    await this.#source.read(this.#at, bytes);
    this.#at += length;
    const text = decodeStrict(bytes);
    if (text === undefined) this.#fail(`${key} is not UTF-8.`, offset, key);
    return text;
  }
}

// ---- writing ----

/**
 * An importance matrix file in the GGUF form, byte for byte as llama-imatrix orders it.
 *
 * @throws `E_IMATRIX_SHAPE` where sums are no whole rows, `E_GGUF_NAME` where a name is too long for its suffix
 */
export function writeImportance(collection: Collection): Uint8Array {
  const { entries, datasets, chunks, chunkSize, metadata = [] } = collection;
  const part = (name: string, values: Float32Array, shape: readonly number[]) => ({
    name,
    dtype: "F32",
    shape,
    parts: [{ name: "", dtype: "F32", shape, bytes: values.length * 4, per: "tensor" as const }],
    file: 0,
    values,
  });
  const tensors = [...entries]
    .sort(([a], [b]) => compareBytes(a, b))
    .flatMap(([name, { sums, counts }]) => {
      if (counts.length === 0 || sums.length === 0 || sums.length % counts.length !== 0)
        throw new FewbitError(
          "E_IMATRIX_SHAPE",
          `The importance of ${quoted(name)} has ${sums.length} sums for ${counts.length} experts.`,
          { tensor: name },
          "Give one row of sums and one count per expert.",
        );
      return [
        part(name + SUMS, sums, [counts.length, sums.length / counts.length]),
        part(name + COUNTS, counts, [counts.length, 1]),
      ];
    });
  const { files, places } = layout({
    metadata: [
      { key: "general.type", type: "string", value: "imatrix" },
      { key: "imatrix.datasets", type: "array<string>", value: datasets },
      { key: "imatrix.chunk_count", type: "u32", value: chunks },
      { key: "imatrix.chunk_size", type: "u32", value: chunkSize },
      ...metadata,
    ],
    tensors,
    files: 1,
  });
  const bytes = new Uint8Array(files[0]!.size);
  bytes.set(files[0]!.header);
  tensors.forEach(({ values }, i) => {
    bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), places[i]!.offset);
  });
  return bytes;
}

/**
 * The older form, as llama-imatrix writes it: of each entry the mean of its squares times the number of chunks that its
 * most frequent expert saw. Experts that no text reached get 1 everywhere; entries that no text reached are left out.
 *
 * @throws `E_IMATRIX_SHAPE` where no entry has data
 */
export function writeLegacyImportance({ entries, datasets, chunks, chunkSize }: Collection): Uint8Array {
  const reached = [...entries]
    .filter(([, { counts }]) => counts.some((count) => count > 0))
    .sort(([a], [b]) => compareBytes(a, b));
  if (reached.length === 0)
    throw new FewbitError(
      "E_IMATRIX_SHAPE",
      "No entry of the importance matrix has data, and the older form cannot say so.",
      {},
      "Collect it from more text.",
    );
  const out = new Bytes();
  const text = (value: string): void => {
    const bytes = encode(value);
    out.u32(bytes.length);
    out.raw(bytes);
  };
  out.u32(reached.length);
  for (const [name, { sums, counts }] of reached) {
    text(name);
    const calls = Math.ceil(Math.max(...counts) / chunkSize);
    const columns = sums.length / counts.length;
    out.u32(calls);
    out.u32(sums.length);
    const values = sums.map((sum, i) => {
      const count = counts[Math.floor(i / columns)]!;
      return count === 0 ? calls : Math.fround(sum / count) * calls;
    });
    out.raw(new Uint8Array(values.buffer));
  }
  out.u32(chunks);
  text(datasets.at(-1) ?? "");
  return out.done();
}
