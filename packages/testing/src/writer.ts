import {
  blobSource,
  type Draft,
  type FormatReader,
  type FormatWriter,
  floatTypes,
  type MetadataEntry,
  type Output,
  type Scheme,
} from "@fewbit/core";
import { describe, equal, hold, refuses, type TestFunction, thrownBy } from "./law.js";

/** What `testWriter` is given. */
export interface WriterTestOptions {
  /** The `test` of your test runner. */
  readonly test: TestFunction;
  /** Reads what was written, where there is a reader of the same format. */
  readonly reader?: FormatReader;
  /** Entries in the container's own types, written and read back with the tensors. */
  readonly metadata?: readonly MetadataEntry[];
  /** Schemes whose tensors the container may hold: `accepts` decides. */
  readonly schemes?: readonly Scheme[];
}

const SHAPES: readonly (readonly number[])[] = [[4, 32], [7], [2, 3, 5], [3, 1]];
const NAMES = ["blk.0.ffn_down.weight", "blk.0.attn_norm.weight", "token embedding – ü", "output.weight"];
const WIDTHS = [32, 64, 128, 256, 512, 1024];
/** No container pads a tensor by more. */
const MAX_PADDING = 4096;

type DraftTensor = Draft["tensors"][number];

/** The contract every writer keeps: a pure function that knows every byte's place before a weight is read. */
export function testWriter(
  writer: FormatWriter,
  { test, reader, metadata = [], schemes = [] }: WriterTestOptions,
): void {
  const law = (name: string, run: () => void | Promise<void>) =>
    test(`${writer.id}: ${name}`, async () => run());
  const draft = (): Draft => {
    // What accepts() promises and layout() cannot keep is a law of its own.
    const tensors = draftTensors(writer, schemes).filter((tensor) => canLayOut(writer, metadata, tensor));
    hold(
      tensors.length > 0,
      "neither F32, F16, BF16 nor a scheme given can be laid out: there is nothing to write",
    );
    return { metadata, tensors, files: 1 };
  };
  const layout = () => {
    const asked = draft();
    return { draft: asked, output: writer.layout(asked) };
  };

  law("declares an id and its extensions", () => {
    hold(/^\S+$/.test(writer.id), `the id "${writer.id}" must be one word`);
    hold(
      writer.extensions.length > 0 && writer.extensions.every((extension) => /^\.[^.\s/]+$/.test(extension)),
      `extensions are written with their dot: [${writer.extensions}]`,
    );
  });

  law("accepts answers for any type, with true or a reason", () => {
    const types = [
      ...floatTypes.keys(),
      ...schemes.map(({ id }) => id),
      "",
      "NO_SUCH_TYPE",
      "constructor",
      "__proto__",
    ];
    for (const dtype of types) {
      const answer: unknown = writer.accepts(dtype);
      hold(
        answer === true || (typeof answer === "string" && answer.trim() !== ""),
        `accepts("${dtype}") answers ${JSON.stringify(answer)}: true, or why not`,
      );
    }
    hold(writer.accepts("NO_SUCH_TYPE") !== true, 'accepts("NO_SUCH_TYPE") is true');
  });

  law("layout holds what accepts accepts, and refuses the rest", async () => {
    const one = (tensor: DraftTensor): Draft => ({ metadata, tensors: [tensor], files: 1 });
    for (const tensor of draftTensors(writer, schemes)) {
      const thrown = await thrownBy(() => writer.layout(one(tensor)));
      hold(
        thrown === undefined,
        `accepts("${tensor.dtype}") is true, but layout of ${tensor.name} throws ${describe(thrown)}`,
      );
    }
    const unknown = floatTensor("x.weight", "F32", [4, 32]);
    for (const dtype of [...schemes.map(({ id }) => id), "NO_SUCH_TYPE"].filter(
      (id) => writer.accepts(id) !== true,
    ))
      hold(
        await refuses(() => writer.layout(one({ ...unknown, dtype }))),
        `accepts("${dtype}") is no, but layout takes it`,
      );
  });

  law("layout is pure, and leaves its draft alone", () => {
    const { draft: asked, output } = layout();
    hold(equal(asked, draft()), "layout changed its draft");
    hold(equal(output, writer.layout(draft())), "layout gave two answers for one draft");
  });

  law("every part has one place", () => {
    const { draft: asked, output } = layout();
    const name = (tensor: string, part: string) => `${tensor}${part === "" ? "" : `, part ${part}`}`;
    const wanted = asked.tensors.flatMap((t) => t.parts.map((part) => name(t.name, part.name)));
    const placed = output.places.map(({ tensor, part }) => name(tensor, part));
    for (const part of wanted) {
      const times = placed.filter((other) => other === part).length;
      hold(times === 1, `${part} has ${times} places`);
    }
    for (const part of placed) hold(wanted.includes(part), `${part} has a place and was not asked for`);
  });

  law("places lie apart, behind the header and within the file", () => {
    const { draft: asked, output } = layout();
    hold(output.files.length === 1, `${output.files.length} files for a draft of one`);
    for (const [file, { header, size }] of output.files.entries()) {
      hold(
        header.length > 0 && header.length <= size,
        `a header of ${header.length} bytes in a file of ${size}`,
      );
      let end = { at: header.length, of: "the header" };
      for (const place of placesOf(asked, output).filter((p) => p.file === file)) {
        hold(Number.isSafeInteger(place.offset), `${place.name} lies at ${place.offset}`);
        hold(
          place.offset >= end.at,
          `${place.name} at byte ${place.offset} overlaps ${end.of}, which ends at ${end.at}`,
        );
        end = { at: place.offset + place.bytes, of: place.name };
      }
      hold(end.at <= size, `${end.of} ends at byte ${end.at} of a file of ${size}`);
    }
  });

  law("places are aligned to their elements", () => {
    const { draft: asked, output } = layout();
    for (const { name, offset, dtype } of placesOf(asked, output)) {
      const element = floatTypes.get(dtype)?.bytes ?? 1;
      hold(offset % element === 0, `${name} (${dtype}) at byte ${offset} is not aligned to ${element}`);
    }
  });

  law("the size is the header, the parts and their padding", () => {
    const { draft: asked, output } = layout();
    const bytes = placesOf(asked, output).reduce((sum, place) => sum + place.bytes, 0);
    const { header, size } = output.files[0]!;
    const padding = size - header.length - bytes;
    hold(
      padding >= 0 && padding <= MAX_PADDING * asked.tensors.length,
      `a file of ${size} bytes for a header of ${header.length} and parts of ${bytes}`,
    );
    const empty = writer.layout({ metadata, tensors: [], files: 1 });
    hold(
      empty.places.length === 0 && empty.files[0]!.size - empty.files[0]!.header.length <= MAX_PADDING,
      "a draft without tensors has places or needs room for them",
    );
  });

  if (reader !== undefined)
    law("what is written is read back", async () => {
      const { draft: asked, output } = layout();
      await readBack(reader, asked, output, [`model${writer.extensions[0]}`]);
    });

  const { fileNames } = writer;
  if (fileNames !== undefined) {
    const path = `folder/model${writer.extensions[0]}`;
    law("names of a split output are distinct and pure", () => {
      const names = writer.fileNames!(path, 3);
      hold(names.length === 3 && new Set(names).size === 3, `three files are called ${names.join(", ")}`);
      hold(equal(names, writer.fileNames!(path, 3)), "two calls give different names");
      hold(
        names.every((name) => name.startsWith("folder/") && writer.extensions.some((e) => name.endsWith(e))),
        `${names.join(", ")} are not beside ${path}, with its extension`,
      );
    });
    law("a split draft fills every file", async () => {
      const one = draft();
      const split: Draft = { ...one, files: 2, tensors: one.tensors.map((t, i) => ({ ...t, file: i % 2 })) };
      const output = writer.layout(split);
      hold(output.files.length === 2, `${output.files.length} files for a draft of two`);
      for (const tensor of split.tensors)
        for (const place of output.places.filter((p) => p.tensor === tensor.name))
          hold(
            place.file === tensor.file,
            `${tensor.name} belongs in file ${tensor.file} and lies in ${place.file}`,
          );
      if (reader)
        await readBack(
          reader,
          { ...split, metadata: [] },
          output,
          writer.fileNames!(`model${writer.extensions[0]}`, 2),
        );
    });
  }
}

