// How llama-imatrix reads a text: whole chunks, each beginning with BOS, several of them computed together.
import { type EngineModel, FewbitError, type TokenBatch } from "@fewbit/core";
import { type Settings, sequencesOf } from "./settings.js";

/** Chunks, or a part of one, that are computed together. */
export interface Portion {
  /** What was computed before is forgotten first. */
  readonly fresh: boolean;
  readonly batch: TokenBatch;
  /** First of its chunks, from 0, and how many. */
  readonly chunk: number;
  readonly chunks: number;
  /** Of each of its chunks: the position of the first token, and how many. */
  readonly from: number;
  readonly length: number;
}

/** The tokens of a text, divided into chunks. */
export class Reading {
  readonly tokens: Int32Array;
  readonly count: number;
  readonly #settings: Settings;
  readonly #bos: number | undefined;

  /** @throws `E_TEXT` where there is no whole chunk */
  constructor(model: EngineModel, text: string, settings: Settings) {
    const { contextSize, fromChunk, chunks } = settings;
    this.#settings = settings;
    this.#bos = model.addsBos ? model.bos : undefined;
    this.tokens = model.tokenize(text, true, settings.parseSpecial);
    const whole = Math.floor(this.tokens.length / contextSize) - fromChunk;
    if (whole < 1) throw tooShort(this.tokens.length, settings);
    this.count = Math.min(whole, chunks ?? whole);
  }

  /** The token after one of a chunk. */
  next(chunk: number, position: number): number {
    const { contextSize, fromChunk } = this.#settings;
    return this.tokens[(fromChunk + chunk) * contextSize + position + 1]!;
  }

  /** @param done chunks that were read before */
  *portions(done: number): Generator<Portion> {
    const together = sequencesOf(this.#settings);
    const { contextSize, batch } = this.#settings;
    for (let chunk = done; chunk < this.count; chunk += together) {
      const chunks = Math.min(together, this.count - chunk);
      for (let from = 0; from < contextSize; from += batch)
        yield this.#portion(chunk, chunks, from, Math.min(batch, contextSize - from));
    }
  }

  #portion(chunk: number, chunks: number, from: number, length: number): Portion {
    const { contextSize, fromChunk } = this.#settings;
    const tokens = new Int32Array(chunks * length);
    for (let i = 0; i < chunks; i++) {
      const start = (fromChunk + chunk + i) * contextSize + from;
      tokens.set(this.tokens.subarray(start, start + length), i * length);
      if (from === 0 && this.#bos !== undefined) tokens[i * length] = this.#bos;
    }
    const batch = {
      tokens,
      positions: Int32Array.from(tokens, (_, i) => from + (i % length)),
      sequences: Int32Array.from(tokens, (_, i) => Math.floor(i / length)),
      // Of all of them: of the last layer, only what the wanted logits depend on is computed.
      logits: new Uint8Array(tokens.length).fill(1),
    };
    return { fresh: from === 0, batch, chunk, chunks, from, length };
  }
}

function tooShort(tokens: number, { contextSize, fromChunk }: Settings): FewbitError {
  if (tokens < contextSize)
    return new FewbitError(
      "E_TEXT",
      `The text has ${tokens} tokens; one chunk needs ${contextSize}.`,
      {},
      tokens < 16
        ? "Give a longer text."
        : `Give a longer text, or a context size of at most ${tokens} tokens.`,
    );
  return new FewbitError(
    "E_TEXT",
    `The text has ${tokens} tokens, which is ${Math.floor(tokens / contextSize)} chunks of ${contextSize}; ${fromChunk} are to be left out.`,
    {},
    "Leave out fewer chunks, or give a longer text.",
  );
}
