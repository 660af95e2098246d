// The strict structural scan: every rule of the format is checked here against the real file size, before anything
// is allocated for it.
//
//   length  header…  data…
//   8       length   to the end of the file
//   header: {"__metadata__": {text: text, …}, name: {"dtype": …, "shape": […], "data_offsets": [begin, end]}, …}
//           then white space; offsets count from the start of the data, and leave no byte of it unused

import { type ErrorCode, FewbitError, type MetadataEntry, nameOf, type Source } from "@fewbit/core";
import { looksLike } from "./foreign.js";
import { type Json, JsonReader, MAX_ITEMS, type Member, wholeNumber } from "./json.js";
import { decode, firstInvalid, Offsets, quoted, wellFormed } from "./text.js";
import { dtypes, MAX_COUNT, MAX_HEADER_BYTES, METADATA, PREFIX_BYTES } from "./types.js";

/** A tensor as its entry in the header describes it. */
export interface ScannedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  /** From the start of the file. */
  readonly offset: number;
  readonly bytes: number;
  /** Where the tensor's name stands in the header. */
  readonly record: number;
}

/** One file's header, checked. */
export interface Scan {
  readonly metadata: readonly MetadataEntry[];
  /** In the order of the header. */
  readonly tensors: readonly ScannedTensor[];
  /** Where the data begins. */
  readonly dataOffset: number;
  readonly warnings: readonly string[];
}

/** A name may be as long as a header; an error need not. */
const MAX_SHOWN = 256;

const AGAIN = "Download or write the file again.";

/**
 * Reads the header of one file and checks the place of every tensor's data.
 *
 * @throws `E_ST_*` with the byte offset of the field at fault and its path, such as `tensor[3].shape[1]`
 */
export async function scan(source: Source): Promise<Scan> {
  const file = nameOf(source.at);
  const fail = (code: ErrorCode, message: string, offset: number, key: string, remedy = AGAIN): never => {
    throw new FewbitError(code, message, { file, offset, key }, remedy);
  };
  if (source.size < PREFIX_BYTES)
    fail(
      "E_ST_TRUNCATED",
      `The file has ${source.size} bytes; it begins with ${PREFIX_BYTES} that say how long the header is.`,
      0,
      "header_length",
    );
  const prefix = new Uint8Array(PREFIX_BYTES);
  await source.read(0, prefix);
  const length = new DataView(prefix.buffer).getBigUint64(0, true);
  const rest = source.size - PREFIX_BYTES;
  if (length === 0n || length > BigInt(MAX_HEADER_BYTES) || length > BigInt(rest)) {
    const foreign = looksLike(prefix);
    const problem =
      length === 0n
        ? "The header is said to be empty; even without tensors it is {}."
        : length > BigInt(MAX_HEADER_BYTES)
          ? `The header is said to be ${length} bytes long; at most ${MAX_HEADER_BYTES} are allowed.`
          : `The header is said to be ${length} bytes long; ${rest} bytes follow.`;
    fail(
      "E_ST_HEADER_LENGTH",
      foreign === undefined ? problem : `${problem} The file looks like ${foreign.is}.`,
      0,
      "header_length",
      foreign?.remedy ?? AGAIN,
    );
  }

  let header: Uint8Array | undefined = new Uint8Array(Number(length));
  await source.read(PREFIX_BYTES, header);
  const text = decode(header);
  if (text === undefined)
    return fail("E_ST_UTF8", "The header is not UTF-8.", PREFIX_BYTES + firstInvalid(header), "header");
  header = undefined; // As text it is there already; a large one need not be there twice.
  return new HeaderScan(text, file, PREFIX_BYTES + Number(length), source.size).run();
}

class HeaderScan {
  readonly #offsets: Offsets;
  readonly #tensors: ScannedTensor[] = [];
  /** Of each tensor, the index into the text of its data_offsets. */
  readonly #offsetsAt: number[] = [];
  #metadata: MetadataEntry[] = [];
  #unknownFields = 0;
  /** The entry being read, such as `tensor[3]`, and its name. */
  #record = "header";
  #tensor: string | undefined;

  constructor(
    readonly text: string,
    readonly file: string,
    readonly dataOffset: number,
    readonly size: number,
  ) {
    this.#offsets = new Offsets(text);
  }

