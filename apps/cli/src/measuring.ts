// What commands that run models have in common: models that the engine takes, and options of perplexity and compare.
import { stat } from "node:fs/promises";
import { basename } from "node:path";
import { FewbitError, isFewbitError, locate, type Model, nameOf, type Registry } from "@fewbit/core";
import { ioError, openModel } from "@fewbit/core/node";
import type { LoadedModel, ProtocolOptions } from "@fewbit/evaluate";
import { fileTypeName, writer } from "@fewbit/format-gguf";
import { type Command, Option } from "commander";
import { parseThreads, wholeNumber } from "./choices.js";
import { countWeights, escapeControls } from "./render.js";
import type { Session } from "./session.js";
import type { Text } from "./text.js";

export interface MeasureOptions {
  readonly data: string;
  readonly ctxSize: number;
  readonly chunks?: number;
  readonly batch?: number;
  readonly threads?: number;
  readonly gpuLayers: number;
}

/**
 * Named as llama-perplexity names them.
 * @param batch what the batch is, with its default
 */
export function withMeasureOptions(command: Command, batch: string): Command {
  const count = (flags: string, least: number, what: string): Option => {
    const option = new Option(flags, what);
    return option.argParser(wholeNumber(option.long!, least));
  };
  return command
    .requiredOption("-d, --data <file>", "the text: plain, UTF-8, not what the model was trained on")
    .addOption(
      count("-c, --ctx-size <tokens>", 4, "tokens of a chunk; its second half is scored").default(512),
    )
    .addOption(count("--chunks <count>", 1, "stop after this many chunks (default: the whole text)"))
    .addOption(count("-b, --batch <tokens>", 1, batch))
    .option("-t, --threads <count>", "threads of the engine (default: half of the machine's)", parseThreads)
    .addOption(count("--gpu-layers <count>", 0, "layers on the GPU").default(0));
}

export const protocolOf = ({
  ctxSize,
  chunks,
  batch,
  threads,
  gpuLayers,
}: MeasureOptions): ProtocolOptions => ({
  context: ctxSize,
  gpuLayers,
  ...(batch === undefined ? {} : { batch }),
  ...(chunks === undefined ? {} : { chunks }),
  ...(threads === undefined ? {} : { threads }),
});

/** A model that the engine can load, and what its header says. */
export interface Runnable {
  /** As it was given. */
  readonly given: string;
  /** Of its first file. */
  readonly path: string;
  /** `general.name`; without one, what the file is called. */
  readonly name: string;
  /** The file without its folder. */
  readonly file: string;
  /** Of all files. */
  readonly bytes: number;
  readonly weights: number;
  /** Tensor bytes × 8 ÷ weights. */
  readonly bitsPerWeight: number;
  /** Whether a character that is no token can be spelled as its bytes. */
  readonly spellsBytes: boolean;
  /** The recipe, or what most weights are stored as: `Q4_K_M`. */
  readonly type: string;
}

/**
 * Reads the header, so that a file that is damaged, cut short or of another kind is refused with its place in words.
 * @throws what `openModel` throws; `E_FORMAT_UNSUPPORTED` for what no engine loads
 */
