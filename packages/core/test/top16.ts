// A format and two schemes of a few lines, for tests of the machinery around them.
import { FewbitError } from "../src/error.js";
import type { Codec, FormatWriter, Model, Plugin, Recipe, Scheme } from "../src/types.js";

const bitsOf = (a: Float32Array): Uint32Array => new Uint32Array(a.buffer, a.byteOffset, a.length);

const top16: Codec = {
  encode(rows, [out]) {
    const bits = bitsOf(rows);
    for (let i = 0; i < bits.length; i++) out!.set([bits[i]! >>> 16, bits[i]! >>> 24], 2 * i);
  },
  decode([bytes], out) {
    const bits = bitsOf(out);
    for (let i = 0; i < bits.length; i++) bits[i] = (bytes![2 * i]! << 16) | (bytes![2 * i + 1]! << 24);
  },
};

/** The upper sixteen bits of a float. */
export const topScheme: Scheme = {
  id: "TOP16",
  summary: "upper sixteen bits of a float",
  symmetry: "none",
  granularity: "block",
  importance: "ignored",
  passes: 1,
  minSqnr: 40,
  layout: (shape) => [
    { name: "", dtype: "U16", shape, bytes: 2 * shape.reduce((a, b) => a * b, 1), per: "row" },
  ],
  load: async () => top16,
};

/** int8 by the largest absolute value of the whole tensor: two passes, two parts. */
export const tensorScheme: Scheme = {
  ...topScheme,
  id: "TENSOR8",
  summary: "int8 with one scale per tensor",
  symmetry: "symmetric",
  granularity: "tensor",
  passes: 2,
  minSqnr: 30,
  layout: (shape) =>
    shape.length < 2
      ? { unfit: "a vector is too short to be worth it" }
      : [
          { name: "", dtype: "I8", shape, bytes: shape.reduce((a, b) => a * b, 1), per: "row" },
          { name: "scale", dtype: "F32", shape: [], bytes: 4, per: "tensor" },
        ],
  load: async () => ({
    encode(rows, [out], { parameters }) {
      for (let i = 0; i < rows.length; i++) out![i] = Math.round(rows[i]! / (parameters as number));
    },
    decode() {
      throw new FewbitError("E_INTERNAL", "not needed here");
    },
    observer: {
      observe: (rows) => rows.reduce((max, x) => Math.max(max, Math.abs(x)), 0),
      merge: (a, b) => Math.max(a as number, b as number),
      finish: (state) => {
        const scale = Math.fround((state as number) / 127);
        return { parameters: scale, parts: [new Uint8Array(Float32Array.of(scale).buffer)] };
      },
    },
  }),
};

const plugin: Plugin = {
  api: 1,
  name: "top16",
  version: "0.0.0",
  module: import.meta.url,
  schemes: [topScheme, tensorScheme],
};
export default plugin;

/** Eight bytes of header, then the parts one after another. */
export const flatWriter: FormatWriter = {
  id: "flat",
  extensions: [".flat"],
  accepts: (dtype) => (dtype === "BAD" ? "flat files hold nothing bad" : true),
  fileNames: (output, files) => Array.from({ length: files }, (_, i) => `${output}.${i}`),
  layout(draft) {
    const sizes: number[] = Array.from({ length: draft.files }, () => 8);
    const places = draft.tensors.flatMap(({ name, parts, file }) =>
      parts.map((part) => {
        const offset = sizes[file]!;
        sizes[file] = offset + part.bytes;
        return { tensor: name, part: part.name, file, offset };
      }),
    );
    return { files: sizes.map((size) => ({ header: new TextEncoder().encode("FLATFILE"), size })), places };
  },
};

export const everything = (scheme: string): Recipe => ({
  id: `all-${scheme}`,
  summary: "",
  base: scheme,
  assign: (model) =>
    model.tensors.map((t) => ({ tensor: t.name, scheme, instead: ["TOP16"], reason: "asked for" })),
});

export const modelOf = (
  path: string,
  tensors: readonly { name: string; shape: readonly number[]; dtype?: string; bytes: number }[],
): Model => {
  let offset = 0;
  return {
    format: "raw",
    metadata: [],
    files: [{ kind: "file", path }],
    warnings: [],
    tensors: tensors.map(({ name, shape, dtype = "F32", bytes }) => {
      const at = offset;
      offset += bytes;
      return { name, shape, dtype, file: 0, offset: at, bytes };
    }),
  };
};
