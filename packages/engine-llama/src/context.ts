import { type ContextOptions, type EngineContext, FewbitError, type TokenBatch } from "@fewbit/core";
import koffi from "koffi";
import { type Handle, pointerBytes, registerEval, values } from "./layout.js";
import type { Library } from "./library.js";
import { Memory } from "./memory.js";
import { Observation } from "./observation.js";

/** Tokens of one micro-batch at most, unless told otherwise: llama.cpp's own default. */
const MICRO_BATCH = 512;

interface Settings extends ContextOptions {
  readonly vocabulary: number;
  readonly path: string;
  readonly threads: number;
  readonly closed: () => void;
}

/** Fused attention rounds keys and values to F16, however they are kept. */
const exactCache = {
  type_k: values.GGML_TYPE_F32,
  type_v: values.GGML_TYPE_F32,
  flash_attn_type: values.LLAMA_FLASH_ATTN_TYPE_DISABLED,
};

export class LlamaContext implements EngineContext {
  readonly size: number;
  readonly #library: Library;
  readonly #handle: Handle;
  readonly #settings: Settings;
  readonly #batch: Batch;
  readonly #observation: Observation | undefined;
  readonly #callback: bigint | undefined;
  /** Of each token of the last batch: which of the rows of logits is its own, or -1. */
  #rows = new Int32Array(0);
  #rowCount = 0;
  /** All rows of the last batch, once they were asked for. */
  #logits: Float32Array | undefined;
  readonly #memory = new Memory();
  #closed = false;

  /** The same settings as those of llama-perplexity and llama-imatrix, so that numbers agree. */
  constructor(library: Library, model: Handle, settings: Settings) {
    const { size, sequences = 1, threads, observe, cache } = settings;
    const batch = settings.batch ?? size;
    const microBatch = settings.microBatch ?? Math.min(batch, MICRO_BATCH);
    this.#library = library;
    this.#settings = settings;
    this.#observation = observe && new Observation(library, observe);
    this.#callback = this.#observation && registerEval(this.#observation.callback);
    library.log.clear();
    const handle = library.llama_init_from_model(model, {
      ...library.llama_context_default_params(),
      n_ctx: size,
      n_batch: batch,
      n_ubatch: microBatch,
      n_seq_max: sequences,
      n_threads: threads,
      n_threads_batch: threads,
      ...(cache === "F32" ? exactCache : {}),
      swa_full: false,
      cb_eval: this.#callback ?? null,
    });
    if (handle === null) {
      this.#release();
      throw new FewbitError(
        "E_ENGINE_LOAD",
        `llama.cpp cannot make a context of ${size} tokens: ${library.log.error() ?? "it does not say why"}`,
        { file: settings.path },
        "Ask for a smaller context, or free some memory.",
      );
    }
    this.#handle = handle;
    this.size = library.llama_n_ctx(handle);
    this.#batch = new Batch(library.llama_n_batch(handle), sequences);
  }

  decode(batch: TokenBatch): void {
    this.#check();
    const { tokens, logits } = batch;
    if (tokens.length === 0 || tokens.length > this.#batch.room)
      throw this.#failed(`${tokens.length} tokens were given; a batch has 1 to ${this.#batch.room}.`);
    for (const [name, array] of Object.entries(batch))
      if (array !== undefined && array.length !== tokens.length)
        throw this.#failed(`${tokens.length} tokens have ${array.length} ${name}.`);
    this.#forget();
    this.#library.log.clear();
    const status = this.#library.llama_decode(this.#handle, this.#batch.fill(batch));
    this.#library.llama_synchronize(this.#handle); // On a GPU it may go on in the background.
    this.#observation?.rethrow();
    if (status === 0) {
      this.#number(tokens.length, logits);
      return;
    }
    const why = this.#library.log.error();
    throw this.#failed(
      status === 1
        ? `there is no room for ${tokens.length} more tokens in a context of ${this.size}.`
        : (why ?? `it answers ${status} and does not say why.`),
    );
  }

