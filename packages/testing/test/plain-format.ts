// A container that keeps the contract: "PLAIN", the length of a JSON header as 8 digits, the header, the tensors.
import {
  FewbitError,
  type FormatReader,
  type FormatWriter,
  floatTypes,
  type Model,
  nameOf,
  type Source,
  type TensorInfo,
} from "@fewbit/core";

const MAGIC = "PLAIN";
const PREFIX = MAGIC.length + 8;
const ALIGNMENT = 32;
const align = (offset: number): number => Math.ceil(offset / ALIGNMENT) * ALIGNMENT;

interface Header {
  readonly files: number;
  readonly metadata: Model["metadata"];
  readonly tensors: readonly Omit<TensorInfo, "file">[];
}

const malformed = (what: string): FewbitError =>
  new FewbitError("E_GGUF_VALUE", `The header is malformed: ${what}.`, {}, "Get the file again.");
const refuse = (condition: unknown, what: string): void => {
  if (!condition) throw malformed(what);
};
const whole = (x: unknown): x is number => Number.isSafeInteger(x) && (x as number) >= 0;

async function readHeader(source: Source): Promise<Header> {
  const prefix = new Uint8Array(PREFIX);
  await source.read(0, prefix);
  const text = new TextDecoder().decode(prefix);
  refuse(text.startsWith(MAGIC) && /^\d{8}$/.test(text.slice(MAGIC.length)), "no magic or length");
  const length = Number(text.slice(MAGIC.length));
  refuse(PREFIX + length <= source.size, "it is longer than the file");
  const bytes = new Uint8Array(length);
  await source.read(PREFIX, bytes);
  let header: Header;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw malformed("no JSON");
  }
  refuse(Array.isArray(header?.metadata) && Array.isArray(header.tensors), "no metadata or tensors");
  refuse(whole(header.files) && header.files < 100, "no number of files");
  let end = PREFIX + length;
  const names = new Set<string>();
  for (const tensor of header.tensors) {
    refuse(typeof tensor?.name === "string" && !names.has(tensor.name), "a name");
    names.add(tensor.name);
    refuse(Array.isArray(tensor.shape) && tensor.shape.every(whole), "a shape");
    refuse(whole(tensor.bytes) && whole(tensor.offset) && tensor.offset >= end, "an offset");
    end = tensor.offset + tensor.bytes;
    refuse(end <= source.size, "a tensor beyond the end");
    const element = floatTypes.get(tensor.dtype)?.bytes;
    const count = tensor.shape.reduce((a, b) => a * b, 1);
    refuse(element === undefined || element * count === tensor.bytes, "a size");
  }
  return header;
}

export const plainReader: FormatReader = {
  id: "plain",
  extensions: [".plain"],
  sniff: (head) => new TextDecoder().decode(head.subarray(0, MAGIC.length)) === MAGIC,
  async open(source, sibling) {
    const first = await readHeader(source);
    const sources = [source];
    for (let i = 1; i < first.files; i++)
      sources.push(await sibling(nameOf(source.at).replace(".0.plain", `.${i}.plain`)));
    const headers = await Promise.all(sources.map(readHeader));
    const tensors = headers.flatMap((header, file) => header.tensors.map((t) => ({ ...t, file })));
    refuse(new Set(tensors.map((t) => t.name)).size === tensors.length, "a name in two files");
    return {
      format: "plain",
      metadata: first.metadata,
      tensors,
      files: sources.map((s) => s.at),
      warnings: [],
    };
  },
};

const accepted = ["F32", "F16", "PLAIN8"];

export const plainWriter = {
  id: "plain",
  extensions: [".plain"],
  accepts: (dtype) => accepted.includes(dtype) || `plain files hold ${accepted.join(", ")}`,
  fileNames: (output, files) =>
    Array.from({ length: files }, (_, i) => output.replace(/\.plain$/, `.${i}.plain`)),
  layout({ metadata, tensors, files }) {
    for (const { dtype } of tensors)
      if (!accepted.includes(dtype))
        throw new FewbitError("E_GGUF_TENSOR_TYPE", `${dtype} cannot be stored.`);
    const places: { tensor: string; part: string; file: number; offset: number }[] = [];
    const outputs = Array.from({ length: files }, (_, file) => {
      const own = tensors.filter((t) => t.file === file);
      // Offsets are digits in the header, and its length depends on them: the room for it is generous instead.
      const start = align(PREFIX + 1000 + 400 * own.length);
      let offset = start;
      const entries = own.map(({ name, dtype, shape, parts }) => {
        const entry = { name, dtype, shape, offset, bytes: parts[0]!.bytes };
        places.push({ tensor: name, part: "", file, offset });
        offset = align(offset + entry.bytes);
        return entry;
      });
      const json = new TextEncoder().encode(JSON.stringify({ files, metadata, tensors: entries }));
      const header = new Uint8Array(start).fill(32);
      header.set(new TextEncoder().encode(MAGIC + String(start - PREFIX).padStart(8, "0")));
      header.set(json, PREFIX);
      return { header, size: offset };
    });
    return { files: outputs, places };
  },
} as const satisfies FormatWriter;

/** Files as the writer lays them out, with every tensor filled. */
export function plainSample(files = 1): {
  name: string;
  bytes: Uint8Array;
  siblings: Record<string, Uint8Array>;
} {
  const tensors = ["a.weight", "b.weight"].map((name, i) => ({
    name,
    dtype: "F32",
    shape: [2, 4],
    parts: [{ name: "", dtype: "F32", shape: [2, 4], bytes: 32, per: "row" as const }],
    file: i % files,
  }));
  const output = plainWriter.layout({ metadata: [{ key: "k", type: "u32", value: 1 }], tensors, files });
  const names = files === 1 ? ["model.plain"] : plainWriter.fileNames("model.plain", files);
  const contents = output.files.map(({ header, size }) => {
    const bytes = new Uint8Array(size).fill(7);
    bytes.set(header);
    return bytes;
  });
  return {
    name: names[0]!,
    bytes: contents[0]!,
    siblings: Object.fromEntries(names.slice(1).map((name, i) => [name, contents[i + 1]!])),
  };
}
