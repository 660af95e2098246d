// Tensors that are not stored as they are wanted: an expression over stored bytes, made of plain data, so that a job
// can carry it to any thread. Where it is evaluated only the bytes that a range needs are read.
import { floatTypes } from "./dtype.js";
import { FewbitError } from "./error.js";
import type { StoredLocator } from "./types.js";

/**
 * A tensor as an expression. Row-major; every node knows the type and the shape of its result. Structured-cloneable.
 * Made by the functions below, which check what they are given.
 */
export type View = { readonly dtype: string; readonly shape: readonly number[]; readonly bytes: number } & (
  | {
      readonly op: "stored";
      /** The tensor's name in its file, for messages. */
      readonly name: string;
      readonly from: StoredLocator;
      readonly offset: number;
    }
  | { readonly op: "constant"; readonly data: Uint8Array }
  /** The same bytes under another shape. */
  | { readonly op: "reshape"; readonly of: View }
  /** Bytes from `offset` of another tensor: some of its first dimension. */
  | { readonly op: "slice"; readonly of: View; readonly offset: number }
  /** One after another. */
  | { readonly op: "concat"; readonly of: readonly View[] }
  /** `[outer, a, b, unit bytes]` → `[outer, b, a, unit bytes]`. */
  | { readonly op: "swap"; readonly of: View; readonly a: number; readonly b: number; readonly unit: number }
  /** To float32, and `add` to every weight. */
  | { readonly op: "float32"; readonly of: View; readonly add: number }
  /** To float32, and times the scale of the weight's block. `[rows, columns]` of a scale: `block`. */
  | {
      readonly op: "scaled";
      readonly of: View;
      readonly scales: View;
      readonly block: readonly [rows: number, columns: number];
    }
  /** Packed 4-bit codes (two in a byte, the earlier one low) and a byte of scale for every `packed` of them → blocks. */
  | { readonly op: "blocks"; readonly of: View; readonly scales: View; readonly packed: number }
);

/** The views of one operation. */
export type Op<K extends View["op"]> = Extract<View, { op: K }>;

/** Reads stored bytes: fills `into` from byte `offset`. */
export type ReadStored = (from: StoredLocator, offset: number, into: Uint8Array) => void | Promise<void>;

// ---- Making ------------------------------------------------------------------------------------

const product = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

const refuse = (message: string): FewbitError => new FewbitError("E_CHECKPOINT", message);

const text = (shape: readonly number[]): string => `[${shape.join(" × ")}]`;

/** Bytes of a tensor in a file. */
export const stored = (at: {
  readonly name: string;
  readonly from: StoredLocator;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly bytes: number;
}): View => ({ op: "stored", ...at });

/** Float32 values that are in no file. */
export function constant(values: Float32Array, shape: readonly number[] = [values.length]): View {
  const data = new Uint8Array(values.buffer, values.byteOffset, values.byteLength).slice();
  return { op: "constant", dtype: "F32", shape, bytes: data.length, data };
}

/** @throws `E_CHECKPOINT` where the number of elements is another */
export function reshape(of: View, shape: readonly number[]): View {
  if (product(shape) !== product(of.shape))
    throw refuse(`A tensor of ${text(of.shape)} cannot become ${text(shape)}.`);
  return { op: "reshape", dtype: of.dtype, shape, bytes: of.bytes, of };
}

/** `count` of the first dimension, from `first`. @throws `E_CHECKPOINT` where they are not all there */
export function rows(of: View, first: number, count: number): View {
  const [all = 0, ...rest] = of.shape;
  if (
    !Number.isSafeInteger(first) ||
    !Number.isSafeInteger(count) ||
    first < 0 ||
    count < 0 ||
    first + count > all
  )
    throw refuse(`A tensor of ${text(of.shape)} has no rows ${first} to ${first + count}.`);
  const each = all === 0 ? 0 : of.bytes / all;
  return {
    op: "slice",
    dtype: of.dtype,
    shape: [count, ...rest],
    bytes: count * each,
    of,
    offset: first * each,
  };
}

