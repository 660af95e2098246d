// Byte-level BPE spells every byte as one visible character (GPT-2's table).

/** Bytes that are visible characters of Latin-1 stand for themselves; the others follow from U+0100, in their order. */
const characters: readonly string[] = (() => {
  const visible = (byte: number): boolean =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(visible(byte) ? byte : next++));
})();

const encoder = new TextEncoder();

/** A word as the vocabulary spells it. */
export const spelled = (word: string): string =>
  Array.from(encoder.encode(word), (byte) => characters[byte]).join("");

const bytes: ReadonlyMap<string, number> = new Map(characters.map((character, byte) => [character, byte]));

/** A word as people read it. */
export const readable = (spelling: string): string =>
  new TextDecoder("utf-8", { ignoreBOM: true }).decode(
    Uint8Array.from(spelling, (character) => bytes.get(character) ?? 0),
  );

/** The spelling of every byte. */
export const byteTokens: readonly string[] = characters;
