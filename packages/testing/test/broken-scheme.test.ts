// A contract is worth what it refuses: each broken plugin fails exactly the law that names its fault.
import type { Codec, Scheme } from "@fewbit/core";
import { expect, test } from "vitest";
import { testScheme } from "../src/index.js";
import { failures, lawsOf } from "./collect.js";
import { demanding, lending, plain, schemes, tensorwise, weighted } from "./plain.js";

/** `good`, with some members of its codec replaced. `change` is called once for each load. */
const broken = (
  good: Scheme,
  change: (codec: Codec) => Partial<Codec>,
  over: Partial<Scheme> = {},
): Scheme => ({
  ...good,
  ...over,
  load: async () => {
    const codec = await good.load();
    return { ...codec, ...change(codec) };
  },
});

/** Runs `after` on what a good encode has made. */
const afterEncode =
  (after: (rows: Float32Array, out: Uint8Array, about: Parameters<Codec["encode"]>[2]) => void) =>
  (codec: Codec): Partial<Codec> => ({
    encode(rows, out, about) {
      codec.encode(rows, out, about);
      after(rows, out[0]!, about);
    },
  });

const without = (member: keyof Codec) => (): Partial<Codec> => ({ [member]: undefined });

const mutants: [fault: string, scheme: Scheme, law: string, claim: RegExp][] = [
  [
    "has a colon in its id",
    { ...plain, id: "my:PLAIN8" },
    "declares itself in the interface's words",
    /one word without a colon/,
  ],
  [
    "invents a word for what it does with importance",
    { ...tensorwise, granularity: "layer" as "tensor" },
    "declares itself in the interface's words",
    /granularity is layer; it must be tensor or channel or group or block/,
  ],
  [
    "promises nothing",
    { ...plain, minSqnr: Number.NEGATIVE_INFINITY },
    "declares itself in the interface's words",
    /minSqnr is -Infinity/,
  ],
  [
    "throws for a shape without dimensions",
    {
      ...plain,
      layout(shape) {
        if (shape.length === 0) throw new Error("no shape");
        return plain.layout(shape);
      },
    },
    "layout answers every shape, with parts or a sentence why not",
    /no shape/,
  ],
  [
    "says no without a reason",
    {
      ...plain,
      layout(shape) {
        const parts = plain.layout(shape);
        return "unfit" in parts ? { unfit: "" } : parts;
      },
    },
    "layout answers every shape, with parts or a sentence why not",
    /says no without a reason/,
  ],
  [
    "fits nothing by mistake and throws instead of saying so",
    {
      ...plain,
      layout(shape) {
        const parts = plain.layout(shape);
        if ("unfit" in parts) throw new Error(parts.unfit);
        return parts;
      },
    },
    "layout answers every shape, with parts or a sentence why not",
    /not a multiple of the block of 32/,
  ],
  [
    "lays out a tensor differently each time",
    (() => {
      let times = 0;
      return {
        ...plain,
        layout(shape: readonly number[]) {
          const parts = plain.layout(shape);
          return "unfit" in parts ? parts : parts.map((part) => ({ ...part, dtype: `U${times++}` }));
        },
      };
    })(),
    "layout is pure, whole and plain data",
    /two answers for one shape/,
  ],
  [
    "hides an observer",
    broken(plain, () => ({
      observer: { observe: () => 0, merge: () => 0, finish: () => ({ parameters: 0, parts: [] }) },
    })),
    "declares its passes",
    /declares 1 pass\(es\) but has an observer/,
  ],
  [
    "forgets a byte",
    broken(plain, (codec) => ({
      encode(rows, out, about) {
        const before = out[0]![9]!;
        codec.encode(rows, out, about);
        if (before >= 0x55) out[0]![9] = before;
      },
    })),
    "encode fills every byte",
    /some are not written/,
  ],
  [
    "remembers the largest weight of all calls",
    broken(plain, (codec) => {
      let seen = 0;
      return {
        encode(rows, out, about) {
          codec.encode(rows, out, about);
          if (seen > 1000) out[0]![7]! ^= 1;
          seen = Math.max(seen, ...rows.map(Math.abs));
        },
      };
    }),
    "encode keeps nothing between calls",
    /after a different call/,
  ],
  [
    "differs from one thread to the next",
    (() => {
      let loads = 0;
      return broken(plain, (codec) => {
        const load = loads++;
        return afterEncode((_, out) => {
          out[5]! ^= load & 1;
        })(codec);
      });
    })(),
    "encode keeps nothing between calls",
    /loaded again/,
  ],
  [
    "peeks at the weight before its rows",
    broken(
      plain,
      afterEncode((rows, out) => {
        if (rows.byteOffset >= 4 && new Float32Array(rows.buffer)[rows.byteOffset / 4 - 1] === 1e3)
          out[5]! ^= 1;
      }),
    ),
    "encode reads nothing but its rows",
    /numbers beside the rows/,
  ],
  [
    "writes one byte too many",
    broken(
      plain,
      afterEncode((_, out) => {
        if (out.byteOffset + out.length < out.buffer.byteLength)
          new Uint8Array(out.buffer)[out.byteOffset + out.length] = 1;
      }),
    ),
    "encode writes nothing outside its bytes",
    /wrote outside/,
  ],
  [
    "normalises its input in place",
    broken(
      plain,
      afterEncode((rows) => {
        rows[0]! *= 2;
      }),
    ),
    "encode and decode leave their input alone",
    /encode changed the weights/,
  ],
  [
    "sorts the importance matrix",
    broken(
      weighted,
      afterEncode((_, __, about) => {
        const largest = about.importance?.indexOf(Math.max(...about.importance)) ?? 0;
        if (about.importance) about.importance[largest]! *= 1.0001;
      }),
    ),
    "encode and decode leave their input alone",
    /encode changed the importance/,
  ],
  [
    "unpacks in place",
    broken(plain, (codec) => ({
      decode(parts, out, about) {
        codec.decode(parts, out, about);
        parts[0]![5]! ^= 1;
      },
    })),
    "encode and decode leave their input alone",
    /decode changed the bytes/,
  ],
  [
    "looks at the whole call",
    broken(
      plain,
      afterEncode((rows, out) => {
        out[6]! ^= rows.length === 7 * 32 ? 1 : 0;
      }),
    ),
    "any split of rows gives the same bytes",
    /split at 1/,
  ],
  [
    "needs even addresses",
    broken(
      plain,
      afterEncode((_, out) => {
        out[7]! ^= out.byteOffset & 1;
      }),
    ),
    "unaligned bytes are as good",
    /encode gives other bytes at byte offset 1/,
  ],
  [
    "decodes from even addresses only",
    broken(plain, (codec) => ({
      decode(parts, out, about) {
        codec.decode(parts, out, about);
        if (parts[0]!.byteOffset % 2) out[0] = 0;
      },
    })),
    "unaligned bytes are as good",
    /decode gives other weights from byte offset 1/,
  ],
  [
    "lends memory that it reads wrongly",
    broken(lending, (codec) => {
      let lent: Float32Array | undefined;
      return {
        borrow(rows, columns) {
          const views = codec.borrow!(rows, columns);
          lent = views.rows;
          return views;
        },
        encode(rows, out, about) {
          codec.encode(rows, out, about);
          if (rows === lent) out[0]![8]! ^= 1;
        },
      };
    }),
    "borrowed memory gives the same bytes",
    /borrowed memory gives other bytes/,
  ],
  [
    "lends too little",
    broken(lending, (codec) => ({ borrow: (rows, columns) => codec.borrow!(rows - 1, columns) })),
    "borrowed memory gives the same bytes",
    /192 weights were lent for 224/,
  ],
  [
    "promises too much",
    { ...plain, minSqnr: 80 },
    "decode comes back within the declared error",
    /is below the declared 80 dB/,
  ],
  [
    "works for the smallest width only",
    broken(plain, (codec) => ({
      decode(parts, out, about) {
        codec.decode(parts, out, about);
        if (about.columns > 32) out.fill(0, 32);
      },
    })),
    "decode comes back within the declared error",
    /in rows of 96/,
  ],
  [
    "divides by zero on zeros",
    broken(plain, (codec) => ({
      decode(parts, out, about) {
        codec.decode(parts, out, about);
        if (out.every((x) => x === 0)) out.fill(Number.NaN);
      },
    })),
    "extreme rows decode to finite numbers, or are refused",
    /rows of zeros decode to something not finite at weight 0/,
  ],
  [
    "refuses an outlier with an error of its own",
    broken(plain, (codec) => ({
      encode(rows, out, about) {
        if (Math.max(...rows) === 1e6) throw new RangeError("too large");
        codec.encode(rows, out, about);
      },
    })),
    "extreme rows decode to finite numbers, or are refused",
    /rows of one outlier throw RangeError: too large: refuse with a FewbitError/,
  ],
  [
    "trusts the bytes it decodes",
    broken(plain, (codec) => ({
      decode(parts, out, about) {
        const codes = parts[0]!.subarray(4, 36);
        if (codes.some((code) => code === 0x80)) throw new RangeError("no such code");
        codec.decode(parts, out, about);
      },
    })),
    "decode takes any bytes",
    /no such code/,
  ],
  [
    "leaves the last weight of a hostile block as it was",
    broken(plain, (codec) => ({
      decode(parts, out, about) {
        const before = out[31]!;
        codec.decode(parts, out, about);
        if (parts[0]!.subarray(4, 36).includes(0x80)) out[31] = before;
      },
    })),
    "decode takes any bytes",
    /some weights are not written/,
  ],
  [
    "looks for bad scales in the wrong place",
    broken(plain, () => ({ invalid: () => -1 })),
    "invalid finds a planted NaN scale",
    /a NaN scale at weight 96 is reported at -1/,
  ],
  [
    "counts bytes instead of weights",
    broken(plain, (codec) => ({
      invalid: (parts, about) => (codec.invalid!(parts, about) / 32) * 36,
    })),
    "invalid finds a planted NaN scale",
    /./,
  ],
  [
    "has no look at its scales",
    broken(plain, without("invalid")),
    "invalid finds a planted NaN scale",
    /there is no invalid\(\) to find them/,
  ],
  [
    "takes good bytes for bad",
    broken(plain, (codec) => ({
      invalid(parts, about) {
        const found = codec.invalid!(parts, about);
        return Math.max(0, found);
      },
    })),
    "invalid finds a planted NaN scale",
    /answers 0 for good bytes/,
  ],
  [
    "uses importance secretly",
    broken(
      plain,
      afterEncode((_, out, about) => {
        if (about.importance) out[4]! ^= 1;
      }),
    ),
    "importance is ignored, as declared",
    /though it is declared ignored/,
  ],
  [
    "says it uses importance and does not",
    { ...plain, importance: "used" },
    "importance lowers the error of what matters",
    /the weighted error is .* with a skewed matrix and .* without/,
  ],
  [
    "takes importance for its inverse",
    broken(weighted, (codec) => ({
      encode: (rows, out, about) =>
        codec.encode(
          rows,
          out,
          about.importance ? { ...about, importance: about.importance.map((x) => 1 / x) } : about,
        ),
    })),
    "importance lowers the error of what matters",
    /the weighted error is/,
  ],
  [
    "does not miss the importance it requires",
    { ...weighted, importance: "required" },
    "importance is required, as declared",
    /must throw E_IMPORTANCE_MISSING; nothing was thrown/,
  ],
  [
    "misses importance with an error of its own",
    broken(demanding, (codec) => ({
      encode(rows, out, about) {
        if (!about.importance) throw new Error("where is it?");
        codec.encode(rows, out, about);
      },
    })),
    "importance is required, as declared",
    /Error: where is it\?/,
  ],
  [
    "observes into an object that cannot cross a thread",
    broken(tensorwise, ({ observer }) => ({
      observer: {
        ...observer!,
        observe: (rows, about) =>
          new (class Range {
            largest = (observer!.observe(rows, about) as { largest: number }).largest;
          })(),
      },
    })),
    "the observer gives plain data and the bytes of its parts",
    /does not survive structuredClone/,
  ],
  [
    "forgets a part of the tensor",
    broken(tensorwise, ({ observer }) => ({
      observer: {
        ...observer!,
        finish: (state) => ({ ...observer!.finish(state), parts: [] }),
      },
    })),
    "the observer gives plain data and the bytes of its parts",
    /gives parts of {2}bytes; layout promises 4/,
  ],
  [
    "forgets the first of two chunks",
    broken(tensorwise, ({ observer }) => ({ observer: { ...observer!, merge: (_, b) => b } })),
    "chunks may be observed in any order, and nothing is lost in merging",
    /observed in chunks the mean squared error is/,
  ],
  [
    "counts chunks while observing",
    broken(tensorwise, ({ observer }) => {
      let chunks = 0;
      return {
        observer: {
          ...observer!,
          observe(rows, about) {
            const { largest } = observer!.observe(rows, about) as { largest: number };
            return { largest: rows.length > 32 ? largest : largest * (1 + chunks++ * 1e-6) };
          },
        },
      };
    }),
    "chunks may be observed in any order, and nothing is lost in merging",
    /depend on the order in which chunks were observed/,
  ],
];

