import {
  GGMLFileQuantizationType,
  GGMLQuantizationType,
  GGUF_QUANT_DESCRIPTIONS,
  GGUFValueType,
} from "@huggingface/gguf";

/** How a tensor type is stored: `bytes` per `block` elements of one row. */
export interface TensorType {
  readonly id: number;
  /** The field's spelling: `Q4_K`. */
  readonly name: string;
  readonly block: number;
  readonly bytes: number;
  /** One sentence about the type, from @huggingface/gguf; empty where it has none. */
  readonly description: string;
}

const SUPER = 256;

/**
 * Elements and bytes of one block, as sums of the block's fields in ggml's struct order.
 * Ids and names are @huggingface/gguf's; it does not know sizes.
 */
const blocks: Readonly<Record<keyof typeof GGMLQuantizationType, readonly [block: number, bytes: number]>> = {
  F32: [1, 4],
  F16: [1, 2],
  BF16: [1, 2],
  F64: [1, 8],
  I8: [1, 1],
  I16: [1, 2],
  I32: [1, 4],
  I64: [1, 8],
  Q4_0: [32, 2 + 16],
  Q4_1: [32, 2 + 2 + 16],
  Q5_0: [32, 2 + 4 + 16],
  Q5_1: [32, 2 + 2 + 4 + 16],
  Q8_0: [32, 2 + 32],
  Q8_1: [32, 2 + 2 + 32],
  Q2_K: [SUPER, 16 + 64 + 2 + 2],
  Q3_K: [SUPER, 32 + 64 + 12 + 2],
  Q4_K: [SUPER, 2 + 2 + 12 + 128],
  Q5_K: [SUPER, 2 + 2 + 12 + 32 + 128],
  Q6_K: [SUPER, 128 + 64 + 16 + 2],
  Q8_K: [SUPER, 4 + 256 + 32],
  IQ2_XXS: [SUPER, 2 + 64],
  IQ2_XS: [SUPER, 2 + 64 + 8],
  IQ2_S: [SUPER, 2 + 64 + 8 + 8],
  IQ3_XXS: [SUPER, 2 + 96],
  IQ3_S: [SUPER, 2 + 64 + 8 + 32 + 4],
  IQ1_S: [SUPER, 2 + 32 + 16],
  IQ1_M: [SUPER, 32 + 16 + 8],
  IQ4_NL: [32, 2 + 16],
  IQ4_XS: [SUPER, 2 + 2 + 4 + 128],
  TQ1_0: [SUPER, 48 + 4 + 2],
  TQ2_0: [SUPER, 64 + 2],
  MXFP4: [32, 1 + 16],
  NVFP4: [64, 4 + 32],
  Q1_0: [128, 2 + 16],
  Q2_0: [64, 2 + 16],
};

const types: readonly TensorType[] = (Object.keys(blocks) as (keyof typeof blocks)[]).map((name) => {
  const id: number = GGMLQuantizationType[name];
  const [block, bytes] = blocks[name];
  const description = GGUF_QUANT_DESCRIPTIONS[id as GGMLQuantizationType]?.txt ?? "";
  return { id, name, block, bytes, description };
});

/** `Map`s, so that a type named `constructor` is simply unknown. */
export const tensorTypesById: ReadonlyMap<number, TensorType> = new Map(types.map((type) => [type.id, type]));
/** Every tensor type of GGUF by its name: `Q4_K`. */
export const tensorTypes: ReadonlyMap<string, TensorType> = new Map(types.map((type) => [type.name, type]));

/** Tensor types that once existed: a file that has one can only be read by a llama.cpp of its time. */
export const removedTensorTypes: ReadonlyMap<number, string> = new Map([
  [4, "Q4_2"],
  [5, "Q4_3"],
  [31, "Q4_0_4_4"],
  [32, "Q4_0_4_8"],
  [33, "Q4_0_8_8"],
  [36, "IQ4_NL_4_4"],
  [37, "IQ4_NL_4_8"],
  [38, "IQ4_NL_8_8"],
]);

/** Appended to a tensor's type where its bytes are big-endian, so that nothing can mistake them. */
export const BIG_ENDIAN = " (big-endian)";

/** Bytes of a tensor of this type, or undefined where a row is not a whole number of blocks. `columns` is ne0. */
export function tensorBytes(type: TensorType, columns: number, rows: number): number | undefined {
  return columns % type.block === 0 ? (columns / type.block) * type.bytes * rows : undefined;
}

/** Metadata value types by their number in the file, and the smallest number of bytes one value takes. */
export const valueTypes = [
  { name: "u8", bytes: 1 },
  { name: "i8", bytes: 1 },
  { name: "u16", bytes: 2 },
  { name: "i16", bytes: 2 },
  { name: "u32", bytes: 4 },
  { name: "i32", bytes: 4 },
  { name: "f32", bytes: 4 },
  { name: "bool", bytes: 1 },
  { name: "string", bytes: 8 },
  { name: "array", bytes: 4 + 8 },
  { name: "u64", bytes: 8 },
  { name: "i64", bytes: 8 },
  { name: "f64", bytes: 8 },
] as const;

export type ValueType = (typeof valueTypes)[number]["name"];

export const BOOL: number = GGUFValueType.BOOL;
export const STRING: number = GGUFValueType.STRING;
export const ARRAY: number = GGUFValueType.ARRAY;
export const UINT32: number = GGUFValueType.UINT32;

/**
 * Keys that every loader reads, with the types llama.cpp accepts for them. Another type is refused,
 * because a reader that guesses would reinterpret bytes.
 */
export const knownKeys: ReadonlyMap<string, readonly string[]> = new Map([
  ["general.architecture", ["string"]],
  ["general.name", ["string"]],
  ["general.file_type", ["u32"]],
  ["general.quantization_version", ["u32"]],
  ["split.no", ["u16"]],
  ["split.count", ["u16"]],
  ["split.tensors.count", ["i32", "u32"]],
  ["tokenizer.ggml.model", ["string"]],
  ["tokenizer.ggml.tokens", ["array<string>"]],
  ["tokenizer.ggml.scores", ["array<f32>", "array<i32>"]],
  ["tokenizer.ggml.token_type", ["array<i32>"]],
  ["tokenizer.ggml.merges", ["array<string>"]],
]);

/** Set in general.file_type where llama.cpp guessed it from the tensors. */
export const FILE_TYPE_GUESSED = 1024;

/** `15` → `Q4_K_M`; a number where the file type has no name. */
export function fileTypeName(fileType: number): string {
  const name = (GGMLFileQuantizationType as unknown as Record<number, string | undefined>)[
    fileType & ~FILE_TYPE_GUESSED
  ];
  if (name === undefined) return String(fileType);
  return (fileType & FILE_TYPE_GUESSED) === 0 ? name : `${name} (guessed)`;
}
