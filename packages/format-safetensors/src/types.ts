/** How the elements of a tensor are stored. */
export interface Dtype {
  /** Per element. Elements of less than a byte are packed; a tensor is always whole bytes. */
  readonly bits: number;
}

/**
 * Every dtype of safetensors 0.8 by its name, in the format's own order: by alignment, which is the order in which
 * tensors are written, last first. A `Map`, so that a type named `constructor` is simply unknown.
 */
export const dtypes: ReadonlyMap<string, Dtype> = new Map([
  ["BOOL", { bits: 8 }],
  ["F4", { bits: 4 }],
  ["F6_E2M3", { bits: 6 }],
  ["F6_E3M2", { bits: 6 }],
  ["U8", { bits: 8 }],
  ["I8", { bits: 8 }],
  ["F8_E5M2", { bits: 8 }],
  ["F8_E4M3", { bits: 8 }],
  ["F8_E8M0", { bits: 8 }],
  ["F8_E4M3FNUZ", { bits: 8 }],
  ["F8_E5M2FNUZ", { bits: 8 }],
  ["I16", { bits: 16 }],
  ["U16", { bits: 16 }],
  ["F16", { bits: 16 }],
  ["BF16", { bits: 16 }],
  ["I32", { bits: 32 }],
  ["U32", { bits: 32 }],
  ["F32", { bits: 32 }],
  ["C64", { bits: 64 }],
  ["F64", { bits: 64 }],
  ["I64", { bits: 64 }],
  ["U64", { bits: 64 }],
]);

/** The one key of a header that is no tensor. */
export const METADATA = "__metadata__";

/** Bytes of the header's length, which begins the file. */
export const PREFIX_BYTES = 8;

/**
 * The format's own limit, of index files as well. No header within it names more than two million tensors: the
 * shortest entry takes 53 bytes.
 */
export const MAX_HEADER_BYTES = 100_000_000;

/** What the largest unsigned 64-bit number can count; sizes above it wrap in other readers. */
export const MAX_COUNT: bigint = 2n ** 64n - 1n;
