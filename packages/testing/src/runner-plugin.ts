// The plugin that `testRunner` makes a runner load. It is a module of its own, because workers import it by its URL.
import { type About, type Codec, FewbitError, type Part, type Plugin, type Scheme } from "@fewbit/core";

/** Set on the thread that runs the tests; absent in the global scope of any other thread. */
export const caller = Symbol.for("@fewbit/testing caller");
export const onCallersThread = (): boolean => caller in globalThis;

const count = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

const bytesPerRow =
  (bytes: (columns: number) => number) =>
  (shape: readonly number[]): readonly Part[] => {
    const columns = shape.at(-1) ?? 1;
    return [{ name: "", dtype: "U8", shape, bytes: (count(shape) / columns) * bytes(columns), per: "row" }];
  };

const scheme = (
  id: string,
  summary: string,
  layout: Scheme["layout"],
  codec: Codec,
  over: Partial<Scheme> = {},
): Scheme => ({
  id,
  summary,
  symmetry: "symmetric",
  granularity: "tensor",
  importance: "ignored",
  passes: 1,
  minSqnr: 0,
  layout,
  load: async () => codec,
  ...over,
});

const nothing: Codec["decode"] = (_, out) => void out.fill(0);

/** What `fixed` lends: one room for all of a thread's jobs, as kernels have it. */
let room = new ArrayBuffer(0);

/** Eight bits, the scale is fixed: 1/16. */
const fixed: Codec = {
  borrow(rows, columns) {
    const weights = rows * columns;
    if (room.byteLength < 5 * weights) room = new ArrayBuffer(5 * weights);
    return { rows: new Float32Array(room, 0, weights), out: [new Uint8Array(room, 4 * weights, weights)] };
  },
  encode(rows, [out]) {
    for (let i = 0; i < rows.length; i++) out![i] = Math.max(-127, Math.min(127, Math.round(rows[i]! * 16)));
  },
  decode([bytes], out) {
    for (let i = 0; i < out.length; i++) out[i] = ((bytes![i]! << 24) >> 24) / 16;
  },
};

/** Eight bits, one scale for the tensor. */
const observed: Codec = {
  observer: {
    observe: (rows) => ({ largest: rows.reduce((a, x) => Math.max(a, Math.abs(x)), 0) }),
    merge: (a, b) => ({ largest: Math.max((a as Largest).largest, (b as Largest).largest) }),
    finish: (state) => {
      const scale = Math.fround((state as Largest).largest / 127) || 1;
      return { parameters: { scale }, parts: [new Uint8Array(Float32Array.of(scale).buffer)] };
    },
  },
  encode(rows, [out], { parameters }) {
    const { scale } = parameters as { scale: number };
    for (let i = 0; i < rows.length; i++)
      out![i] = Math.max(-127, Math.min(127, Math.round(rows[i]! / scale)));
  },
  decode([bytes], out, { parameters }) {
    const { scale } = parameters as { scale: number };
    for (let i = 0; i < out.length; i++) out[i] = ((bytes![i]! << 24) >> 24) * scale;
  },
};

interface Largest {
  readonly largest: number;
}

/** What reaches a codec, four bytes per row: on which thread, with which options, importance and parameters. */
const echo = (options: ContractOptions): Codec => ({
  encode(rows, [out], about: About) {
    for (let row = 0; row < rows.length / about.columns; row++)
      out!.set(
        [
          onCallersThread() ? 1 : 0,
          options.byte ?? 0,
          about.importance?.at(-1) ?? 0,
          (about.parameters as { byte?: number } | undefined)?.byte ?? 0,
        ],
        4 * row,
      );
  },
  decode: nothing,
});

const refusing: Codec = {
  encode() {
    throw new FewbitError(
      "E_SCALE_OVERFLOW",
      "this weight is too large",
      { row: 41, key: "planted" },
      "Plant a smaller one.",
    );
  },
  decode: nothing,
};

const throwing: Codec = {
  encode() {
    throw new TypeError("a mistake of the plugin");
  },
  decode: nothing,
};

const dying: Codec = {
  encode() {
    if (onCallersThread()) throw new Error("the thread of the caller would have been ended");
    process.exit(7);
  },
  decode: nothing,
};

/** Options of `runnerPlugin`, to be seen arriving on other threads. */
export interface ContractOptions {
  /** Comes back in the second byte of every CONTRACT_ECHO row. */
  readonly byte?: number;
}

/**
 * The plugin whose schemes `testRunner` uses. A runner that cannot import modules by their URL, such as core's inline
 * runner, is given it beforehand: `inlineRunner([runnerPlugin()], nodeIo())`.
 */
export default function runnerPlugin(options: ContractOptions = {}): Plugin {
  const bytes = bytesPerRow((columns) => columns);
  return {
    api: 1,
    name: "@fewbit/testing",
    version: "1.0.0",
    module: new URL("./runner-plugin.js", import.meta.url).href,
    schemes: [
      scheme("CONTRACT_FIXED", "8 bits, a fixed scale", bytes, fixed),
      scheme(
        "CONTRACT_OBSERVED",
        "8 bits, one scale for the tensor",
        (shape) => [
          ...bytes(shape),
          { name: "scale", dtype: "F32", shape: [], bytes: 4, per: "tensor" as const },
        ],
        observed,
        { passes: 2 },
      ),
      scheme(
        "CONTRACT_ECHO",
        "what reaches a codec",
        bytesPerRow(() => 4),
        echo(options),
        {
          importance: "used",
        },
      ),
      scheme("CONTRACT_REFUSES", "refuses every weight", bytes, refusing),
      scheme("CONTRACT_THROWS", "fails with an error of its own", bytes, throwing),
      scheme("CONTRACT_DIES", "ends its thread", bytes, dying),
    ],
  };
}
