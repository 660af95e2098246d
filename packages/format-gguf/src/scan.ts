// The strict structural scan: every bound, count, size and offset of a GGUF header is checked here against the
// real file size, before anything is allocated for it.
//
//   magic  version  n_tensors  n_kv | kv… | tensor info… | padding | data…
//   4      4        8          8
//   kv:     key length 8, key, value type 4, value
//   info:   name length 8, name, n_dims 4, dims 8 × n_dims, tensor type 4, offset 8 (from the start of the data)

import { type ErrorCode, FewbitError, type MetadataEntry, nameOf, type Source } from "@fewbit/core";
import { guessFormat } from "./foreign.js";
import { decodeLenient, decodeStrict, quoted } from "./text.js";
import {
  ARRAY,
  BIG_ENDIAN,
  BOOL,
  knownKeys,
  removedTensorTypes,
  STRING,
  type TensorType,
  tensorTypesById,
  UINT32,
  valueTypes,
} from "./types.js";

/** A tensor as its record in the header describes it. */
export interface ScannedTensor {
  readonly name: string;
  /** In the file's order: the first is the contiguous one. */
  readonly dims: readonly number[];
  readonly dtype: string;
  /** From the start of the file. */
  readonly offset: number;
  readonly bytes: number;
  /** Where the tensor's record begins in the header. */
  readonly record: number;
}

/** One file's header, checked: everything that its bytes say. */
export interface Scan {
  readonly version: number;
  readonly bigEndian: boolean;
  readonly alignment: number;
  readonly metadata: readonly MetadataEntry[];
  readonly tensors: readonly ScannedTensor[];
  /** Where the data section begins. */
  readonly dataOffset: number;
  readonly warnings: readonly string[];
}

export const DEFAULT_ALIGNMENT = 32;
const MAX_ALIGNMENT = 65536;
const MAX_NESTING = 8;
const MAX_DIMS = 4;
const MAX_KEY_BYTES = 65535;
/** ggml's name buffer is 64 bytes with its closing NUL; the specification allows 64 without. */
const MAX_NAME_BYTES = 64;
/** No real header comes near; it keeps every string below the longest one JavaScript can hold. */
const MAX_HEADER_BYTES = 2 ** 29 - 4096;
/** Bytes of an info with an empty name and no dimensions; of a pair with an empty key and a one-byte value. */
const MIN_INFO_BYTES = 8 + 4 + 4 + 8;
const MIN_PAIR_BYTES = 8 + 4 + 1;
const MAX_SIZE = 2n ** 63n;

const AGAIN = "Download or write the file again.";

/**
 * Reads the header of one file, in growing blocks, and checks the place of every tensor's data.
 *
 * @throws `E_GGUF_*` with the byte offset of the field at fault and its path, such as `tensor[3].dims[1]`
 */
export async function scan(source: Source): Promise<Scan> {
  const parser = new Parser(source.size, nameOf(source.at));
  const steps = parser.run();
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
    await parser.fill(source, step.value);
  }
}

/** A pause of the parser: the file offset up to which it needs bytes. */
type Steps<T> = Generator<number, T, void>;

const numbers = [
  Uint8Array,
  Int8Array,
  Uint16Array,
  Int16Array,
  Uint32Array,
  Int32Array,
  Float32Array,
  undefined,
  undefined,
  undefined,
  BigUint64Array,
  BigInt64Array,
  Float64Array,
] as const;

interface Value {
  readonly type: string;
  readonly value: unknown;
}

class Parser {
  /** File bytes [base, base + bytes.length). */
  #bytes = new Uint8Array(0);
  #view = new DataView(new ArrayBuffer(0));
  #base = 0;
  #block = 1 << 16;
  /** Bytes before this are no longer needed. */
  #keep = 0;
  #at = 0;
  #littleEndian = true;
  /** The record being read, such as `tensor[3]`, and its name once known. */
  #record = "";
  #tensor: string | undefined;

  constructor(
    readonly size: number,
    readonly file: string,
  ) {}

