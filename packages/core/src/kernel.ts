// What a scheme package needs around its WebAssembly: block layout, loading, memory, validity of scales.
import { FewbitError } from "./error.js";
import type { Codec, Part, Scheme, Unfit } from "./types.js";

/** A floating-point number inside a block. */
export interface ScaleField {
  /** Byte offset in the block. */
  readonly at: number;
  readonly type: "F32" | "F16" | "BF16" | "E8M0" | "UE4M3";
}

/** Layout of every scheme that is one run of equal blocks along the row. */
export const blockLayout =
  (elements: number, bytes: number) =>
  (shape: readonly number[]): readonly Part[] | Unfit => {
    const columns = shape.at(-1) ?? 1;
    if (columns % elements !== 0)
      return { unfit: `a row of ${columns} is not a multiple of the block of ${elements}` };
    const total = (shape.reduce((a, b) => a * b, 1) / elements) * bytes;
    return [{ name: "", dtype: "U8", shape, bytes: total, per: "row" }];
  };

/** Everything that distinguishes one block scheme from another. */
export interface BlockFacts {
  readonly id: string;
  readonly summary: string;
  readonly symmetry: Scheme["symmetry"];
  readonly importance: Scheme["importance"];
  /** dB on N(0,1): measured once, less a small margin. */
  readonly minSqnr: number;
  /** Weights per block. */
  readonly elements: number;
  /** Bytes per block. */
  readonly bytes: number;
  /** Where a block's floating-point scales and minimums lie; a NaN or infinity there makes the block invalid. */
  readonly scales: readonly ScaleField[];
}

/**
 * The exports a block kernel has for a scheme `Q4_K` (addresses and counts are u32):
 * - `q4_k_encode(source, target, rows, columns)`
 * - `q4_k_encode_weighted(source, target, rows, columns, importance)`, unless importance is ignored
 * - `q4_k_decode(source, target, blocks)`
 * - `q4_k_invalid(source, blocks)`, optional: the first block with a bad scale, or -1
 * and once per module `memory` and `base()`, the first address that the host may use.
 */
type KernelFunction = (...args: number[]) => number;
type Kernel = { readonly memory: WebAssembly.Memory } & { readonly [name: string]: KernelFunction };

const PAGE = 65536;
const align = (address: number): number => Math.ceil(address / 64) * 64;

/** One compiled instance per module and thread, whatever the number of schemes in it. */
const kernels = new Map<string, Promise<Kernel>>();

function loadKernel(wasm: string): Promise<Kernel> {
  let kernel = kernels.get(wasm);
  if (kernel === undefined) {
    const text = atob(wasm);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    kernel = WebAssembly.instantiate(bytes, {}).then(({ instance }) => instance.exports as unknown as Kernel);
    kernels.set(wasm, kernel);
  }
  return kernel;
}

/**
 * A scheme of equal blocks whose codec is a WebAssembly module.
 * @param wasm the module, base64, as `tooling/asc.ts` writes it
 */
export function blockScheme(facts: BlockFacts, wasm: string): Scheme {
  return {
    id: facts.id,
    summary: facts.summary,
    symmetry: facts.symmetry,
    granularity: "block",
    importance: facts.importance,
    passes: 1,
    minSqnr: facts.minSqnr,
    layout: blockLayout(facts.elements, facts.bytes),
    load: async () => blockCodec(facts, await loadKernel(wasm)),
  };
}

