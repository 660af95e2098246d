// Each broken reader, writer and plugin fails exactly the law that names its fault.
import type { FormatReader, FormatWriter, Model, Output, Plugin } from "@fewbit/core";
import { expect, test } from "vitest";
import { testPlugin, testReader, testWriter } from "../src/index.js";
import { failures, lawsOf } from "./collect.js";
import plugin, { plain } from "./plain.js";
import { plainReader, plainSample, plainWriter } from "./plain-format.js";

type Mutant<T> = [fault: string, broken: T, law: string, claim: RegExp];

const opened = (
  change: (model: Model, source: Parameters<FormatReader["open"]>[0]) => Model | Promise<Model>,
) => ({
  ...plainReader,
  open: async (...[source, sibling]: Parameters<FormatReader["open"]>) =>
    change(await plainReader.open(source, sibling), source),
});
const firstTensor = (model: Model, over: object): Model => ({
  ...model,
  tensors: model.tensors.map((t, i) => (i === 0 ? { ...t, ...over } : t)),
});

const readers: Mutant<FormatReader>[] = [
  [
    "writes extensions without a dot",
    { ...plainReader, extensions: ["plain"] },
    "declares an id and its extensions",
    /with their dot: \[plain\]/,
  ],
  [
    "looks for its folder's file elsewhere",
    { ...plainReader, folderFiles: ["../model.plain"] },
    "knows the files that stand for a folder by their names",
    /"\.\.\/model\.plain" is not the name of a file in the folder/,
  ],
  [
    "does not know its folder's file",
    { ...plainReader, folderFiles: ["index.json"] },
    "knows the files that stand for a folder by their names",
    /sniff does not know index\.json by its name/,
  ],
  [
    "sniffs beyond the head",
    {
      ...plainReader,
      sniff: (head, name) =>
        new DataView(head.buffer, head.byteOffset).getUint8(3) > 0 && plainReader.sniff(head, name),
    },
    "sniff never throws, and says no to random bytes",
    /Offset is outside/,
  ],
  [
    "takes every file for its own",
    { ...plainReader, sniff: () => true },
    "sniff never throws, and says no to random bytes",
    /sniff answers true for 0 random bytes/,
  ],
  [
    "does not know its own",
    { ...plainReader, sniff: () => false },
    "sniff knows its own (model.plain)",
    /does not recognise/,
  ],
  [
    "keeps a handle in the model",
    opened((model, source) => ({ ...model, read: source.read }) as Model),
    "open gives plain data, the same each time (model.plain)",
    /could not be cloned/,
  ],
  [
    "counts its openings",
    (() => {
      let times = 0;
      return opened((model) => ({ ...model, warnings: [`opened ${times++} times before`] }));
    })(),
    "open gives plain data, the same each time (model.plain)",
    /a second opening gives another model/,
  ],
  [
    "puts a tensor over another",
    opened((model) => firstTensor(model, { offset: model.tensors[1]!.offset - 4 })),
    "tensors lie apart, within their files (model.plain)",
    /a.weight and b.weight share bytes/,
  ],
  [
    "peeks at the weights",
    opened(async (model, source) => {
      const byte = new Uint8Array(1);
      await source.read(model.tensors[0]!.offset, byte);
      return byte[0] === 7 ? model : { ...model, metadata: [] };
    }),
    "open depends on no weight (model.plain)",
    /tensors or metadata change with the weights/,
  ],
  [
    "takes the end of the file for an error of its own",
    {
      ...plainReader,
      async open(source, sibling) {
        if (source.size < 13) throw new RangeError("Invalid typed array length");
        return plainReader.open(source, sibling);
      },
    },
    "truncated files are refused (model.plain)",
    /cut to 0 of \d+ bytes: refuse with a FewbitError, not with RangeError/,
  ],
  [
    "trusts a length in the header",
    {
      ...plainReader,
      async open(source, sibling) {
        const digits = new Uint8Array(13);
        if (source.size > 1000) await source.read(0, digits);
        const text = new TextDecoder().decode(digits);
        if (text.startsWith("PLAIN") && !/^\d+$/.test(text.slice(5)))
          new Uint8Array(Number(text.slice(5)) || -1);
        return plainReader.open(source, sibling);
      },
    },
    "damaged headers are refused, or read without harm (model.plain)",
    /damaged at byte \d+ \(damage \d+\): refuse with a FewbitError, not with RangeError/,
  ],
];

