import type { Codec } from "@fewbit/core";

/** What an encoder may look at beside its block when there is importance. */
export interface Weighting {
  /** One number per weight of this block. */
  readonly importance: Float32Array;
  /** The whole row that the block is part of. */
  readonly row: Float32Array;
}

/** A type described block by block: readable rather than fast. */
export interface BlockReference {
  /** Weights per block. */
  readonly elements: number;
  /** Bytes per block. */
  readonly bytes: number;
  /** `block` is all zero when called. */
  encode(x: Float32Array, block: Uint8Array, weighting?: Weighting): void;
  decode(block: Uint8Array, x: Float32Array): void;
}

/** The codec that walks rows in blocks. */
export const blockReference = ({ elements, bytes, encode, decode }: BlockReference): Codec => ({
  encode(rows, [out], { columns, importance }) {
    for (let i = 0; i < rows.length; i += elements) {
      const at = (i / elements) * bytes;
      const column = i % columns;
      encode(
        rows.subarray(i, i + elements),
        out!.subarray(at, at + bytes).fill(0),
        importance && {
          importance: importance.subarray(column, column + elements),
          row: rows.subarray(i - column, i - column + columns),
        },
      );
    }
  },
  decode([blocks], out) {
    for (let i = 0; i < out.length; i += elements) {
      const at = (i / elements) * bytes;
      decode(blocks!.subarray(at, at + bytes), out.subarray(i, i + elements));
    }
  },
});
