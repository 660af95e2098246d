import {
  blobSource,
  FewbitError,
  type FormatReader,
  floatTypes,
  type Locator,
  type Model,
  type Source,
} from "@fewbit/core";
import { equal, hold, refuses, type TestFunction } from "./law.js";
import { randomBytes, uniforms } from "./random.js";

/** A good file of the format, small: it is opened some hundred times. */
export interface Sample {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Files beside it, by bare name: other shards, an index. */
  readonly siblings?: Readonly<Record<string, Uint8Array>>;
}

/** What `testReader` is given. */
export interface ReaderTestOptions {
  /** The `test` of your test runner. */
  readonly test: TestFunction;
  readonly samples: readonly [Sample, ...Sample[]];
}

const HEAD_BYTES = 65536;
const DAMAGES = 200;

/** The contract every reader keeps: a good file becomes plain data, and a bad one a FewbitError. */
export function testReader(reader: FormatReader, { test, samples }: ReaderTestOptions): void {
  const law = (name: string, run: () => void | Promise<void>) =>
    test(`${reader.id}: ${name}`, async () => run());
  const each = (name: string, run: (sample: Sample) => void | Promise<void>) => {
    for (const sample of samples) law(`${name} (${sample.name})`, () => run(sample));
  };
  const open = (sample: Sample) => reader.open(...sourcesOf(sample));

  law("declares an id and its extensions", () => {
    hold(/^\S+$/.test(reader.id), `the id "${reader.id}" must be one word`);
    hold(
      reader.extensions.length > 0 && reader.extensions.every((extension) => /^\.[^.\s/]+$/.test(extension)),
      `extensions are written with their dot: [${reader.extensions}]`,
    );
  });

  law("knows the files that stand for a folder by their names", () => {
    for (const name of reader.folderFiles ?? []) {
      hold(
        /^[^/\\]+$/.test(name) && !/^\.+$/.test(name),
        `"${name}" is not the name of a file in the folder`,
      );
      hold(reader.sniff(new Uint8Array(0), name) === true, `sniff does not know ${name} by its name`);
    }
  });

  law("sniff never throws, and says no to random bytes", () => {
    for (const length of [0, 1, 3, 4, 7, 8, 100, HEAD_BYTES])
      for (const name of ["", "x", ".", "/", "a\0b", "x.bin", "é".repeat(3000)]) {
        const head = randomBytes(length, length + 1);
        const answer = reader.sniff(head, name);
        hold(
          answer === false,
          `sniff answers ${answer} for ${length} random bytes of "${name.slice(0, 10)}"`,
        );
        for (const fill of [0, 0xff]) reader.sniff(head.fill(fill), name);
        for (const extension of reader.extensions) reader.sniff(head, `${name}${extension}`);
      }
    for (const { bytes, name } of samples)
      for (let length = 0; length < 64; length++) reader.sniff(bytes.subarray(0, length), name);
  });

  each("sniff knows its own", ({ bytes, name }) =>
    hold(
      reader.sniff(bytes.subarray(0, HEAD_BYTES), name) === true,
      "sniff does not recognise a good file of the format",
    ),
  );

  each("open gives plain data, the same each time", async (sample) => {
    const model = await open(sample);
    hold(equal(model, structuredClone(model)), "the model does not survive structuredClone");
    hold(equal(model, await open(sample)), "a second opening gives another model");
    hold(model.tensors.length > 0, "the sample has no tensors: give one that has");
  });

  each("tensors lie apart, within their files", async (sample) => {
    const complaint = whatIsWrong(await open(sample));
    hold(complaint === undefined, `${complaint}`);
  });

  each("open depends on no weight", async (sample) => {
    const model = await open(sample);
    const bytes = sample.bytes.slice();
    for (const tensor of model.tensors)
      if (nameOfFile(model, tensor.file) === sample.name)
        for (let i = tensor.offset; i < tensor.offset + tensor.bytes; i++) bytes[i]! ^= 0x5a;
    const { tensors, metadata } = await open({ ...sample, bytes });
    hold(
      equal(tensors, model.tensors) && equal(metadata, model.metadata),
      "tensors or metadata change with the weights",
    );
  });

  each("truncated files are refused", async (sample) => {
    const { length } = sample.bytes;
    const cuts = new Set(Array.from({ length: 64 }, (_, i) => i));
    for (let i = 1; i <= 64; i++) cuts.add(length - i).add(Math.floor((i * length) / 65));
    for (const cut of cuts) {
      if (cut < 0 || cut >= length) continue;
      await refusedOrRight(`cut to ${cut} of ${length} bytes`, () =>
        open({ ...sample, bytes: sample.bytes.slice(0, cut) }),
      );
    }
  });

  each("damaged headers are refused, or read without harm", async (sample) => {
    const model = await open(sample);
    const header = Math.min(...model.tensors.filter((t) => t.file === 0).map((t) => t.offset));
    const uniform = uniforms(11);
    for (let damage = 0; damage < DAMAGES; damage++) {
      const bytes = sample.bytes.slice();
      const at = Math.floor(uniform() * header);
      // One byte, or eight that are a huge number in either byte order.
      if (damage % 4 === 0) bytes.fill(damage % 8 === 0 ? 0xff : 0x7f, at, Math.min(at + 8, header));
      else bytes[at] = Math.floor(uniform() * 256);
      await refusedOrRight(`damaged at byte ${at} (damage ${damage})`, () => open({ ...sample, bytes }));
    }
  });

  for (const sample of samples)
    for (const sibling of Object.keys(sample.siblings ?? {}))
      law(`a missing ${sibling} is refused (${sample.name})`, async () => {
        const { [sibling]: _, ...siblings } = sample.siblings!;
        await refusedOrRight(`without ${sibling}`, () => open({ ...sample, siblings }));
      });
}