for (const [fault, reader, law, claim] of readers)
  test(`the contract refuses a reader that ${fault}`, async () => {
    const failed = await failures((collect) =>
      testReader(reader, { test: collect, samples: [plainSample()] }),
    );
    // A reader that lays tensors over each other does so in every file it opens.
    const others = /share bytes/.test(failed.get(law) ?? "") ? ["truncated", "damaged"] : [];
    expect([...failed.keys()].filter((name) => !others.some((other) => name.startsWith(other)))).toEqual([
      law,
    ]);
    expect(failed.get(law)).toMatch(claim);
  });

test("the contract refuses a reader that misses no shard", async () => {
  const forgiving: FormatReader = {
    ...plainReader,
    open: (source, sibling) =>
      plainReader.open(source, (name) =>
        sibling(name).catch(() => {
          throw new Error(`${name}?`);
        }),
      ),
  };
  const failed = await failures((collect) =>
    testReader(forgiving, { test: collect, samples: [plainSample(2)] }),
  );
  expect(failed).toEqual(
    new Map([
      [
        "a missing model.1.plain is refused (model.0.plain)",
        "without model.1.plain: refuse with a FewbitError, not with Error: model.1.plain?",
      ],
    ]),
  );
});

const laidOut = (change: (output: Output) => Output): FormatWriter => ({
  ...plainWriter,
  layout: (draft) => change(plainWriter.layout(draft)),
});
const placed = (change: (place: Output["places"][number], nth: number) => Output["places"]): FormatWriter =>
  laidOut((output) => ({ ...output, places: output.places.flatMap(change) }));

const writers: Mutant<FormatWriter>[] = [
  [
    "has two words for an id",
    { ...plainWriter, id: "plain file" },
    "declares an id and its extensions",
    /the id "plain file" must be one word/,
  ],
  [
    "says no without a reason",
    { ...plainWriter, accepts: (dtype) => plainWriter.accepts(dtype) === true || "" },
    "accepts answers for any type, with true or a reason",
    /accepts\("BF16"\) answers "": true, or why not/,
  ],
  [
    "accepts what it cannot hold",
    { ...plainWriter, accepts: (dtype) => dtype === "BF16" || plainWriter.accepts(dtype) },
    "layout holds what accepts accepts, and refuses the rest",
    /accepts\("BF16"\) is true, but layout of .* throws E_GGUF_TENSOR_TYPE/,
  ],
  [
    "holds what it says it cannot",
    {
      ...plainWriter,
      layout: (draft) =>
        plainWriter.layout({
          ...draft,
          tensors: draft.tensors.map((t) => (t.dtype.startsWith("NO_") ? { ...t, dtype: "F32" } : t)),
        }),
    },
    "layout holds what accepts accepts, and refuses the rest",
    /accepts\("NO_SUCH_TYPE"\) is no, but layout takes it/,
  ],
  [
    "counts its layouts in the header",
    (() => {
      let times = 0;
      return laidOut((output) => {
        for (const { header } of output.files) header[header.length - 1] = 32 + (times++ % 2) * -23; // a space or a tab
        return output;
      });
    })(),
    "layout is pure, and leaves its draft alone",
    /two answers for one draft/,
  ],
  [
    "sorts its draft",
    {
      ...plainWriter,
      layout(draft) {
        (draft.tensors as unknown[]).reverse();
        return plainWriter.layout(draft);
      },
    },
    "layout is pure, and leaves its draft alone",
    /layout changed its draft/,
  ],
  [
    "places a part twice",
    placed((place, i) => (i === 1 ? [place, place] : [place])),
    "every part has one place",
    /has 2 places/,
  ],
  [
    "places a part that nobody asked for",
    placed((place, i) => (i === 1 ? [place, { ...place, part: "scale" }] : [place])),
    "every part has one place",
    /part scale has a place and was not asked for/,
  ],
  [
    "promises a smaller file than it needs",
    laidOut((output) => ({ ...output, files: output.files.map((f) => ({ ...f, size: f.size - 32 })) })),
    "places lie apart, behind the header and within the file",
    /ends at byte \d+ of a file of \d+/,
  ],
  [
    "promises a larger file than it fills",
    laidOut((output) => ({ ...output, files: output.files.map((f) => ({ ...f, size: f.size + 100_000 })) })),
    "the size is the header, the parts and their padding",
    /a file of \d+ bytes for a header of/,
  ],
  [
    "forgets the rest of the metadata",
    { ...plainWriter, layout: (draft) => plainWriter.layout({ ...draft, metadata: [] }) },
    "what is written is read back",
    /the metadata general.name = plain \(string\) is read back as undefined/,
  ],
  [
    "gives all shards one name",
    { ...plainWriter, fileNames: (output, files) => Array.from({ length: files }, () => output) },
    "names of a split output are distinct and pure",
    /three files are called folder\/model.plain, folder\/model.plain/,
  ],
  [
    "leaves the second shard empty",
    {
      ...plainWriter,
      layout: (draft) => {
        const output = plainWriter.layout(draft);
        return { ...output, places: output.places.map((place) => ({ ...place, file: 0 })) };
      },
    },
    "a split draft fills every file",
    /belongs in file 1 and lies in 0/,
  ],
];