  async fill(source: Source, end: number): Promise<void> {
    const kept = this.#bytes.subarray(this.#keep - this.#base);
    // At least doubling, so that the copies of a long value add up to its length only.
    this.#block = Math.max(Math.min(this.#block * 2, 1 << 23), kept.length);
    const until = Math.min(this.size, Math.max(end, this.#keep + kept.length + this.#block));
    const next = new Uint8Array(until - this.#keep);
    next.set(kept);
    await source.read(this.#keep + kept.length, next.subarray(kept.length));
    this.#bytes = next;
    this.#view = new DataView(next.buffer);
    this.#base = this.#keep;
  }

  #fail(code: ErrorCode, message: string, offset: number, field: string, remedy: string): never {
    const key = this.#record === "" ? field : `${this.#record}.${field}`;
    const tensor = this.#tensor === undefined ? {} : { tensor: this.#tensor };
    throw new FewbitError(code, message, { file: this.file, ...tensor, offset, key }, remedy);
  }

  /** Makes the next `count` bytes readable. */
  *#need(count: number, field: string): Steps<void> {
    const end = this.#at + count;
    if (end <= this.#base + this.#bytes.length) return;
    if (end > this.size)
      this.#fail(
        "E_GGUF_TRUNCATED",
        `The header ends early: ${field} needs bytes up to ${end}, the file has ${this.size}.`,
        this.#at,
        field,
        `${AGAIN} At least ${end} bytes are expected.`,
      );
    if (end > MAX_HEADER_BYTES)
      this.#fail(
        "E_GGUF_COUNT",
        `The header is longer than ${MAX_HEADER_BYTES} bytes, which no model needs.`,
        this.#at,
        field,
        AGAIN,
      );
    yield end;
  }

  *#u32(field: string): Steps<number> {
    yield* this.#need(4, field);
    const value = this.#view.getUint32(this.#at - this.#base, this.#littleEndian);
    this.#at += 4;
    return value;
  }

