import { type Codec, FewbitError } from "@fewbit/core";

/** A type described block by block: readable rather than fast. */
export interface BlockReference {
  readonly id: string;
  /** Weights per block. */
  readonly elements: number;
  /** Bytes per block. */
  readonly bytes: number;
  /** Whether `encode` needs importance. */
  readonly required?: boolean;
  /**
   * `block` is all zero when called.
   * @param importance one number per weight of this block
   */
  encode(x: Float32Array, block: Uint8Array, importance: Float32Array | undefined): void;
  decode(block: Uint8Array, x: Float32Array): void;
}

/** The codec that walks rows in blocks. */
export const blockReference = ({ id, elements, bytes, required, encode, decode }: BlockReference): Codec => ({
  encode(rows, [out], { columns, importance }) {
    if (required && importance === undefined)
      throw new FewbitError(
        "E_IMPORTANCE_MISSING",
        `${id} cannot be made without an importance matrix.`,
        {},
        "Collect one and pass it with --imatrix.",
      );
    for (let i = 0; i < rows.length; i += elements) {
      const at = (i / elements) * bytes;
      const column = i % columns;
      encode(
        rows.subarray(i, i + elements),
        out!.subarray(at, at + bytes).fill(0),
        importance?.subarray(column, column + elements),
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