async function refusedOrRight(what: string, open: () => Promise<Model>): Promise<void> {
  let model: Model | undefined;
  try {
    const refused = await refuses(async () => {
      model = await open();
    });
    if (refused) return;
  } catch (thrown) {
    throw new Error(`${what}: refuse with a FewbitError, not with ${thrown}`, { cause: thrown });
  }
  const complaint = whatIsWrong(model!);
  hold(complaint === undefined, `${what}: ${complaint}`);
}

function sourcesOf({ name, bytes, siblings = {} }: Sample): Parameters<FormatReader["open"]> {
  const source = (content: Uint8Array, fileName: string): Source =>
    blobSource(new Blob([content.slice()]), fileName);
  return [
    source(bytes, name),
    async (fileName) => {
      const content = Object.hasOwn(siblings, fileName) ? siblings[fileName] : undefined;
      if (content === undefined)
        throw new FewbitError("E_IO", "there is no such file", { file: fileName }, "Check the name.");
      return source(content, fileName);
    },
  ];
}

const nameOfFile = (model: Model, file: number): string | undefined => {
  const at: Locator | undefined = model.files[file];
  return at?.kind === "blob" ? at.name : undefined;
};

/** The first thing about a model that the rest of the toolkit could not rely on. */
function whatIsWrong(model: Model): string | undefined {
  const whole = (x: number) => Number.isSafeInteger(x) && x >= 0;
  const names = new Set<string>();
  for (const { name, shape, dtype, file, offset, bytes } of model.tensors) {
    const at = model.files[file];
    if (names.has(name)) return `two tensors are called ${name}`;
    names.add(name);
    if (at?.kind !== "blob") return `${name} lies in file ${file}, which is not one that was opened`;
    if (!shape.every(whole)) return `${name} has the shape [${shape}]`;
    if (!whole(offset) || !whole(bytes) || offset + bytes > at.blob.size)
      return `${name} lies at bytes ${offset} to ${offset + bytes} of a file of ${at.blob.size}`;
    const element = floatTypes.get(dtype)?.bytes;
    const count = shape.reduce((a, b) => a * b, 1);
    if (element !== undefined && bytes !== element * count)
      return `${name} has ${bytes} bytes for ${count} weights of ${dtype}`;
  }
  const inOrder = [...model.tensors].sort(
    (a, b) => a.file - b.file || a.offset - b.offset || a.bytes - b.bytes,
  );
  for (const [i, tensor] of inOrder.entries()) {
    const next = inOrder[i + 1];
    if (next?.file === tensor.file && tensor.offset + tensor.bytes > next.offset)
      return `${tensor.name} and ${next.name} share bytes`;
  }
  return undefined;
}
