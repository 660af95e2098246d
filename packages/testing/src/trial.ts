import type { About, Codec, Part, Scheme } from "@fewbit/core";

/** The parts of a shape that is known to fit. */
export function partsOf(scheme: Scheme, shape: readonly number[]): readonly Part[] {
  const parts = scheme.layout(shape);
  if ("unfit" in parts) throw new Error(`layout of [${shape}] is unfit: ${parts.unfit}`);
  return parts;
}

const GUARD = 16;

/** A copy at the same address modulo alignment, among the same surroundings. */
const rowsCopy = (rows: Float32Array): Float32Array =>
  new Float32Array(rows.buffer.slice(0), rows.byteOffset, rows.length);
const bytesCopy = (bytes: Uint8Array): Uint8Array =>
  new Uint8Array(bytes.buffer.slice(0), bytes.byteOffset, bytes.length);

/** Bytes with room around them: what lies outside `inner` must never matter and never change. */
export interface Guarded {
  readonly inner: Uint8Array;
  /** True while every byte outside is as it was. */
  intact(): boolean;
}

export function guarded(length: number, fill: number, shift = 0): Guarded {
  const outer = new Uint8Array(GUARD + shift + length + GUARD).fill(fill);
  const start = GUARD + shift;
  return {
    inner: outer.subarray(start, start + length),
    intact: () => outer.every((x, i) => x === fill || (i >= start && i < start + length)),
  };
}

/**
 * A codec at work on rows of one width, with the importance and parameters that its scheme asks for. It is given
 * copies, so that a codec which spoils its input fails that law and no other.
 */
export class Trial {
  constructor(
    readonly scheme: Scheme,
    readonly codec: Codec,
    readonly columns: number,
  ) {}

  /** Where importance is required and none is given, all columns count the same. */
  about(rows: Float32Array, importance?: Float32Array): About {
    const { columns, codec, scheme } = this;
    const matrix =
      importance ?? (scheme.importance === "required" ? new Float32Array(columns).fill(1) : undefined);
    const about: About = { columns, ...(matrix ? { importance: matrix } : {}) };
    if (!codec.observer) return about;
    return { ...about, parameters: codec.observer.finish(codec.observer.observe(rows, about)).parameters };
  }

  /** Zeroed bytes by default, as an executor would hand them out; `fill` poisons them and `shift` misaligns them. */
  room(rows: number, { fill = 0, shift = 0 } = {}): Guarded[] {
    const shape = [rows, this.columns];
    return partsOf(this.scheme, shape)
      .filter((part) => part.per === "row")
      .map((part) => guarded(part.bytes, fill, shift));
  }

  encode(rows: Float32Array, about = this.about(rows), options = {}): Uint8Array[] {
    const out = this.room(rows.length / this.columns, options).map((guard) => guard.inner);
    this.codec.encode(rowsCopy(rows), out, about);
    return out;
  }

  decode(parts: readonly Uint8Array[], about: About, weights: number): Float32Array {
    const out = new Float32Array(weights);
    this.codec.decode(parts.map(bytesCopy), out, about);
    return out;
  }

  /** Encodes and decodes. */
  roundTrip(rows: Float32Array, about = this.about(rows)): Float32Array {
    return this.decode(this.encode(rows, about), about, rows.length);
  }
}