for (const [fault, scheme, law, claim] of mutants)
  test(`the contract refuses a scheme that ${fault}`, async () => {
    const failed = await failures((collect) => testScheme(scheme, { test: collect }));
    expect([...failed.keys()]).toEqual([law]);
    expect(failed.get(law)).toMatch(claim);
  });

test("the contract refuses a scheme that differs from its vectors", async () => {
  const rows = new Float32Array(32).fill(1);
  const parts = [new Uint8Array(36)];
  (await plain.load()).encode(rows, parts, { columns: 32 });
  const vector = { name: "ones", columns: 32, rows, parts };
  const other = { ...vector, parts: [parts[0]!.map((byte, i) => (i === 20 ? 0 : byte))] };
  const contract = (vectors: (typeof vector)[]) => failures((test) => testScheme(plain, { test, vectors }));
  expect(await contract([vector])).toEqual(new Map());
  expect(await contract([vector, other])).toEqual(
    new Map([["equals its vectors", "ones: part 0 differs at byte 20: 127 where the vector has 0"]]),
  );
});

test("the contract refuses a scheme that fits no row", async () => {
  const none: Scheme = { ...plain, layout: () => ({ unfit: "never" }) };
  const failed = await failures((collect) => testScheme(none, { test: collect }));
  expect([...failed.values()]).toContain(
    "layout accepts no row of 32, 64, 128, 256, 512, 1024, 2048, 4096 columns",
  );
});

test("every law has a scheme that breaks it", () => {
  const laws = schemes.flatMap((scheme) => lawsOf((collect) => testScheme(scheme, { test: collect })));
  expect([...new Set(laws)].filter((law) => !mutants.some(([, , broken]) => broken === law))).toEqual([]);
});