export async function openRunnable(given: string, registry: Registry, session: Session): Promise<Runnable> {
  const model = await session.stoppable(openModel(given, registry));
  for (const warning of model.warnings) session.note(`warning: ${escapeControls(warning)}`);
  const [first] = model.files;
  if (model.format !== writer.id)
    throw new FewbitError(
      "E_FORMAT_UNSUPPORTED",
      `The model is in the ${model.format} format; the engine runs GGUF.`,
      { file: given },
      "Convert it first: fewbit convert.",
    );
  if (first?.kind !== "file")
    throw new FewbitError(
      "E_FORMAT_UNSUPPORTED",
      "The model is not a file of this machine; the engine runs nothing else.",
      { file: given },
      "Download it first: fewbit download.",
    );
  if (encodesOnly(model))
    throw new FewbitError(
      "E_FORMAT_UNSUPPORTED",
      "The model only encodes: its attention goes to both sides, and it continues no text.",
      { file: given },
      "Give a model that generates text.",
    );
  const weights = model.tensors.reduce((sum, { shape }) => sum + countWeights(shape), 0);
  const tensorBytes = model.tensors.reduce((sum, { bytes }) => sum + bytes, 0);
  const own = entryOf(model, "general.name");
  const file = basename(first.path);
  return {
    given,
    path: first.path,
    name: typeof own === "string" && own !== "" ? own : file.replace(/\.gguf$/i, ""),
    file,
    bytes: await bytesOf(model),
    weights,
    bitsPerWeight: weights === 0 ? 0 : (tensorBytes * 8) / weights,
    spellsBytes: spellsBytes(model),
    type: typeOf(model),
  };
}

const entryOf = ({ metadata }: Model, key: string): unknown =>
  metadata.find((entry) => entry.key === key)?.value;

const encodesOnly = (model: Model): boolean =>
  entryOf(model, `${entryOf(model, "general.architecture")}.attention.causal`) === false;

/** SentencePiece vocabularies have tokens for single bytes, but some were cut down to what one corpus needs. */
function spellsBytes(model: Model): boolean {
  if (entryOf(model, "tokenizer.ggml.model") !== "llama") return true;
  const tokens = entryOf(model, "tokenizer.ggml.tokens");
  if (!Array.isArray(tokens)) return false;
  const known = new Set<unknown>(tokens);
  for (let byte = 0; byte < 256; byte++)
    if (!known.has(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`)) return false;
  return true;
}

async function bytesOf({ files }: Model): Promise<number> {
  let bytes = 0;
  for (const file of files)
    bytes += (
      await stat(nameOf(file)).catch((cause: unknown) => {
        throw ioError(cause, "reading", nameOf(file));
      })
    ).size;
  return bytes;
}

function typeOf(model: Model): string {
  const recorded = entryOf(model, "general.file_type");
  if (typeof recorded === "number") return fileTypeName(recorded);
  const weights = new Map<string, number>();
  for (const { dtype, shape } of model.tensors)
    weights.set(dtype, (weights.get(dtype) ?? 0) + countWeights(shape));
  return [...weights].reduce((most, each) => (each[1] > most[1] ? each : most), ["", 0])[0];
}

/**
 * What a failure has to do with the text. The engine knows the text's tokens, but not its file; and llama.cpp ends where
 * it has no token for a byte, which only the model's header explains.
 *
 * @param data the text's file; undefined where there are several, or none
 * @param reader the model whose tokens the text becomes
 */
export function explain(error: unknown, data: string | undefined, reader: Runnable): unknown {
  const at = data === undefined ? {} : { file: data };
  if (isFewbitError(error, "E_TEXT")) return locate(error, at);
  if (!isFewbitError(error, "E_ENGINE_DIED") || reader.spellsBytes || error.message.includes("SIGKILL"))
    return error;
  return new FewbitError(
    "E_TEXT",
    `The engine ended while it read the text: the vocabulary of ${reader.given} has no tokens for the bytes of ` +
      "characters that it lacks.",
    at,
    "Take accents, typographic quotes and the like out of the text, or convert the model again with all of its vocabulary.",
    error,
  );
}

/** What deserves a word though it is no error. */
export function warnOfContext({ trainedContext }: LoadedModel, context: number, session: Session): void {
  if (context > trainedContext)
    session.note(
      `warning: the model was trained on contexts of ${trainedContext} tokens, and chunks have ${context}`,
    );
}

/** How the text was read: for documents and for reports. */
export const textDocument = (
  { name }: Text,
  { scored, context, chunks }: { readonly scored: number; readonly context: number; readonly chunks: number },
) => ({ name, tokens: scored, context, chunks });