  /** `at` is an index into the text. */
  #fail(code: ErrorCode, message: string, at: number, field = "", remedy = AGAIN): never {
    const tensor = this.#tensor === undefined ? {} : { tensor: this.#tensor.slice(0, MAX_SHOWN) };
    const offset = PREFIX_BYTES + this.#offsets.of(at);
    throw new FewbitError(
      code,
      message,
      { file: this.file, ...tensor, offset, key: `${this.#record}${field}` },
      remedy,
    );
  }

  run(): Scan {
    const json = new JsonReader(this.text, (kind, message, at) =>
      kind === "duplicate"
        ? this.#fail("E_ST_DUP", `In the header ${message}; other readers would silently take one.`, at)
        : this.#fail("E_ST_JSON", `The header is not JSON as it must be: ${message}.`, at),
    );
    for (const [name, member] of json.members()) {
      if (name === METADATA) {
        this.#record = METADATA;
        this.#readMetadata(member.value);
      } else {
        this.#record = `tensor[${this.#tensors.length}]`;
        this.#tensor = name;
        this.#tensors.push(this.#entry(name, member));
      }
      this.#record = "header";
      this.#tensor = undefined;
    }
    this.#checkData();

    const warnings: string[] = [];
    if (!this.text.startsWith("{"))
      warnings.push("The header begins with white space; the format says it begins with {.");
    if (this.#unknownFields > 0)
      warnings.push(
        `${this.#unknownFields} fields of tensors are not defined by the format and are ignored.`,
      );
    return {
      metadata: this.#metadata,
      tensors: this.#tensors,
      dataOffset: this.dataOffset,
      warnings,
    };
  }

  #readMetadata(value: Json): void {
    const wrong = (message: string, at: number, field = ""): never =>
      this.#fail("E_ST_METADATA", message, at, field, "Write the file again with metadata of text only.");
    if (value.kind !== "object") {
      wrong(`${METADATA} is ${described(value)}; it must be an object.`, value.at);
      return;
    }
    this.#metadata = Array.from(value.members, ([key, { at, value: text }]) => {
      const field = `[${quoted(key)}]`;
      if (text.kind !== "string")
        return wrong(`The metadata ${quoted(key)} is ${described(text)}; it must be text.`, text.at, field);
      if (!wellFormed(key) || !wellFormed(text.value))
        wrong(
          `The metadata ${quoted(key)} holds half of a character, which cannot be written as UTF-8.`,
          wellFormed(key) ? text.at : at,
          field,
        );
      return { key, type: "string", value: text.value };
    });
  }

  #entry(name: string, { at, value }: Member): ScannedTensor {
    if (!wellFormed(name))
      this.#fail(
        "E_ST_NAME",
        `The tensor name ${quoted(name)} holds half of a character: written as UTF-8, two names could become one.`,
        at,
        ".name",
        "Rename the tensor.",
      );
    if (value.kind !== "object")
      return this.#fail(
        "E_ST_ENTRY",
        `${quoted(name)} is ${described(value)}; a tensor is an object with dtype, shape and data_offsets.`,
        value.at,
      );
    const field = (key: string): Json => {
      const found = value.members.get(key);
      return (
        found?.value ??
        this.#fail("E_ST_ENTRY", `The tensor ${quoted(name)} has no ${key}.`, value.at, `.${key}`)
      );
    };
    const [dtype, shape, offsets] = [field("dtype"), field("shape"), field("data_offsets")];
    this.#unknownFields += value.members.size - 3;

    const bits = dtype.kind === "string" ? dtypes.get(dtype.value)?.bits : undefined;
    if (dtype.kind !== "string" || bits === undefined)
      return this.#fail(
        "E_ST_DTYPE",
        `The tensor ${quoted(name)} has the dtype ${dtype.kind === "string" ? quoted(dtype.value) : described(dtype)}; known are ${[...dtypes.keys()].join(", ")}.`,
        dtype.at,
        ".dtype",
        "Write the file again with one of these, or update fewbit.",
      );
    const dims = this.#dims(name, shape);
    const { items } = shape as Json & { kind: "array" };
    const said = (): string => `[${items.map(described).join(", ")}]`;
    const [begin, end] = this.#dataOffsets(name, offsets);
    const elements = dims.reduce((a, b) => a * b, 1n);
    // Zeros last, so that they cannot hide a product that other readers see overflow.
    if (dims.filter((dim) => dim > 0n).reduce((a, b) => a * b, BigInt(bits)) > MAX_COUNT)
      this.#fail(
        "E_ST_SHAPE",
        `The tensor ${quoted(name)} of ${said()} has more bits than 64-bit numbers can count.`,
        shape.at,
        ".shape",
      );
    if (end > BigInt(this.size - this.dataOffset))
      this.#fail(
        "E_ST_BOUNDS",
        `The data of ${quoted(name)} ends at offset ${end}; the file has ${this.size - this.dataOffset} bytes of data.`,
        offsets.at,
        ".data_offsets",
        `${AGAIN} At least ${BigInt(this.dataOffset) + end} bytes are needed.`,
      );
    for (const [i, dim] of dims.entries())
      if (dim > BigInt(Number.MAX_SAFE_INTEGER))
        this.#fail(
          "E_ST_SHAPE",
          `The tensor ${quoted(name)} has a dimension of ${dim}, which no file can hold.`,
          items[i]!.at,
          `.shape[${i}]`,
        );
    const wanted = elements * BigInt(bits);
    if (wanted % 8n !== 0n)
      this.#fail(
        "E_ST_SIZE",
        `The tensor ${quoted(name)} of ${elements} × ${dtype.value} takes ${wanted} bits, which is no whole number of bytes.`,
        shape.at,
        ".shape",
      );
    if (wanted / 8n !== end - begin)
      this.#fail(
        "E_ST_SIZE",
        `The tensor ${quoted(name)} of ${said()} × ${dtype.value} takes ${wanted / 8n} bytes; its offsets give it ${end - begin}.`,
        offsets.at,
        ".data_offsets",
      );
    this.#offsetsAt.push(offsets.at);
    return {
      name,
      shape: dims.map(Number),
      dtype: dtype.value,
      offset: this.dataOffset + Number(begin),
      bytes: Number(end - begin),
      record: PREFIX_BYTES + this.#offsets.of(at),
    };
  }

  #dims(name: string, shape: Json): bigint[] {
    if (shape.kind !== "array")
      return this.#fail(
        "E_ST_SHAPE",
        `The shape of ${quoted(name)} is ${described(shape)}; it must be a list of counts.`,
        shape.at,
        ".shape",
      );
    if (shape.length > MAX_ITEMS)
      this.#fail(
        "E_ST_SHAPE",
        `The tensor ${quoted(name)} has ${shape.length} dimensions; at most ${MAX_ITEMS} make sense.`,
        shape.at,
        ".shape",
      );
    return shape.items.map(
      (item, i) =>
        wholeNumber(item) ??
        this.#fail(
          "E_ST_SHAPE",
          `A dimension of ${quoted(name)} is ${described(item)}; it must be a whole number in plain digits.`,
          item.at,
          `.shape[${i}]`,
        ),
    );
  }

  #dataOffsets(name: string, offsets: Json): [begin: bigint, end: bigint] {
    if (offsets.kind !== "array" || offsets.length !== 2)
      return this.#fail(
        "E_ST_ENTRY",
        `data_offsets of ${quoted(name)} is ${described(offsets)}; it must be [begin, end].`,
        offsets.at,
        ".data_offsets",
      );
    const [begin, end] = offsets.items.map(
      (item, i) =>
        wholeNumber(item) ??
        this.#fail(
          item.kind === "number" ? "E_ST_OFFSETS" : "E_ST_ENTRY",
          `An offset of ${quoted(name)} is ${described(item)}; it must be a whole number in plain digits.`,
          item.at,
          `.data_offsets[${i}]`,
        ),
    ) as [bigint, bigint];
    if (begin > end)
      this.#fail(
        "E_ST_OFFSETS",
        `The data of ${quoted(name)} begins at offset ${begin} and ends before that, at ${end}.`,
        offsets.at,
        ".data_offsets",
      );
    return [begin, end];
  }

  /** In the order of their data, tensors must follow each other without a gap, from the first byte to the last. */
  #checkData(): void {
    const tensors = this.#tensors;
    const order = tensors.map((_, i) => i);
    order.sort(
      (a, b) => tensors[a]!.offset - tensors[b]!.offset || tensors[a]!.bytes - tensors[b]!.bytes || a - b,
    );
    let previous: number | undefined;
    let expected = this.dataOffset;
    for (const i of order) {
      const { name, offset, bytes } = tensors[i]!;
      if (offset < expected)
        // The later of the two in the header is the one too many.
        this.#failAt(
          Math.max(i, previous!),
          "E_ST_OVERLAP",
          `The data of ${quoted(tensors[previous!]!.name)} and of ${quoted(name)} overlap at offset ${offset - this.dataOffset}.`,
        );
      if (offset > expected)
        this.#failAt(
          i,
          "E_ST_HOLE",
          `There are ${offset - expected} unexplained bytes before the data of ${quoted(name)}, at offset ${expected - this.dataOffset}.`,
        );
      expected = offset + bytes;
      previous = i;
    }
    const trailing = this.size - expected;
    if (trailing > 0)
      throw new FewbitError(
        "E_ST_TRAILING",
        `${trailing} bytes follow the last tensor; the format allows none.`,
        { file: this.file, offset: expected, key: "data" },
        "Download or write the file again; do not trust it as it is.",
      );
  }

  #failAt(i: number, code: ErrorCode, message: string): never {
    this.#record = `tensor[${i}]`;
    this.#tensor = this.#tensors[i]!.name;
    return this.#fail(code, message, this.#offsetsAt[i]!, ".data_offsets");
  }
}

/** A value as a message names it. */
function described(value: Json): string {
  switch (value.kind) {
    case "object":
      return "an object";
    case "array":
      return value.length === 1 ? "a list of 1 value" : `a list of ${value.length} values`;
    case "string":
      return `the text ${quoted(value.value)}`;
    case "number":
      return value.text.length > 40 ? `${value.text.slice(0, 40)}…` : value.text;
    default:
      return value.kind;
  }
}
