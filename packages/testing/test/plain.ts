// Plain schemes that keep the contract, one for every kind of declaration; the broken ones are made from them.

import { type Codec, definePlugin, FewbitError, type Scheme } from "@fewbit/core";
import { blockLayout } from "@fewbit/core/kernel";

const BLOCK = 32;
const BYTES = 4 + BLOCK; // a float32 scale and one byte per weight

const floats = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

function encodeBlocks(
  rows: Float32Array,
  out: Uint8Array,
  limit: number,
  chooseScale: (block: Float32Array, first: number) => number,
): void {
  const view = floats(out);
  for (let b = 0; b * BLOCK < rows.length; b++) {
    const block = rows.subarray(b * BLOCK, (b + 1) * BLOCK);
    const scale = chooseScale(block, b * BLOCK);
    view.setFloat32(b * BYTES, scale, true);
    for (let i = 0; i < BLOCK; i++)
      out[b * BYTES + 4 + i] =
        scale === 0 ? 0 : Math.max(-limit, Math.min(limit, Math.round(block[i]! / scale)));
  }
}

const codecOf = (
  limit: number,
  scaleOf: (about: {
    importance?: Float32Array;
    columns: number;
  }) => (block: Float32Array, first: number) => number,
): Codec => ({
  encode: (rows, [out], about) => encodeBlocks(rows, out!, limit, scaleOf(about)),
  decode([bytes], out) {
    const view = floats(bytes!);
    for (let i = 0; i < out.length; i++) {
      const at = Math.floor(i / BLOCK) * BYTES;
      out[i] = view.getFloat32(at, true) * view.getInt8(at + 4 + (i % BLOCK));
    }
  },
  invalid([bytes]) {
    const view = floats(bytes!);
    for (let b = 0; b * BYTES < bytes!.length; b++)
      if (!Number.isFinite(view.getFloat32(b * BYTES, true))) return b * BLOCK;
    return -1;
  },
});

const largest = (block: Float32Array): number => block.reduce((a, x) => Math.max(a, Math.abs(x)), 0);
/** A normal scale: below 1e-35 the weights are taken for zero, so that the division cannot overflow. */
const absmaxScale = (limit: number) => (block: Float32Array) => {
  const scale = Math.fround(largest(block) / limit);
  return scale < 1e-35 ? 0 : scale;
};

/** Eight bits, the largest weight decides. */
export const plain: Scheme = {
  id: "PLAIN8",
  summary: "8 bits and a float32 scale per 32 weights",
  symmetry: "symmetric",
  granularity: "block",
  importance: "ignored",
  passes: 1,
  minSqnr: 40,
  layout: blockLayout(BLOCK, BYTES),
  load: async () => codecOf(127, () => absmaxScale(127)),
};

/** Four bits, the scale with the least weighted error of sixteen. */
const searched: Codec = codecOf(7, ({ importance, columns }) => (block, first) => {
  const start = absmaxScale(7)(block);
  let best = start;
  let least = Number.POSITIVE_INFINITY;
  for (let step = 0; step < 16; step++) {
    const scale = Math.fround(start * (1 - step / 24));
    let error = 0;
    for (let i = 0; i < BLOCK; i++) {
      const q = scale === 0 ? 0 : Math.max(-7, Math.min(7, Math.round(block[i]! / scale)));
      error += (importance?.[(first + i) % columns] ?? 1) * (block[i]! - q * scale) ** 2;
    }
    if (error < least) [best, least] = [scale, error];
  }
  return best;
});

export const weighted: Scheme = {
  ...plain,
  id: "PLAIN4",
  summary: "4 bits and a float32 scale per 32 weights, chosen by importance",
  importance: "used",
  minSqnr: 18,
  load: async () => searched,
};

export const demanding: Scheme = {
  ...weighted,
  id: "PLAIN4_REQUIRED",
  importance: "required",
  load: async () => ({
    ...searched,
    encode(rows, out, about) {
      if (!about.importance)
        throw new FewbitError("E_IMPORTANCE_MISSING", "PLAIN4_REQUIRED needs an importance matrix.");
      searched.encode(rows, out, about);
    },
  }),
};