function blockCodec(facts: BlockFacts, kernel: Kernel): Codec {
  const prefix = facts.id.toLowerCase();
  const encode = kernel[`${prefix}_encode`];
  const encodeWeighted = kernel[`${prefix}_encode_weighted`];
  const decode = kernel[`${prefix}_decode`];
  const invalid = kernel[`${prefix}_invalid`];
  const lacks = (name: string): FewbitError =>
    new FewbitError(
      "E_PLUGIN_FAILED",
      `The kernel of ${facts.id} has no ${name}.`,
      {},
      "Build the package that brings it again, or report it to its authors.",
    );
  if (!encode && facts.importance !== "required") throw lacks(`${prefix}_encode`);
  if (!encodeWeighted && facts.importance !== "ignored") throw lacks(`${prefix}_encode_weighted`);
  if (!decode) throw lacks(`${prefix}_decode`);

  /** rows | blocks | importance, at addresses that depend on the sizes alone. Growing detaches earlier views. */
  const room = (weights: number, columns: number) => {
    const blocks = weights / facts.elements;
    const rowsAt = align(kernel.base!());
    const blocksAt = align(rowsAt + weights * 4);
    const importanceAt = align(blocksAt + blocks * facts.bytes);
    const missing = align(importanceAt + columns * 4) + 64 - kernel.memory.buffer.byteLength;
    if (missing > 0) kernel.memory.grow(Math.ceil(missing / PAGE));
    const { buffer } = kernel.memory;
    return {
      blocks,
      rows: new Float32Array(buffer, rowsAt, weights),
      out: new Uint8Array(buffer, blocksAt, blocks * facts.bytes),
      importance: new Float32Array(buffer, importanceAt, columns),
    };
  };

  return {
    borrow(rows, columns) {
      const lent = room(rows * columns, columns);
      return { rows: lent.rows, out: [lent.out] };
    },
    encode(rows, [out], { columns, importance }) {
      const own = room(rows.length, columns);
      if (rows.byteOffset !== own.rows.byteOffset || rows.buffer !== own.rows.buffer) own.rows.set(rows);
      const count = rows.length / columns;
      if (importance !== undefined && facts.importance !== "ignored") {
        own.importance.set(importance);
        encodeWeighted!(own.rows.byteOffset, own.out.byteOffset, count, columns, own.importance.byteOffset);
      } else if (facts.importance === "required") {
        throw new FewbitError(
          "E_IMPORTANCE_MISSING",
          `${facts.id} cannot be made without an importance matrix.`,
          {},
          "Collect one and pass it with --imatrix.",
        );
      } else encode!(own.rows.byteOffset, own.out.byteOffset, count, columns);
      if (out!.byteOffset !== own.out.byteOffset || out!.buffer !== own.out.buffer) out!.set(own.out);
    },
    decode([bytes], out, { columns }) {
      const own = room(out.length, columns);
      if (bytes!.byteOffset !== own.out.byteOffset || bytes!.buffer !== own.out.buffer) own.out.set(bytes!);
      decode(own.out.byteOffset, own.rows.byteOffset, own.blocks);
      if (out.byteOffset !== own.rows.byteOffset || out.buffer !== own.rows.buffer) out.set(own.rows);
    },
    invalid([bytes], { columns }) {
      if (!invalid) return firstInvalid(bytes!, facts);
      const own = room((bytes!.length / facts.bytes) * facts.elements, columns);
      if (bytes!.byteOffset !== own.out.byteOffset || bytes!.buffer !== own.out.buffer) own.out.set(bytes!);
      const block = invalid(own.out.byteOffset, own.blocks);
      return block < 0 ? -1 : block * facts.elements;
    },
  };
}

/** The first weight of the first block with a bad scale, or -1. */
function firstInvalid(bytes: Uint8Array, facts: BlockFacts): number {
  let first = -1;
  for (const { at, type } of facts.scales) {
    const bad = isInvalid[type];
    for (let block = 0, p = at; p < bytes.length; block++, p += facts.bytes)
      if (bad(bytes, p)) {
        if (first < 0 || block * facts.elements < first) first = block * facts.elements;
        break;
      }
  }
  return first;
}

const isInvalid: Record<ScaleField["type"], (bytes: Uint8Array, p: number) => boolean> = {
  F32: (bytes, p) => (bytes[p + 3]! & 0x7f) === 0x7f && (bytes[p + 2]! & 0x80) === 0x80,
  F16: (bytes, p) => (bytes[p + 1]! & 0x7c) === 0x7c,
  BF16: (bytes, p) => (bytes[p + 1]! & 0x7f) === 0x7f && (bytes[p]! & 0x80) === 0x80,
  E8M0: (bytes, p) => bytes[p] === 0xff,
  UE4M3: (bytes, p) => (bytes[p]! & 0x7f) === 0x7f,
};
