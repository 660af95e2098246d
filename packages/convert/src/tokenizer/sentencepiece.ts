// tokenizer.model: what SentencePiece writes, a protobuf message (sentencepiece_model.proto of its sources).
import { FewbitError } from "@fewbit/core";
import { PbfReader } from "pbf";
import { REMEDY, refuseLarge } from "./json.js";

/** How SentencePiece numbers the kinds of pieces; GGUF took its numbers from here. */
export const pieceType = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

export interface Piece {
  readonly text: string;
  readonly score: number;
  readonly type: number;
}

export interface SentencePiece {
  readonly pieces: readonly Piece[];
  readonly algorithm: "unigram" | "bpe";
  /** Whether a space comes before every text. */
  readonly addsPrefix: boolean;
  readonly removesExtraSpaces: boolean;
  readonly escapesSpaces: boolean;
  /** Whether characters that no piece covers become bytes. */
  readonly byteFallback: boolean;
  /** The compiled rules of the normalizer; empty where texts stay as they are. */
  readonly charsMap: Uint8Array;
}

// Field numbers of the message.
const MODEL = { pieces: 1, trainer: 2, normalizer: 3 } as const;
const PIECE = { text: 1, score: 2, type: 3 } as const;
const TRAINER = { algorithm: 3, byteFallback: 35 } as const;
const NORMALIZER = { charsMap: 2, addsPrefix: 3, removesExtraSpaces: 4, escapesSpaces: 5 } as const;
const ALGORITHMS: ReadonlyMap<number, SentencePiece["algorithm"]> = new Map([
  [1, "unigram"],
  [2, "bpe"],
]);

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

/** @throws `E_TOKENIZER` with the byte at which the file stops making sense */
export function readSentencePiece(bytes: Uint8Array, file: string): SentencePiece {
  refuseLarge(bytes, file);
  const message = new Message(bytes, file);
  const pieces: Piece[] = [];
  let algorithm = 1;
  let byteFallback = false;
  let addsPrefix = true;
  let removesExtraSpaces = true;
  let escapesSpaces = true;
  let charsMap: Uint8Array = new Uint8Array();
  message.fields(bytes.length, (field, start) => {
    if (field === MODEL.pieces) pieces.push(readPiece(message, start));
    else if (field === MODEL.trainer)
      message.fields(message.end(start), (inner, at) => {
        if (inner === TRAINER.algorithm) algorithm = message.varint(at);
        else if (inner === TRAINER.byteFallback) byteFallback = message.varint(at) !== 0;
        else message.skip(at);
      });
    else if (field === MODEL.normalizer)
      message.fields(message.end(start), (inner, at) => {
        if (inner === NORMALIZER.charsMap) charsMap = message.bytes(at);
        else if (inner === NORMALIZER.addsPrefix) addsPrefix = message.varint(at) !== 0;
        else if (inner === NORMALIZER.removesExtraSpaces) removesExtraSpaces = message.varint(at) !== 0;
        else if (inner === NORMALIZER.escapesSpaces) escapesSpaces = message.varint(at) !== 0;
        else message.skip(at);
      });
    else message.skip(start);
  });
  if (pieces.length === 0) throw message.error("The file holds no pieces.", 0);
  const name = ALGORITHMS.get(algorithm);
  if (name === undefined)
    throw message.error(
      `The vocabulary is of SentencePiece's type ${algorithm}; GGUF holds types 1 (unigram) and 2 (BPE).`,
      0,
    );
  return {
    pieces,
    algorithm: name,
    addsPrefix,
    removesExtraSpaces,
    escapesSpaces,
    byteFallback,
    charsMap,
  };
}

function readPiece(message: Message, start: number): Piece {
  let text = "";
  let score = 0;
  let type: number = pieceType.normal;
  message.fields(message.end(start), (field, at) => {
    if (field === PIECE.text) text = message.text(at);
    else if (field === PIECE.score) score = message.float(at);
    else if (field === PIECE.type) type = message.varint(at);
    else message.skip(at);
  });
  if (type < 1 || type > 6) throw message.error(`A piece is of the unknown type ${type}.`, start);
  if (!Number.isFinite(score)) throw message.error("The score of a piece is not finite.", start);
  return { text, score, type };
}

/** A protobuf message whose every length is checked before it is believed. */
class Message {
  readonly #reader: PbfReader;
  readonly #file: string;

  constructor(bytes: Uint8Array, file: string) {
    this.#reader = new PbfReader(bytes);
    this.#file = file;
  }

  /** Calls `read` at the value of every field up to `end`; it must read or skip the value. */
  fields(end: number, read: (field: number, start: number) => void): void {
    const reader = this.#reader;
    while (reader.pos < end) {
      const start = reader.pos;
      const tag = this.#varint(end);
      reader.type = tag & 7;
      if (tag >>> 3 === 0) throw this.error("A field has the number 0.", start);
      read(tag >>> 3, start);
      if (reader.pos > end) throw this.error("A field reaches beyond the message that holds it.", start);
    }
  }

  /** Where the message of the field that starts here ends. */
  end(start: number): number {
    this.#expect(BYTES, start);
    const length = this.#varint(this.#reader.buf.length);
    const left = this.#reader.buf.length - this.#reader.pos;
    if (length > left) throw this.error(`A field promises ${length} bytes; ${left} are left.`, start);
    return this.#reader.pos + length;
  }

  bytes(start: number): Uint8Array {
    const end = this.end(start);
    const bytes = this.#reader.buf.slice(this.#reader.pos, end);
    this.#reader.pos = end;
    return bytes;
  }

  text(start: number): string {
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(this.bytes(start));
    } catch (cause) {
      if (cause instanceof TypeError) throw this.error("A piece is not UTF-8.", start);
      throw cause;
    }
  }

  float(start: number): number {
    this.#expect(FIXED32, start);
    if (this.#reader.buf.length - this.#reader.pos < 4) throw this.error("The file ends in a number.", start);
    return this.#reader.readFloat();
  }

  varint(start: number): number {
    this.#expect(VARINT, start);
    return this.#varint(this.#reader.buf.length);
  }

  skip(start: number): void {
    const reader = this.#reader;
    const { type } = reader;
    if (type === VARINT) this.#varint(reader.buf.length);
    else if (type === BYTES) reader.pos = this.end(start);
    else if (type === FIXED32 || type === FIXED64) {
      const size = type === FIXED32 ? 4 : 8;
      if (reader.buf.length - reader.pos < size) throw this.error("The file ends in a number.", start);
      reader.pos += size;
    } else throw this.error(`A field is stored in the unknown way ${type}.`, start);
  }

  /** Negative numbers take ten bytes: more is nonsense. */
  #varint(end: number): number {
    const reader = this.#reader;
    const start = reader.pos;
    let last = start;
    while (last < end && reader.buf[last]! >= 0x80) last++;
    if (last - start >= 10) throw this.error("A number is longer than ten bytes.", start);
    if (last >= end) throw this.error("The file ends in a number.", start);
    return reader.readVarint(true);
  }

  #expect(type: number, start: number): void {
    if (this.#reader.type !== type)
      throw this.error(`A field is stored in way ${this.#reader.type}, not ${type}.`, start);
  }

  error(message: string, offset: number): FewbitError {
    return new FewbitError("E_TOKENIZER", message, { file: this.#file, offset }, REMEDY);
  }
}