function canLayOut(writer: FormatWriter, metadata: Draft["metadata"], tensor: DraftTensor): boolean {
  try {
    return writer.layout({ metadata, tensors: [tensor], files: 1 }).files.length > 0;
  } catch {
    return false;
  }
}

const floatTensor = (name: string, dtype: string, shape: readonly number[]): DraftTensor => {
  const bytes = shape.reduce((a, b) => a * b, 1) * (floatTypes.get(dtype)?.bytes ?? 1);
  return { name, dtype, shape, parts: [{ name: "", dtype, shape, bytes, per: "row" }], file: 0 };
};

/** One tensor of every shape and every type that the writer says it accepts. */
function draftTensors(writer: FormatWriter, schemes: readonly Scheme[]): DraftTensor[] {
  const floats = ["F32", "F16", "BF16"].filter((dtype) => writer.accepts(dtype) === true);
  const plain = floats.flatMap((dtype) =>
    SHAPES.map((shape, i) => floatTensor(`${NAMES[i]}.${dtype}`, dtype, shape)),
  );
  const encoded = schemes
    .filter(({ id }) => writer.accepts(id) === true && !floats.includes(id))
    .flatMap((scheme): DraftTensor[] => {
      for (const width of WIDTHS) {
        const parts = scheme.layout([3, width]);
        if (!("unfit" in parts))
          return [{ name: `blk.1.${scheme.id}`, dtype: scheme.id, shape: [3, width], parts, file: 0 }];
      }
      return [];
    });
  return [...plain, ...encoded];
}

