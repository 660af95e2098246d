import { closeSync, openSync } from "node:fs";
import { availableParallelism } from "node:os";
import {
  type ContextOptions,
  type EngineContext,
  type EngineModel,
  FewbitError,
  type LoadOptions,
} from "@fewbit/core";
import { ioError } from "@fewbit/core/node";
import koffi from "koffi";
import { LlamaContext } from "./context.js";
import { type Handle, values } from "./layout.js";
import type { Library } from "./library.js";

const decoder = new TextDecoder();

/** A list of no devices, which leaves everything on the processor; llama.cpp reads up to the null pointer. */
let noDevices: bigint | undefined;

/** @throws `E_IO` where the file cannot be read at all, `E_ENGINE_LOAD` with what llama.cpp said */
export function loadModel(library: Library, path: string, options: LoadOptions): EngineModel {
  const { gpuLayers = 0, vocabularyOnly = false } = options;
  try {
    closeSync(openSync(path, "r"));
  } catch (cause) {
    throw ioError(cause, "opening", path);
  }
  noDevices ??= emptyList();
  library.log.clear();
  const handle = library.llama_model_load_from_file(path, {
    ...library.llama_model_default_params(),
    n_gpu_layers: gpuLayers,
    devices: gpuLayers === 0 ? noDevices : null,
    vocab_only: vocabularyOnly,
  });
  if (handle === null)
    throw new FewbitError(
      "E_ENGINE_LOAD",
      `llama.cpp cannot load the model: ${library.log.error() ?? "it does not say why"}`,
      { file: path },
      "Check that the file is whole, with `fewbit inspect`, and that this release of llama.cpp knows its architecture.",
    );
  return new LlamaModel(library, handle, path, vocabularyOnly);
}

function emptyList(): bigint {
  const list = koffi.alloc("void*", 1) as bigint;
  koffi.encode(list, "void*", null);
  return list;
}

class LlamaModel implements EngineModel {
  readonly path: string;
  readonly description: string;
  readonly parameters: number;
  readonly bytes: number;
  readonly vocabulary: number;
  readonly trainedContext: number;
  readonly embedding: number;
  readonly layers: number;
  readonly addsBos: boolean;
  readonly addsEos: boolean;
  readonly bos: number | undefined;
  readonly eos: number | undefined;

  readonly #library: Library;
  readonly #handle: Handle;
  readonly #vocabulary: Handle;
  readonly #vocabularyOnly: boolean;
  readonly #contexts = new Set<LlamaContext>();
  #closed = false;

