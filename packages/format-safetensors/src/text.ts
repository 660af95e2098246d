const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

export const encode = (text: string): Uint8Array => encoder.encode(text);

/** Undefined where the bytes are not UTF-8. A byte order mark stays, as the character it is. */
export function decode(bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes);
  } catch {
    return undefined;
  }
}

/** Where the first sequence begins that is not UTF-8: a decoder says only that there is one. */
export function firstInvalid(bytes: Uint8Array): number {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const BLOCK = 1 << 12;
  let valid = 0; // bytes of whole characters so far
  for (let start = 0; start < bytes.length; start += BLOCK) {
    try {
      valid += encode(decoder.decode(bytes.subarray(start, start + BLOCK), { stream: true })).length;
    } catch {
      break;
    }
  }
  // Within a block: the longest run of whole characters that is text.
  let end = Math.min(bytes.length, valid + 2 * BLOCK);
  while (decode(bytes.subarray(valid, end)) === undefined) end--;
  return end;
}

/** Byte offsets of characters, in UTF-8. Fast where they are asked for in rising order. */
export class Offsets {
  #index = 0;
  #bytes = 0;

  constructor(readonly text: string) {}

  of(index: number): number {
    if (index < this.#index) {
      this.#index = 0;
      this.#bytes = 0;
    }
    for (; this.#index < index; this.#index++) {
      const unit = this.text.charCodeAt(this.#index);
      // Each half of a surrogate pair counts two of the four bytes.
      this.#bytes += unit < 0x80 ? 1 : unit < 0x800 || (unit >= 0xd800 && unit <= 0xdfff) ? 2 : 3;
    }
    return this.#bytes;
  }
}

/** A lone surrogate has no UTF-8: two names that differ in it would be written as one. */
export const wellFormed = (text: string): boolean => !/\p{Surrogate}/u.test(text);

/** Orders as the bytes of UTF-8 do, which is code point order; `<` on strings compares UTF-16 units. */
export function compareBytes(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x === y) continue;
    // A surrogate belongs to a code point above every unit that is none.
    const xSurrogate = x >= 0xd800 && x <= 0xdfff;
    const ySurrogate = y >= 0xd800 && y <= 0xdfff;
    if (xSurrogate !== ySurrogate) return xSurrogate ? 1 : -1;
    return x - y;
  }
  return a.length - b.length;
}

/** A name as a message may show it: quoted, with controls and direction overrides made visible, not too long. */
export function quoted(text: string): string {
  const cut = text.length > 80 ? `${text.slice(0, 79)}…` : text;
  return JSON.stringify(cut).replace(
    /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