/** Places with what lies there, in the order of the file. */
function placesOf(draft: Draft, output: Output) {
  const found = draft.tensors.flatMap((tensor) =>
    tensor.parts.map((part) => {
      const place = output.places.find((p) => p.tensor === tensor.name && p.part === part.name);
      return {
        name: tensor.name,
        dtype: part.dtype,
        bytes: part.bytes,
        file: place?.file ?? tensor.file,
        offset: place?.offset ?? 0,
      };
    }),
  );
  return found.sort((a, b) => a.offset - b.offset || a.bytes - b.bytes);
}

/** Fills every tensor with a number of its own, and looks for it where the reader says the tensor is. */
async function readBack(
  reader: FormatReader,
  draft: Draft,
  output: Output,
  fileNames: readonly string[],
): Promise<void> {
  const files = output.files.map(({ header, size }) => {
    const bytes = new Uint8Array(size);
    bytes.set(header);
    return bytes;
  });
  for (const [i, tensor] of draft.tensors.entries())
    for (const part of tensor.parts) {
      const place = output.places.find((p) => p.tensor === tensor.name && p.part === part.name);
      if (place) files[place.file]!.fill(i + 1, place.offset, place.offset + part.bytes);
    }
  const sources = files.map((bytes, i) => blobSource(new Blob([bytes]), fileNames[i]!));
  const model = await reader.open(sources[0]!, async (name) => sources[fileNames.indexOf(name)]!);

  const stored = new Map(model.tensors.map((tensor) => [tensor.name, tensor]));
  for (const [i, { name, dtype, shape, parts, file }] of draft.tensors.entries()) {
    if (parts.length !== 1) continue; // how a container names further parts is its own affair
    const found = stored.get(name);
    hold(found !== undefined, `${name} was written and is not read back`);
    hold(
      found.dtype === dtype && equal([...found.shape], [...shape]) && found.bytes === parts[0]!.bytes,
      `${name}: ${dtype} [${shape}] of ${parts[0]!.bytes} bytes is read back as ${found.dtype} [${found.shape}] of ${found.bytes}`,
    );
    hold(
      files[file]!.subarray(found.offset, found.offset + found.bytes).every((byte) => byte === i + 1),
      `${name} is read from other bytes than its place`,
    );
  }
  for (const { key, type, value } of draft.metadata) {
    const found = model.metadata.find((entry) => entry.key === key);
    hold(
      found?.type === type && equal(found.value, value),
      `the metadata ${key} = ${value} (${type}) is read back as ${found?.value} (${found?.type})`,
    );
  }
}