/** Joined along the first dimension. @throws `E_CHECKPOINT` where types or other dimensions differ */
export function concat(of: readonly View[]): View {
  const [first] = of;
  if (first === undefined) throw refuse("There is nothing to join.");
  for (const each of of)
    if (each.dtype !== first.dtype || text(each.shape.slice(1)) !== text(first.shape.slice(1)))
      throw refuse(
        `${each.dtype} ${text(each.shape)} cannot be joined to ${first.dtype} ${text(first.shape)}.`,
      );
  return {
    op: "concat",
    dtype: first.dtype,
    shape: [of.reduce((sum, { shape }) => sum + (shape[0] ?? 1), 0), ...first.shape.slice(1)],
    bytes: of.reduce((sum, { bytes }) => sum + bytes, 0),
    of,
  };
}

/** As the elements of a new first dimension. @throws `E_CHECKPOINT` where types or shapes differ */
export const stack = (of: readonly View[]): View =>
  concat(of.map((each) => reshape(each, [1, ...each.shape])));

/**
 * Two neighbouring dimensions change places: `axis` and the one after it. The last one of all may be among them.
 * @throws `E_CHECKPOINT` where there are no such dimensions
 */
export function swapAxes(of: View, axis: number): View {
  const { shape } = of;
  if (axis < 0 || axis + 1 >= shape.length)
    throw refuse(`A tensor of ${text(shape)} has no axis ${axis + 1}.`);
  const [a, b] = [shape[axis]!, shape[axis + 1]!];
  const swapped = [...shape.slice(0, axis), b, a, ...shape.slice(axis + 2)];
  const count = product(shape.slice(0, axis + 2));
  const unit = count === 0 ? 0 : of.bytes / count;
  if (!Number.isInteger(unit)) throw refuse(`The elements of ${of.dtype} cannot change places.`);
  return { op: "swap", dtype: of.dtype, shape: swapped, bytes: of.bytes, of, a, b, unit };
}

/** The last two dimensions change places. */
export const transpose = (of: View): View => swapAxes(of, of.shape.length - 2);

/** Values of the 256 patterns of each 8-bit float. */
export const eightBitFloats: ReadonlyMap<string, Float32Array> = new Map([
  ["F8_E4M3", Float32Array.from({ length: 256 }, (_, bits) => e4m3(bits))],
  ["F8_E5M2", Float32Array.from({ length: 256 }, (_, bits) => e5m2(bits))],
]);

/** Sign, four bits of exponent, three of mantissa; no infinity, one NaN. */
function e4m3(bits: number): number {
  const [exponent, mantissa] = [(bits >> 3) & 15, bits & 7];
  const size =
    (bits & 127) === 127
      ? Number.NaN
      : exponent === 0
        ? mantissa * 2 ** -9
        : (1 + mantissa / 8) * 2 ** (exponent - 7);
  return bits > 127 ? -size : size;
}

/** The upper half of an IEEE half. */
function e5m2(bits: number): number {
  const [exponent, mantissa] = [(bits >> 2) & 31, bits & 3];
  const size =
    exponent === 31
      ? mantissa === 0
        ? Number.POSITIVE_INFINITY
        : Number.NaN
      : exponent === 0
        ? mantissa * 2 ** -16
        : (1 + mantissa / 4) * 2 ** (exponent - 15);
  return bits > 127 ? -size : size;
}

/** Types that can be made float32 here: those of `floatTypes`, and 8-bit floats. */
const decodable = (dtype: string): boolean => floatTypes.has(dtype) || eightBitFloats.has(dtype);

/** Bytes of one element, where elements are whole bytes. */
export const elementBytes = ({ bytes, shape }: View): number => {
  const elements = product(shape);
  return elements === 0 ? 0 : bytes / elements;
};

/** @throws `E_CHECKPOINT` where the type is no float */
export function float32(of: View, add = 0): View {
  if (of.dtype === "F32" && add === 0) return of;
  if (!decodable(of.dtype)) throw refuse(`${of.dtype} cannot be made float32.`);
  return { op: "float32", dtype: "F32", shape: of.shape, bytes: product(of.shape) * 4, of, add };
}

/**
 * Weights times their scales, in float32. Of a scale for the whole tensor, `scales` is one number; for blocks it is
 * `[rows ÷ block rows, columns ÷ block columns]`, rounded up, after the dimensions before those two.
 *
 * @throws `E_CHECKPOINT` where the scales do not fit the tensor
 */