const options = { schemes: [plain], metadata: [{ key: "general.name", type: "string", value: "plain" }] };

for (const [fault, writer, law, claim] of writers)
  test(`the contract refuses a writer that ${fault}`, async () => {
    const reader = fault.includes("metadata") ? { reader: plainReader } : {};
    const failed = await failures((collect) => testWriter(writer, { test: collect, ...options, ...reader }));
    expect([...failed.keys()]).toEqual([law]);
    expect(failed.get(law)).toMatch(claim);
  });

test("the contract refuses a writer that lays tensors over its header, unaligned", async () => {
  const writer = placed((place) => [{ ...place, offset: place.offset - 33 }]);
  const failed = await failures((collect) => testWriter(writer, { test: collect, ...options }));
  expect(Object.fromEntries(failed)).toEqual({
    "places lie apart, behind the header and within the file": expect.stringMatching(/overlaps the header/),
    "places are aligned to their elements": expect.stringMatching(/\(F32\) at byte \d+ is not aligned to 4/),
  });
});

const elsewhere = (change: string, over: Partial<Plugin> = {}): Plugin => ({
  ...plugin,
  module: `data:text/javascript,${encodeURIComponent(
    `const ids = ${JSON.stringify(plugin.schemes.map(({ id }) => id))};
     const plugin = { api: 1, name: "plain-schemes", version: "1.0.0", module: import.meta.url, schemes: ids.map((id) => ({ id })) };
     export default { ...plugin, ${change} };`,
  )}`,
  ...over,
});

const plugins: Mutant<Plugin>[] = [
  [
    "speaks another interface",
    { ...elsewhere(""), api: 2 as 1 },
    "declares its name, version and interface",
    /api is 2/,
  ],
  [
    "has a path for a module",
    elsewhere("", { module: "./index.js" }),
    "declares its name, version and interface",
    /module is ".\/index.js"; write import.meta.url/,
  ],
  [
    "brings two schemes of one name",
    elsewhere("schemes: [...plugin.schemes, { id: 'plain8' }]", {
      schemes: [...plugin.schemes, { ...plain, id: "plain8" }],
    }),
    "has one thing under each name",
    /two schemes are called PLAIN8/,
  ],
  [
    "brings two architectures of one class",
    elsewhere("architectures: [{ id: 'one' }, { id: 'two' }]", {
      architectures: ["one", "two"].map((id) => ({
        ...{ id, summary: "", classes: ["OneForCausalLM"], tensors: () => [] },
      })),
    }),
    "has one thing under each name",
    /two architectures are called OneForCausalLM; a class has one/,
  ],
  [
    "has a function among its options",
    elsewhere("", { options: { round: Math.round } }),
    "has options that cross threads",
    /the options cannot be cloned/,
  ],
  [
    "names a module that exports another plugin",
    elsewhere("name: 'other'"),
    "is the default export of its module",
    /exports the plugin other; plain-schemes was asked for/,
  ],
  [
    "names a module that exports an older self",
    elsewhere("schemes: []"),
    "is the default export of its module",
    /exports another plain-schemes: 1.0.0 with/,
  ],
];

for (const [fault, broken, law, claim] of plugins)
  test(`the contract refuses a plugin that ${fault}`, async () => {
    const failed = await failures((collect) => testPlugin(broken, { test: collect }));
    // Without a module to import there are two laws to break.
    expect([...failed.keys()].slice(0, 1)).toEqual([law]);
    expect(failed.size).toBe(fault.includes("path") ? 2 : 1);
    expect(failed.get(law)).toMatch(claim);
  });

test("every law has a reader, a writer or a plugin that breaks it", () => {
  const samples = [plainSample()] as const;
  const laws = [
    ...lawsOf((collect) => testReader(plainReader, { test: collect, samples })),
    ...lawsOf((collect) => testWriter(plainWriter, { test: collect, reader: plainReader })),
    ...lawsOf((collect) => testPlugin(plugin, { test: collect })),
  ];
  const broken = [...readers, ...writers, ...plugins].map(([, , law]) => law);
  // Alignment is broken together with another law, above.
  expect(laws.filter((law) => !broken.includes(law))).toEqual(["places are aligned to their elements"]);
});
