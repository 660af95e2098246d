// Importance matrices as llama-imatrix writes them: sums of squared activations and how many rows were summed.
//
//   GGUF:    NAME.in_sum2 [columns, experts] and NAME.counts [1, experts], F32
//   legacy:  i32 entries | per entry: i32 length, name, i32 calls, i32 values, f32 × values | i32 chunks, i32 length, dataset

import { type ErrorCode, FewbitError, type ImportanceMatrix, nameOf, type Source } from "@fewbit/core";
import { metadataMap } from "./facts.js";
import { type ScannedTensor, scan } from "./scan.js";
import { compareBytes, decodeStrict, quoted } from "./text.js";
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

/**
 * Reads an importance matrix in either form. Experts that no text reached get the weight 1 everywhere, with a warning.
 *
 * @throws `E_IMATRIX_FORMAT`, `E_IMATRIX_VALUE` naming entry and byte, and `E_GGUF_*` for a malformed GGUF file
 */
export async function readImportance(source: Source): Promise<ImportanceMatrix> {
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

async function readGguf(source: Source): Promise<ImportanceMatrix> {
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

  const values = new Map<string, Float32Array>();
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
    const collected = {
      sums: await readFloats(source, sums.offset, total, name, sums.name),
      counts: await readFloats(source, counts.offset, experts, name, counts.name),
    };
    values.set(name, meanSquares(collected, name, warnings));
  }
  const datasets = keys.get("imatrix.datasets");
  const chunks = keys.get("imatrix.chunk_count");
  return {
    tensors: values,
    datasets: Array.isArray(datasets) ? datasets.filter((text) => typeof text === "string") : [],
    chunks: typeof chunks === "number" ? chunks : 0,
    file,
    warnings,
  };
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

  async read(): Promise<ImportanceMatrix> {
    const count = await this.#int("entries");
    if (count < 1)
      this.#fail(`The file promises ${count} entries; it is no importance matrix, or damaged.`, 0, "entries");
    // The length of its name alone takes 4 bytes; whatever else is short is named where it is read.
    if (count * 4 > this.#source.size - this.#at)
      this.#fail(`The file promises ${count} entries and has ${this.#source.size} bytes.`, 0, "entries");
    const tensors = new Map<string, Float32Array>();
    for (let i = 0; i < count; i++) {
      const start = this.#at;
      const name = await this.#text(`entry[${i}].name`);
      if (tensors.has(name))
        this.#fail(`The importance entry ${quoted(name)} occurs twice.`, start, `entry[${i}].name`);
      tensors.set(name, await this.#values(name, `entry[${i}]`));
    }
    const { chunks, dataset } = await this.#tail();
    return { tensors, datasets: dataset === "" ? [] : [dataset], chunks, file: this.#file, warnings: [] };
  }

  /** Sums that were averaged per call and multiplied by the number of calls. */
  async #values(name: string, path: string): Promise<Float32Array> {
    const calls = await this.#int(`${path}.calls`);
    const offset = this.#at;
    const count = await this.#int(`${path}.values`);
    if (count < 1 || count * 4 > this.#source.size - this.#at)
      this.#fail(
        `The importance entry ${quoted(name)} is said to hold ${count} values; the file has ${this.#source.size - this.#at} bytes left.`,
        offset,
        `${path}.values`,
      );
    const values = await readFloats(this.#source, this.#at, count, name, path);
    this.#at += count * 4;
    if (calls > 0) for (let i = 0; i < values.length; i++) values[i]! /= Math.fround(calls);
    return values;
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

/** Activations as llama-imatrix collects them, to be written as a file. */
export interface Collection {
  readonly entries: ReadonlyMap<string, Collected>;
  readonly datasets: readonly string[];
  /** Text chunks seen, and tokens per chunk. */
  readonly chunks: number;
  readonly chunkSize: number;
}

/**
 * An importance matrix file in the GGUF form, byte for byte as llama-imatrix orders it.
 *
 * @throws `E_IMATRIX_SHAPE` where sums are no whole rows, `E_GGUF_NAME` where a name is too long for its suffix
 */
export function writeImportance({ entries, datasets, chunks, chunkSize }: Collection): Uint8Array {
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