export function scaled(of: View, scales: View, block?: readonly [rows: number, columns: number]): View {
  const [columns = 1, rowCount = 1] = [of.shape.at(-1), of.shape.at(-2)];
  const whole = block ?? [rowCount, columns];
  const [high, wide] = whole;
  const wanted = [...of.shape.slice(0, -2), Math.ceil(rowCount / high), Math.ceil(columns / wide)];
  if (!decodable(of.dtype) || !decodable(scales.dtype))
    throw refuse(`${of.dtype} with scales in ${scales.dtype} cannot be made float32.`);
  if (!(high > 0 && wide > 0) || product(scales.shape) !== product(wanted))
    throw refuse(
      `Scales of ${text(scales.shape)} do not fit a tensor of ${text(of.shape)} in blocks of ${high} × ${wide}.`,
    );
  const bytes = product(of.shape) * 4;
  return { op: "scaled", dtype: "F32", shape: of.shape, bytes, of, scales, block: whole };
}

/**
 * Packed 4-bit codes `U8 [… , blocks, bytes]` and scales `U8 [… , blocks]` → `dtype` `[… , blocks × bytes × 2]`, in blocks
 * of the scale and as many bytes: the same bits in other places. A byte of the result holds a code of the first half of
 * its block and, above it, one of the second.
 *
 * @throws `E_CHECKPOINT` where they do not fit each other
 */
export function packBlocks(dtype: string, of: View, scales: View): View {
  const [packed, blocks] = [of.shape.at(-1), of.shape.at(-2)];
  if (
    [of, scales].some((each) => each.dtype !== "U8") ||
    packed === undefined ||
    packed % 2 !== 0 ||
    blocks === undefined ||
    text(of.shape.slice(0, -1)) !== text(scales.shape)
  )
    throw refuse(
      `${of.dtype} ${text(of.shape)} with scales of ${scales.dtype} ${text(scales.shape)} are no blocks of 4-bit codes.`,
    );
  const shape = [...of.shape.slice(0, -2), blocks * packed * 2];
  return { op: "blocks", dtype, shape, bytes: product(scales.shape) * (1 + packed), of, scales, packed };
}

// ---- Looking -----------------------------------------------------------------------------------

/** The stored bytes under a view, in the order in which it names them. */
export function* storedUnder(view: View): Generator<Op<"stored">> {
  if (view.op === "stored") yield view;
  else if (view.op === "concat") for (const each of view.of) yield* storedUnder(each);
  else if (view.op !== "constant") {
    yield* storedUnder(view.of);
    if ("scales" in view) yield* storedUnder(view.scales);
  }
}

/** Where a byte of a view comes from; undefined where it is in no file. Of a scaled weight it is the weight itself. */
export function originOf(
  view: View,
  offset: number,
): { readonly from: StoredLocator; readonly name: string; readonly offset: number } | undefined {
  switch (view.op) {
    case "constant":
      return undefined;
    case "stored":
      return { from: view.from, name: view.name, offset: view.offset + offset };
    case "reshape":
      return originOf(view.of, offset);
    case "slice":
      return originOf(view.of, view.offset + offset);
    case "concat": {
      let before = 0;
      for (const each of view.of) {
        if (offset < before + each.bytes) return originOf(each, offset - before);
        before += each.bytes;
      }
      return undefined;
    }
    case "swap": {
      const { a, b, unit } = view;
      const item = Math.floor(offset / unit);
      const [outer, rest] = [Math.floor(item / (a * b)), item % (a * b)];
      const from = (outer * a + (rest % a)) * b + Math.floor(rest / a);
      return originOf(view.of, from * unit + (offset % unit));
    }
    case "float32":
    case "scaled":
      return originOf(view.of, Math.floor(offset / 4) * elementBytes(view.of));
    case "blocks":
      return originOf(view.of, Math.floor(offset / (1 + view.packed)) * view.packed);
  }
}

/**
 * The same bytes from a smaller expression, where one part of a join holds them all: what a job carries.
 * @returns the expression, and the offset in it
 */
export function narrow(view: View, offset: number, bytes: number): { view: View; offset: number } {
  if (view.op === "reshape") return narrow(view.of, offset, bytes);
  if (view.op === "slice") return narrow(view.of, view.offset + offset, bytes);
  if (view.op === "concat") {
    let before = 0;
    for (const each of view.of) {
      if (offset >= before && offset + bytes <= before + each.bytes)
        return narrow(each, offset - before, bytes);
      before += each.bytes;
    }
  }
  return { view, offset };
}
