import { FewbitError } from "@fewbit/core";
import { encode, quoted } from "./text.js";
import { type ValueType, valueTypes } from "./types.js";

/** The number a value type has in the file: `array<f32>` is an array (9) of f32 (6). */
export function valueTypeId(type: string): number {
  const outer = type.startsWith("array<") ? "array" : type;
  return valueTypes.findIndex(({ name }) => name === outer);
}

const ranges: Readonly<Partial<Record<ValueType, readonly [bigint, bigint]>>> = {
  u8: [0n, 2n ** 8n - 1n],
  i8: [-(2n ** 7n), 2n ** 7n - 1n],
  u16: [0n, 2n ** 16n - 1n],
  i16: [-(2n ** 15n), 2n ** 15n - 1n],
  u32: [0n, 2n ** 32n - 1n],
  i32: [-(2n ** 31n), 2n ** 31n - 1n],
  u64: [0n, 2n ** 64n - 1n],
  i64: [-(2n ** 63n), 2n ** 63n - 1n],
};

/**
 * A metadata value as GGUF stores it, without its leading type.
 *
 * @throws `E_GGUF_TYPE` where the type is unknown or `value` is none of it
 */
export function encodeValue(type: string, value: unknown, key: string): Uint8Array {
  const bytes = new Bytes();
  put(bytes, type, value, key);
  return bytes.done();
}

function put(bytes: Bytes, type: string, value: unknown, key: string): void {
  const element = /^array<(.*)>$/.exec(type)?.[1];
  if (element !== undefined) {
    if (!Array.isArray(value) && !ArrayBuffer.isView(value)) throw wrong(type, value, key);
    const id = valueTypeId(element);
    const items = value as ArrayLike<unknown>;
    // `array<array>` is what a reader calls arrays of arrays whose inner types differ: only `raw` can hold those.
    if (id < 0 || (element === "array" && items.length > 0)) throw wrong(type, value, key);
    bytes.u32(id);
    bytes.u64(BigInt(items.length));
    for (let i = 0; i < items.length; i++) put(bytes, element, items[i], key);
    return;
  }
  switch (type) {
    case "string": {
      if (typeof value !== "string") throw wrong(type, value, key);
      const text = encode(value);
      bytes.u64(BigInt(text.length));
      bytes.raw(text);
      return;
    }
    case "bool":
      if (typeof value !== "boolean") throw wrong(type, value, key);
      bytes.raw(Uint8Array.of(value ? 1 : 0));
      return;
    case "f32":
    case "f64":
      if (typeof value !== "number") throw wrong(type, value, key);
      bytes.float(value, type === "f32" ? 4 : 8);
      return;
  }
  const range = ranges[type as ValueType];
  const whole = typeof value === "bigint" || Number.isSafeInteger(value);
  if (range === undefined || !whole) throw wrong(type, value, key);
  const exact = BigInt(value as number | bigint);
  if (exact < range[0] || exact > range[1]) throw wrong(type, value, key);
  bytes.integer(exact, valueTypes[valueTypeId(type)]!.bytes);
}

function wrong(type: string, value: unknown, key: string): FewbitError {
  const shown = Array.isArray(value) || ArrayBuffer.isView(value) ? "an array" : quoted(String(value));
  return new FewbitError(
    "E_GGUF_TYPE",
    `The metadata value of ${quoted(key)} cannot be written: ${shown} is no ${type}.`,
    { key },
    `Give it one of GGUF's types (${valueTypes.map(({ name }) => name).join(", ")}) and a value of that type.`,
  );
}

/** Little-endian bytes, growing by doubling. */
export class Bytes {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  #grow(count: number): number {
    const at = this.#length;
    this.#length += count;
    if (this.#length > this.#bytes.length) {
      const next = new Uint8Array(Math.max(this.#length, this.#bytes.length * 2));
      next.set(this.#bytes);
      this.#bytes = next;
      this.#view = new DataView(next.buffer);
    }
    return at;
  }

  raw(bytes: Uint8Array): void {
    const at = this.#grow(bytes.length);
    this.#bytes.set(bytes, at);
  }

  u32(value: number): void {
    const at = this.#grow(4);
    this.#view.setUint32(at, value, true);
  }

  u64(value: bigint): void {
    this.integer(value, 8);
  }

  /** Two's complement. */
  integer(value: bigint, size: number): void {
    const at = this.#grow(size);
    if (size === 8) this.#view.setBigInt64(at, value, true);
    else for (let i = 0; i < size; i++) this.#bytes[at + i] = Number((value >> BigInt(8 * i)) & 255n);
  }

  float(value: number, size: 4 | 8): void {
    const at = this.#grow(size);
    if (size === 4) this.#view.setFloat32(at, value, true);
    else this.#view.setFloat64(at, value, true);
  }

  string(text: Uint8Array): void {
    this.u64(BigInt(text.length));
    this.raw(text);
  }

  padTo(alignment: number): void {
    this.#grow((alignment - (this.#length % alignment)) % alignment);
  }

  /** Exactly the bytes written; padding is zero. */
  done(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }
}