  constructor(library: Library, handle: Handle, path: string, vocabularyOnly: boolean) {
    this.#library = library;
    this.#handle = handle;
    this.#vocabulary = library.llama_model_get_vocab(handle);
    this.#vocabularyOnly = vocabularyOnly;
    const token = (id: number): number | undefined => (id === values.LLAMA_TOKEN_NULL ? undefined : id);
    this.path = path;
    this.description = grow(256, (text) => {
      const length = library.llama_model_desc(handle, text, text.length);
      return length < text.length ? length : -length - 1;
    });
    this.parameters = Number(library.llama_model_n_params(handle));
    this.bytes = Number(library.llama_model_size(handle));
    this.vocabulary = library.llama_vocab_n_tokens(this.#vocabulary);
    this.trainedContext = library.llama_model_n_ctx_train(handle);
    this.embedding = library.llama_model_n_embd(handle);
    this.layers = library.llama_model_n_layer(handle);
    this.addsBos = library.llama_vocab_get_add_bos(this.#vocabulary);
    this.addsEos = library.llama_vocab_get_add_eos(this.#vocabulary);
    this.bos = token(library.llama_vocab_bos(this.#vocabulary));
    this.eos = token(library.llama_vocab_eos(this.#vocabulary));
  }

  token(id: number): string {
    this.#needVocabulary();
    if (!Number.isInteger(id) || id < 0 || id >= this.vocabulary)
      throw new RangeError(`There is no token ${id}: the vocabulary has ${this.vocabulary}.`);
    return this.#library.llama_vocab_get_text(this.#vocabulary, id);
  }

  tokenize(text: string, special: boolean, parse: boolean): Int32Array {
    this.#needVocabulary();
    const bytes = Buffer.from(text, "utf8");
    const count = (tokens: Int32Array): number =>
      this.#library.llama_tokenize(
        this.#vocabulary,
        bytes,
        bytes.length,
        tokens,
        tokens.length,
        special,
        parse,
      );
    // Mostly fewer tokens than bytes, and the ones that are added.
    const tokens = new Int32Array(bytes.length + 2);
    const first = count(tokens);
    if (first >= 0) return tokens.slice(0, first);
    const roomy = new Int32Array(-first);
    return roomy.slice(0, count(roomy));
  }

  detokenize(tokens: ArrayLike<number>): string {
    this.#needVocabulary();
    const ids = Int32Array.from(tokens);
    return grow(ids.length * 8 + 16, (text) =>
      this.#library.llama_detokenize(this.#vocabulary, ids, ids.length, text, text.length, false, true),
    );
  }

  applyTemplate(
    messages: readonly { readonly role: string; readonly content: string }[],
    prompt: boolean,
  ): string | undefined {
    this.#check();
    const template = this.#library.llama_model_chat_template(this.#handle, null);
    if (template === null) return undefined;
    const apply = (text: Uint8Array): number =>
      this.#library.llama_chat_apply_template(template, messages, messages.length, prompt, text, text.length);
    const text = new Uint8Array(messages.reduce((sum, { content }) => sum + 4 * content.length + 256, 256));
    const length = apply(text);
    if (length < 0) return undefined; // Not one of those that llama.cpp knows by heart.
    if (length <= text.length) return decoder.decode(text.subarray(0, length));
    const roomy = new Uint8Array(length);
    return decoder.decode(roomy.subarray(0, apply(roomy)));
  }

  context(options: ContextOptions): EngineContext {
    this.#check();
    if (this.#vocabularyOnly) throw new Error(`${this.path} was loaded for its vocabulary only.`);
    if (this.#library.llama_model_has_encoder(this.#handle))
      throw new FewbitError(
        "E_ENGINE_LOAD",
        `The model is an encoder (${this.description}): it does not continue texts.`,
        { file: this.path },
        "Use a model that generates text.",
      );
    const context = new LlamaContext(this.#library, this.#handle, {
      ...options,
      vocabulary: this.vocabulary,
      path: this.path,
      threads: options.threads ?? Math.max(1, availableParallelism() >> 1),
      closed: () => this.#contexts.delete(context),
    });
    this.#contexts.add(context);
    return context;
  }

  close(): void {
    if (this.#closed) return;
    for (const context of [...this.#contexts]) context.close();
    this.#closed = true;
    this.#library.llama_model_free(this.#handle);
  }

  /** llama.cpp ends the process where there is none. */
  #needVocabulary(): void {
    this.#check();
    if (this.#library.llama_vocab_type(this.#vocabulary) === values.LLAMA_VOCAB_TYPE_NONE)
      throw new FewbitError(
        "E_ENGINE_LOAD",
        "The model has no vocabulary: it cannot read or write texts.",
        { file: this.path },
        "Use a file with its tokenizer, or give it numbers of tokens.",
      );
  }

  #check(): void {
    if (this.#closed) throw new Error(`${this.path} was closed.`);
  }
}

/** A text from a function that answers its length in bytes, or minus the length where there was not room enough. */
function grow(room: number, fill: (text: Uint8Array) => number): string {
  const text = new Uint8Array(room);
  const length = fill(text);
  if (length >= 0) return decoder.decode(text.subarray(0, length));
  const roomy = new Uint8Array(-length);
  return decoder.decode(roomy.subarray(0, Math.max(0, fill(roomy))));
}