/** One bit: the sign, and the mean magnitude of 32 weights. */
export const binary: Scheme = {
  ...plain,
  id: "PLAIN1",
  summary: "one bit and a float32 scale per 32 weights",
  minSqnr: 4,
  layout: blockLayout(BLOCK, 8),
  load: async () => ({
    encode(rows, [out]) {
      const view = floats(out!);
      for (let b = 0; b * BLOCK < rows.length; b++) {
        const block = rows.subarray(b * BLOCK, (b + 1) * BLOCK);
        view.setFloat32(
          b * 8,
          block.reduce((sum, x) => sum + Math.abs(x) / BLOCK, 0),
          true,
        );
        view.setUint32(
          b * 8 + 4,
          block.reduce((bits, x, i) => (x < 0 ? bits | (1 << i) : bits), 0),
          true,
        );
      }
    },
    decode([bytes], out) {
      const view = floats(bytes!);
      for (let i = 0; i < out.length; i++) {
        const b = Math.floor(i / BLOCK);
        out[i] =
          view.getFloat32(b * 8, true) * ((view.getUint32(b * 8 + 4, true) >>> (i % BLOCK)) & 1 ? -1 : 1);
      }
    },
    invalid([bytes]) {
      const view = floats(bytes!);
      for (let b = 0; b * 8 < bytes!.length; b++)
        if (!Number.isFinite(view.getFloat32(b * 8, true))) return b * BLOCK;
      return -1;
    },
  }),
};

interface Range {
  readonly largest: number;
}

/** Eight bits, one scale for the tensor: two passes. */
export const tensorwise: Scheme = {
  ...plain,
  id: "PLAIN8_TENSOR",
  summary: "8 bits, one float32 scale for the tensor",
  granularity: "tensor",
  passes: 2,
  minSqnr: 35,
  layout: (shape) => [
    { name: "", dtype: "I8", shape, bytes: shape.reduce((a, b) => a * b, 1), per: "row" },
    { name: "scale", dtype: "F32", shape: [], bytes: 4, per: "tensor" },
  ],
  load: async () => ({
    observer: {
      observe: (rows): Range => ({ largest: largest(rows) }),
      merge: (a, b): Range => ({ largest: Math.max((a as Range).largest, (b as Range).largest) }),
      finish(state) {
        const scale = Math.fround((state as Range).largest / 127);
        return { parameters: { scale }, parts: [new Uint8Array(Float32Array.of(scale).buffer)] };
      },
    },
    encode(rows, [out], { parameters }) {
      const { scale } = parameters as { scale: number };
      for (let i = 0; i < rows.length; i++)
        out![i] = scale < 1e-35 ? 0 : Math.max(-127, Math.min(127, Math.round(rows[i]! / scale)));
    },
    decode([bytes], out, { parameters }) {
      const { scale } = parameters as { scale: number };
      for (let i = 0; i < out.length; i++) out[i] = ((bytes![i]! << 24) >> 24) * scale;
    },
  }),
};

/** As `plain`, with memory to lend. */
export const lending: Scheme = {
  ...plain,
  id: "PLAIN8_LENDING",
  load: async () => ({
    ...(await plain.load()),
    borrow: (rows, columns) => ({
      rows: new Float32Array(rows * columns),
      out: [new Uint8Array((rows * columns * BYTES) / BLOCK)],
    }),
  }),
};

/** Not on any block: fits rows of 100 columns and more only. */
export const wide: Scheme = {
  ...plain,
  id: "PLAIN8_WIDE",
  layout: (shape) => ((shape.at(-1) ?? 1) < 100 ? { unfit: "rows shorter than 100" } : plain.layout(shape)),
};

export const schemes: readonly Scheme[] = [plain, weighted, demanding, binary, tensorwise, lending, wide];

export default definePlugin({
  api: 1,
  name: "plain-schemes",
  version: "1.0.0",
  module: import.meta.url,
  schemes,
});