  /** The exact number, for messages and dimensions. */
  *#u64(field: string): Steps<bigint> {
    yield* this.#need(8, field);
    const value = this.#view.getBigUint64(this.#at - this.#base, this.#littleEndian);
    this.#at += 8;
    return value;
  }

  /** The bytes of a length-prefixed string; a view that is valid until the next pause. */
  *#string(field: string): Steps<Uint8Array> {
    const offset = this.#at;
    const length = yield* this.#u64(`${field}.length`);
    if (length > BigInt(this.size - this.#at))
      this.#fail(
        "E_GGUF_STRING",
        `${field} is said to be ${length} bytes long; the file has ${this.size - this.#at} left.`,
        offset,
        `${field}.length`,
        AGAIN,
      );
    yield* this.#need(Number(length), field);
    const start = this.#at - this.#base;
    this.#at += Number(length);
    return this.#bytes.subarray(start, start + Number(length));
  }

  /** The next string where all of it was read already; does not move otherwise. */
  #stringAtHand(): Uint8Array | undefined {
    const at = this.#at - this.#base;
    if (at + 8 > this.#bytes.length) return undefined;
    const [low, high] = this.#littleEndian ? [at, at + 4] : [at + 4, at];
    const length = this.#view.getUint32(low, this.#littleEndian);
    const end = at + 8 + length;
    if (this.#view.getUint32(high, this.#littleEndian) !== 0 || end > this.#bytes.length) return undefined;
    this.#at += 8 + length;
    return this.#bytes.subarray(at + 8, end);
  }

  *run(): Steps<Scan> {
    const { version, bigEndian } = yield* this.#prelude();
    const tensorCount = yield* this.#u64("tensor_count");
    const pairCount = yield* this.#u64("kv_count");
    this.#checkCount(tensorCount, MIN_INFO_BYTES, 8, "tensor_count", "tensors");
    this.#checkCount(pairCount, MIN_PAIR_BYTES, 16, "kv_count", "metadata entries");

    const warnings: string[] = [];
    if (bigEndian) warnings.push("The file is big-endian: it can be inspected, and nothing else.");

    const metadata: MetadataEntry[] = [];
    const keys = new Map<string, number>();
    let alignment = DEFAULT_ALIGNMENT;
    for (let i = 0; i < Number(pairCount); i++) {
      this.#record = `kv[${i}]`;
      const entry = yield* this.#pair(keys);
      metadata.push(entry);
      if (entry.key === "general.alignment") alignment = entry.value as number;
    }
    if (alignment % 8 !== 0)
      warnings.push(`general.alignment is ${alignment}; the specification asks for a multiple of 8.`);

    const infos: Info[] = [];
    const names = new Map<string, number>();
    for (let i = 0; i < Number(tensorCount); i++) {
      this.#record = `tensor[${i}]`;
      this.#tensor = undefined;
      const info = yield* this.#info(names, warnings);
      infos.push(info);
    }
    this.#record = "";
    this.#tensor = undefined;

    const dataOffset = Math.ceil(this.#at / alignment) * alignment;
    const tensors = this.#checkData(infos, alignment, dataOffset, warnings);
    return {
      version,
      bigEndian,
      alignment,
      metadata,
      tensors: bigEndian ? tensors.map((t) => ({ ...t, dtype: t.dtype + BIG_ENDIAN })) : tensors,
      dataOffset,
      warnings,
    };
  }

  *#prelude(): Steps<{ version: number; bigEndian: boolean }> {
    yield* this.#need(4, "magic");
    const head = this.#bytes.subarray(0, 256);
    if (!(head[0] === 0x47 && head[1] === 0x47 && head[2] === 0x55 && head[3] === 0x46)) {
      const guess = guessFormat(head);
      const hex = Array.from(head.subarray(0, 4), (b) => b.toString(16).padStart(2, "0")).join(" ");
      this.#fail(
        "E_GGUF_MAGIC",
        `The file ${guess.looks}: it begins with ${hex} instead of "GGUF".`,
        0,
        "magic",
        guess.remedy,
      );
    }
    this.#at = 4;
    yield* this.#need(4, "version");
    const version = this.#view.getUint32(4, true);
    const swapped = this.#view.getUint32(4, false);
    this.#at = 8;
    if (version === 2 || version === 3) return { version, bigEndian: false };
    if (swapped === 2 || swapped === 3) {
      this.#littleEndian = false;
      return { version: swapped, bigEndian: true };
    }
    if (version === 1 || swapped === 1)
      this.#fail(
        "E_GGUF_VERSION",
        `The file is GGUF version 1${version === 1 ? "" : " (big-endian)"}, which was replaced in August 2023.`,
        4,
        "version",
        "Convert the original model again, or rewrite the file as version 3 with a current gguf-py.",
      );
    return this.#fail(
      "E_GGUF_VERSION",
      `The file says it is GGUF version ${version}; versions 2 and 3 are known.`,
      4,
      "version",
      version > 3 && version < 100 ? "Update fewbit, or write the file as version 3." : AGAIN,
    );
  }

  #checkCount(count: bigint, least: number, offset: number, field: string, what: string): void {
    const rest = this.size - this.#at;
    if (count * BigInt(least) > BigInt(rest))
      this.#fail(
        "E_GGUF_COUNT",
        `The header promises ${count} ${what} of at least ${least} bytes each; the file has ${rest} bytes left.`,
        offset,
        field,
        AGAIN,
      );
  }

  // ---- metadata ----

  *#pair(keys: Map<string, number>): Steps<MetadataEntry> {
    this.#keep = this.#at;
    const record = this.#at;
    const keyBytes = yield* this.#string("key");
    if (keyBytes.length === 0)
      this.#fail("E_GGUF_KEY", "A metadata key is empty.", record, "key", "Remove or name the entry.");
    if (keyBytes.length > MAX_KEY_BYTES)
      this.#fail(
        "E_GGUF_KEY",
        `A metadata key is ${keyBytes.length} bytes long; at most ${MAX_KEY_BYTES} are allowed.`,
        record,
        "key",
        AGAIN,
      );
    const key = decodeStrict(keyBytes);
    if (key === undefined)
      this.#fail("E_GGUF_UTF8", `A metadata key is not UTF-8: ${shown(keyBytes)}.`, record, "key", AGAIN);
    if (key.includes("\0"))
      this.#fail(
        "E_GGUF_KEY",
        `The metadata key ${quoted(key)} contains NUL; programs in C would see another key.`,
        record,
        "key",
        "Rename the entry.",
      );
    const earlier = keys.get(key);
    if (earlier !== undefined)
      this.#fail(
        "E_GGUF_DUP_KEY",
        `The metadata key ${quoted(key)} occurs twice, at byte ${earlier} and at byte ${record}.`,
        record,
        "key",
        "Remove one of the two.",
      );
    keys.set(key, record);

    const typeOffset = this.#at;
    const type = yield* this.#u32("type");
    this.#checkType(type, typeOffset, `The value of ${quoted(key)}`, "type");
    if (key === "general.alignment" && type !== UINT32)
      this.#fail(
        "E_GGUF_ALIGNMENT",
        `general.alignment is stored as ${valueTypes[type]!.name}; it must be u32.`,
        typeOffset,
        "type",
        "Write the entry as u32, or remove it: 32 is the default.",
      );
    const start = this.#at;
    const { type: name, value } = yield* this.#value(type, key, start, 1);
    if (key === "general.alignment") this.#checkAlignment(value as number, start);
    const wanted = knownKeys.get(key);
    if (wanted !== undefined && !wanted.includes(name))
      this.#fail(
        "E_GGUF_VALUE",
        `${key} is stored as ${name}; it must be ${wanted.join(" or ")}.`,
        // Where the array itself is right, its element type is the field at fault.
        type === ARRAY && wanted[0]!.startsWith("array") ? typeOffset + 4 : typeOffset,
        "type",
        "Write the entry with the right type.",
      );
    if (!this.#littleEndian) return { key, type: name, value };
    return { key, type: name, value, raw: this.#bytes.slice(start - this.#base, this.#at - this.#base) };
  }

  #checkType(type: number, offset: number, what: string, field: string): void {
    if (type >= valueTypes.length)
      this.#fail(
        "E_GGUF_TYPE",
        `${what} has the type ${type}; types 0 to ${valueTypes.length - 1} are defined.`,
        offset,
        field,
        AGAIN,
      );
  }

  #checkAlignment(alignment: number, offset: number): void {
    const powerOfTwo = alignment > 0 && Number.isInteger(Math.log2(alignment));
    if (!powerOfTwo || alignment > MAX_ALIGNMENT)
      this.#fail(
        "E_GGUF_ALIGNMENT",
        `general.alignment is ${alignment}; it must be a power of two up to ${MAX_ALIGNMENT}.`,
        offset,
        "value",
        "Write the file again with an alignment of 32.",
      );
  }

  /** `start` is where the entry's value begins; `depth` counts arrays around this value, itself included. */
  *#value(type: number, key: string, start: number, depth: number): Steps<Value> {
    if (type === ARRAY) return yield* this.#array(key, start, depth);
    if (type === STRING) return { type: "string", value: decodeLenient(yield* this.#string("value")) };
    yield* this.#need(valueTypes[type]!.bytes, "value");
    const offset = this.#at;
    this.#at += valueTypes[type]!.bytes;
    return { type: valueTypes[type]!.name, value: this.#scalar(type, offset) };
  }

  #scalar(type: number, offset: number): number | bigint | boolean {
    const at = offset - this.#base;
    const le = this.#littleEndian;
    switch (valueTypes[type]!.name) {
      case "u8":
        return this.#view.getUint8(at);
      case "i8":
        return this.#view.getInt8(at);
      case "u16":
        return this.#view.getUint16(at, le);
      case "i16":
        return this.#view.getInt16(at, le);
      case "u32":
        return this.#view.getUint32(at, le);
      case "i32":
        return this.#view.getInt32(at, le);
      case "f32":
        return this.#view.getFloat32(at, le);
      case "u64":
        return this.#view.getBigUint64(at, le);
      case "i64":
        return this.#view.getBigInt64(at, le);
      case "f64":
        return this.#view.getFloat64(at, le);
      default:
        return this.#bool(at);
    }
  }

  #bool(at: number): boolean {
    const byte = this.#bytes[at]!;
    if (byte > 1)
      this.#fail(
        "E_GGUF_BOOL",
        `A boolean is stored as ${byte}; only 0 and 1 are defined.`,
        this.#base + at,
        "value",
        "Write the entry again as 0 or 1.",
      );
    return byte === 1;
  }

  *#array(key: string, start: number, depth: number): Steps<Value> {
    if (depth > MAX_NESTING)
      this.#fail(
        "E_GGUF_NESTING",
        `The value of ${quoted(key)} nests arrays more than ${MAX_NESTING} deep.`,
        start,
        "value",
        "Flatten the entry; llama.cpp reads no nested arrays at all.",
      );
    const typeOffset = this.#at;
    const type = yield* this.#u32("value.type");
    this.#checkType(type, typeOffset, `The array ${quoted(key)}`, "value.type");
    const countOffset = this.#at;
    const exact = yield* this.#u64("value.count");
    const { name, bytes: least } = valueTypes[type]!;
    if (exact * BigInt(least) > BigInt(this.size - this.#at))
      this.#fail(
        "E_GGUF_ARRAY",
        `The array ${quoted(key)} is said to hold ${exact} ${name} values; the file has ${this.size - this.#at} bytes left.`,
        countOffset,
        "value.count",
        AGAIN,
      );
    const count = Number(exact);

    const Numbers = numbers[type];
    if (Numbers !== undefined) {
      yield* this.#need(count * least, "value");
      const bytes = this.#bytes.slice(this.#at - this.#base, this.#at - this.#base + count * least);
      if (!this.#littleEndian)
        for (let i = 0; i < bytes.length; i += least) bytes.subarray(i, i + least).reverse();
      this.#at += count * least;
      return { type: `array<${name}>`, value: new Numbers(bytes.buffer) };
    }

    const value: unknown[] = [];
    if (type === BOOL) {
      yield* this.#need(count, "value");
      for (let i = 0; i < count; i++) value.push(this.#bool(this.#at++ - this.#base));
      return { type: "array<bool>", value };
    }
    if (type === STRING) {
      // Vocabularies: hundreds of thousands of short strings, nearly all of them inside the current block.
      for (let i = 0; i < count; i++)
        value.push(decodeLenient(this.#stringAtHand() ?? (yield* this.#string(`value[${i}]`))));
      return { type: "array<string>", value };
    }
    let inner: string | undefined;
    for (let i = 0; i < count; i++) {
      const element = yield* this.#array(key, start, depth + 1);
      value.push(element.value);
      inner = inner === undefined || inner === element.type ? element.type : "array";
    }
    return { type: `array<${inner ?? "array"}>`, value };
  }

  // ---- tensors ----

  *#info(names: Map<string, number>, warnings: string[]): Steps<Info> {
    this.#keep = this.#at;
    const record = this.#at;
    const nameBytes = yield* this.#string("name");
    if (nameBytes.length === 0)
      this.#fail("E_GGUF_NAME", "A tensor has an empty name.", record, "name", AGAIN);
    if (nameBytes.length > MAX_NAME_BYTES)
      this.#fail(
        "E_GGUF_NAME",
        `A tensor name is ${nameBytes.length} bytes long; at most ${MAX_NAME_BYTES} are allowed: ${shown(nameBytes)}.`,
        record,
        "name",
        "Convert the model again with shorter names.",
      );
    const name = decodeStrict(nameBytes);
    if (name === undefined)
      this.#fail("E_GGUF_UTF8", `A tensor name is not UTF-8: ${shown(nameBytes)}.`, record, "name", AGAIN);
    this.#tensor = name;
    if (name.includes("\0"))
      this.#fail(
        "E_GGUF_NAME",
        `The tensor name ${quoted(name)} contains NUL; programs in C would see another name.`,
        record,
        "name",
        "Rename the tensor.",
      );
    const earlier = names.get(name);
    if (earlier !== undefined)
      this.#fail(
        "E_GGUF_DUP_TENSOR",
        `The tensor ${quoted(name)} occurs twice, at byte ${earlier} and at byte ${record}.`,
        record,
        "name",
        "Remove one of the two.",
      );
    names.set(name, record);
    if (nameBytes.length === MAX_NAME_BYTES)
      warnings.push(
        `The tensor name ${quoted(name)} is 64 bytes long; llama.cpp loads names up to 63 bytes.`,
      );

    const countOffset = this.#at;
    const count = yield* this.#u32("n_dims");
    if (count > MAX_DIMS)
      this.#fail(
        "E_GGUF_NDIMS",
        `${quoted(name)} has ${count} dimensions; GGUF allows ${MAX_DIMS}.`,
        countOffset,
        "n_dims",
        AGAIN,
      );
    const dimsOffset = this.#at;
    const exact: bigint[] = [];
    for (let i = 0; i < count; i++) {
      const offset = this.#at;
      const dim = yield* this.#u64(`dims[${i}]`);
      if (dim >= 2n ** 53n)
        this.#fail(
          "E_GGUF_SHAPE",
          `Dimension ${i} of ${quoted(name)} is ${dim}; no file can hold that.`,
          offset,
          `dims[${i}]`,
          AGAIN,
        );
      exact.push(dim);
    }
    const typeOffset = this.#at;
    const id = yield* this.#u32("type");
    const type = this.#tensorType(id, name, typeOffset);
    const columns = exact[0] ?? 1n;
    if (columns % BigInt(type.block) !== 0n)
      this.#fail(
        "E_GGUF_BLOCK",
        `${quoted(name)} is stored as ${type.name} with rows of ${columns}, which is no multiple of its block of ${type.block}.`,
        count === 0 ? countOffset : dimsOffset,
        count === 0 ? "n_dims" : "dims[0]",
        AGAIN,
      );
    const bytes = this.#byteSize(exact, type, name, dimsOffset);
    const offsetField = this.#at;
    const offset = yield* this.#u64("offset");
    return { name, dims: exact.map(Number), dtype: type.name, bytes, offset, record, offsetField };
  }

  #tensorType(id: number, name: string, offset: number): TensorType {
    const type = tensorTypesById.get(id);
    if (type !== undefined) return type;
    const removed = removedTensorTypes.get(id);
    return this.#fail(
      "E_GGUF_TENSOR_TYPE",
      removed === undefined
        ? `${quoted(name)} has the tensor type ${id}, which is not defined.`
        : `${quoted(name)} has the tensor type ${id} (${removed}), which was removed from the format.`,
      offset,
      "type",
      removed === undefined
        ? "Update fewbit, or download the file again."
        : "Quantize the original model again.",
    );
  }

  /** As `bigint`: sizes that wrap in 64 bits are how hostile shapes pass for small ones. */
  #byteSize(dims: readonly bigint[], type: TensorType, name: string, offset: number): bigint {
    // Zero dimensions must not hide that the others wrap.
    const extent = dims.reduce((product, dim) => product * (dim === 0n ? 1n : dim), 1n);
    const padded = (extent * BigInt(type.bytes)) / BigInt(type.block) + BigInt(MAX_ALIGNMENT);
    if (extent >= MAX_SIZE || padded >= MAX_SIZE)
      this.#fail(
        "E_GGUF_SHAPE",
        `The shape ${dims.join(" × ")} of ${quoted(name)} overflows 64 bits.`,
        offset,
        "dims",
        AGAIN,
      );
    return dims.includes(0n) ? 0n : (extent * BigInt(type.bytes)) / BigInt(type.block);
  }

  // ---- data ----

  /** Tensors must lie one after another in the order of their infos, each padded to the alignment, all inside the file. */
  #checkData(
    infos: readonly Info[],
    alignment: number,
    dataOffset: number,
    warnings: string[],
  ): ScannedTensor[] {
    const step = BigInt(alignment);
    const pad = (bytes: bigint): bigint => ((bytes + step - 1n) / step) * step;
    const failAt = (i: number, code: ErrorCode, message: string, remedy: string): never => {
      this.#record = `tensor[${i}]`;
      this.#tensor = infos[i]!.name;
      return this.#fail(code, message, infos[i]!.offsetField, "offset", remedy);
    };

    infos.forEach((info, i) => {
      const end = BigInt(dataOffset) + info.offset + info.bytes;
      if (end > BigInt(this.size) && (info.bytes > 0n || info.offset >= BigInt(this.size)))
        failAt(
          i,
          "E_GGUF_BOUNDS",
          `The data of ${quoted(info.name)} lies at bytes ${BigInt(dataOffset) + info.offset} to ${end}; the file has ${this.size} bytes.`,
          `${AGAIN} At least ${end} bytes are needed.`,
        );
      if (info.offset % step !== 0n)
        failAt(
          i,
          "E_GGUF_OFFSET",
          `The data of ${quoted(info.name)} begins at offset ${info.offset}, which is no multiple of the alignment ${alignment}.`,
          AGAIN,
        );
    });

    const order = infos.map((_, i) => i).filter((i) => infos[i]!.bytes > 0n);
    order.sort((a, b) =>
      infos[a]!.offset < infos[b]!.offset ? -1 : infos[a]!.offset > infos[b]!.offset ? 1 : a - b,
    );
    for (let k = 1; k < order.length; k++) {
      const [a, b] = [order[k - 1]!, order[k]!];
      if (infos[a]!.offset + infos[a]!.bytes > infos[b]!.offset)
        failAt(
          Math.max(a, b),
          "E_GGUF_OVERLAP",
          `The data of ${quoted(infos[a]!.name)} and of ${quoted(infos[b]!.name)} overlap at offset ${infos[b]!.offset}.`,
          AGAIN,
        );
    }

    let expected = 0n;
    infos.forEach((info, i) => {
      if (info.offset !== expected) {
        const between = order.some((j) => infos[j]!.offset >= expected && infos[j]!.offset < info.offset);
        const hole = info.offset > expected && !between;
        failAt(
          i,
          hole ? "E_GGUF_HOLE" : "E_GGUF_OFFSET",
          hole
            ? `There are ${info.offset - expected} unexplained bytes before the data of ${quoted(info.name)}.`
            : `The data of ${quoted(info.name)} begins at offset ${info.offset}; in the order of the header it must begin at ${expected}.`,
          "Write the file again with the tensors' data in the order of the header and without gaps; llama.cpp refuses it too.",
        );
      }
      expected += pad(info.bytes);
    });

    const trailing = BigInt(this.size) - BigInt(dataOffset) - expected;
    if (trailing > 0n)
      warnings.push(`${trailing} bytes follow the last tensor; they are ignored and never copied.`);
    return infos.map(({ name, dims, dtype, bytes, offset, record }) => ({
      name,
      dims,
      dtype,
      bytes: Number(bytes),
      offset: dataOffset + Number(offset),
      record,
    }));
  }
}

interface Info {
  readonly name: string;
  readonly dims: readonly number[];
  readonly dtype: string;
  readonly bytes: bigint;
  /** From the start of the data section. */
  readonly offset: bigint;
  readonly record: number;
  readonly offsetField: number;
}

/** Bytes that are no text, as a message may show them. */
const shown = (bytes: Uint8Array): string => quoted(decodeLenient(bytes));
