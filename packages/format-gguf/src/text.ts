const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
// ignoreBOM: real vocabularies have tokens that begin with U+FEFF; by default it would be dropped.
const lenient = new TextDecoder("utf-8", { ignoreBOM: true });
const encoder = new TextEncoder();

/** Undefined where the bytes are not UTF-8. */
export function decodeStrict(bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes);
  } catch {
    return undefined;
  }
}

/** For display: what is not UTF-8 becomes U+FFFD. */
export function decodeLenient(bytes: Uint8Array): string {
  // Most tokens are a few ASCII bytes, and a decoder call costs more than they do.
  if (bytes.length > 24) return lenient.decode(bytes);
  let text = "";
  for (const byte of bytes) {
    if (byte > 127) return lenient.decode(bytes);
    text += String.fromCharCode(byte);
  }
  return text;
}

export const encode = (text: string): Uint8Array => encoder.encode(text);

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