  /** Of the last batch: what is computed next, and what fails, overwrites its logits. */
  #forget(): void {
    this.#rows.fill(-1);
    this.#logits = undefined;
  }

  #number(count: number, wanted: Uint8Array | undefined): void {
    if (this.#rows.length < count) this.#rows = new Int32Array(count);
    let row = 0;
    for (let i = 0; i < count; i++)
      this.#rows[i] = (wanted === undefined ? i === count - 1 : wanted[i] !== 0) ? row++ : -1;
    this.#rowCount = row;
  }

  logits(index: number): Float32Array {
    this.#check();
    const row = this.#rows[index] ?? -1;
    if (row < 0) throw this.#failed(`no logits were asked for after token ${index} of the batch.`);
    const { vocabulary } = this.#settings;
    return this.#allLogits().subarray(row * vocabulary, (row + 1) * vocabulary);
  }

  /** The rows lie together. Asking puts them in order, so it is done once for a batch. */
  #allLogits(): Float32Array {
    if (this.#logits !== undefined) return this.#logits;
    const at = this.#library.llama_get_logits(this.#handle);
    if (at === null) throw this.#failed("there are no logits.");
    const length = this.#rowCount * this.#settings.vocabulary;
    this.#logits = new Float32Array(this.#memory.at(at, 4 * length), 0, length);
    return this.#logits;
  }

  clear(): void {
    this.#check();
    this.#forget();
    const memory = this.#library.llama_get_memory(this.#handle);
    if (memory !== null) this.#library.llama_memory_clear(memory, true);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#library.llama_free(this.#handle);
    this.#batch.free();
    this.#release();
    this.#settings.closed();
  }

  #release(): void {
    if (this.#callback !== undefined) koffi.unregister(this.#callback);
  }

  #check(): void {
    if (this.#closed) throw new Error("The context was closed.");
  }

  #failed(what: string): FewbitError {
    return new FewbitError(
      "E_ENGINE_DECODE",
      `llama.cpp cannot compute the batch: ${what}`,
      { file: this.#settings.path },
      "Report it with the command and the model, unless the model is damaged.",
    );
  }
}

/** Room for `llama_batch` outside of JavaScript's heap, where nothing moves. */
class Batch {
  readonly room: number;
  readonly #sequences: number;
  readonly #tokens: Int32Array;
  readonly #positions: Int32Array;
  readonly #logits: Int8Array;
  /** Pointers into `#ids`, which holds 0, 1, 2 …: a token is in one sequence. */
  readonly #sequenceOf: DataView;
  readonly #ids: bigint;
  readonly #addresses: Record<"token" | "pos" | "n_seq_id" | "seq_id" | "logits", bigint>;

  constructor(room: number, sequences: number) {
    this.room = room;
    this.#sequences = sequences;
    const take = (type: string, count: number): bigint => koffi.alloc(type, count) as bigint;
    this.#addresses = {
      token: take("int32_t", room),
      pos: take("int32_t", room),
      n_seq_id: take("int32_t", room),
      seq_id: take("void*", room),
      logits: take("int8_t", room),
    };
    const { token, pos, n_seq_id, seq_id, logits } = this.#addresses;
    this.#tokens = new Int32Array(koffi.view(token, 4 * room));
    this.#positions = new Int32Array(koffi.view(pos, 4 * room));
    new Int32Array(koffi.view(n_seq_id, 4 * room)).fill(1);
    this.#sequenceOf = new DataView(koffi.view(seq_id, pointerBytes * room));
    this.#logits = new Int8Array(koffi.view(logits, room));
    this.#ids = take("int32_t", sequences);
    new Int32Array(koffi.view(this.#ids, 4 * sequences)).forEach((_, i, ids) => {
      ids[i] = i;
    });
  }

  /** The structure as llama.cpp takes it; arrays that are absent are null pointers. */
  fill({ tokens, positions, sequences, logits }: TokenBatch) {
    const at = this.#addresses;
    this.#tokens.set(tokens);
    if (positions !== undefined) this.#positions.set(positions);
    if (logits !== undefined) this.#logits.set(logits);
    sequences?.forEach((sequence, i) => {
      if (sequence < 0 || sequence >= this.#sequences)
        throw new RangeError(`There is no sequence ${sequence}: the context has ${this.#sequences}.`);
      const address = this.#ids + BigInt(4 * sequence);
      if (pointerBytes === 8) this.#sequenceOf.setBigUint64(8 * i, address, true);
      else this.#sequenceOf.setUint32(4 * i, Number(address), true);
    });
    return {
      n_tokens: tokens.length,
      token: at.token,
      embd: null,
      pos: positions === undefined ? null : at.pos,
      n_seq_id: sequences === undefined ? null : at.n_seq_id,
      seq_id: sequences === undefined ? null : at.seq_id,
      logits: logits === undefined ? null : at.logits,
    };
  }

  free(): void {
    for (const address of [...Object.values(this.#addresses), this.#ids]) koffi.free(address);
  }
}
