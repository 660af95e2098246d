// The compiled rules of SentencePiece's normalizer: which characters become which text.
//   bytes  0                4                       4 + size
//          | size u32 LE    | units of a trie u32 LE| texts, each ended by a zero |
// The trie is a double array (darts-clone): a unit holds the label it is reached by, and where its children are.

/** A rule that holds at some place: how many bytes it replaces, and by what. */
interface Match {
  readonly length: number;
  readonly text: string;
}

/** Rules by the bytes that they replace. Damaged ones match nothing. */
export class CharsMap {
  readonly #units: DataView;
  readonly #count: number;
  readonly #texts: Uint8Array;

  constructor(bytes: Uint8Array) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const size = bytes.length < 4 ? 0 : Math.min(view.getUint32(0, true), bytes.length - 4);
    this.#count = Math.floor(size / 4);
    this.#units = new DataView(bytes.buffer, bytes.byteOffset + Math.min(4, bytes.length), this.#count * 4);
    this.#texts = bytes.subarray(Math.min(4 + size, bytes.length));
  }

  /** Rules for what begins at a byte, shortest first. */
  matches(bytes: Uint8Array, from: number): Match[] {
    const found: Match[] = [];
    if (this.#count === 0) return found;
    let node = offset(this.#unit(0));
    for (let i = from; i < bytes.length; i++) {
      const byte = bytes[i]!;
      node ^= byte;
      if (byte === 0 || node >= this.#count) break;
      const unit = this.#unit(node);
      // The highest bit is set in units that hold values: no byte is such a label.
      if ((unit & 0x8000_00ff) >>> 0 !== byte) break;
      node ^= offset(unit);
      if ((unit & 0x100) !== 0 && node < this.#count)
        found.push({ length: i + 1 - from, text: this.#text(this.#unit(node) & 0x7fff_ffff) });
    }
    return found;
  }

  #unit(index: number): number {
    return this.#units.getUint32(index * 4, true);
  }

  #text(from: number): string {
    const end = this.#texts.indexOf(0, from);
    return decoder.decode(this.#texts.subarray(from, end < 0 ? undefined : end));
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" });

const offset = (unit: number): number => (unit >>> 10) << ((unit & 0x200) >>> 6);

/** Longer ones are looked up letter by letter. */
const LONGEST = 6;

/** As the tokenizers library applies them: the first rule for a grapheme replaces all of it, or one for each letter. */
export function normalizeGraphemes(text: string, map: CharsMap): string {
  const first = (part: string): string | undefined => map.matches(encoder.encode(part), 0)[0]?.text;
  return Array.from(graphemes.segment(text), ({ segment }) => {
    const whole = encoder.encode(segment).length < LONGEST ? first(segment) : undefined;
    return whole ?? Array.from(segment, (letter) => first(letter) ?? letter).join("");
  }).join("");
}

/** Bytes of a letter, by its first one. */
const letterLength = (first: number): number => (first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4);

/** As SentencePiece applies them: at each place the longest that there is. */
export function normalizeLongest(text: string, map: CharsMap): string {
  const bytes = encoder.encode(text);
  let result = "";
  let plain = 0;
  for (let i = 0; i < bytes.length; ) {
    const match = map.matches(bytes, i).at(-1);
    if (match === undefined) i += letterLength(bytes[i]!);
    else {
      result += decoder.decode(bytes.subarray(plain, i)) + match.text;
      i += match.length;
      plain = i;
    }
  }
  return result + decoder.decode(bytes.subarray(plain));
}
