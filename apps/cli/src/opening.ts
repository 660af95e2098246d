// Models that are to be written again: GGUF as it is, checkpoints as what they become.
import { readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type Checkpoint, type CheckpointFiles, convert } from "@fewbit/convert";
import { FewbitError, type Model, type Registry } from "@fewbit/core";
import { openCheckpoint } from "@fewbit/core/node";
import type { Command } from "commander";
import { stemOf } from "./choices.js";

export interface ConversionOptions {
  readonly preTokenizer?: string;
}

export const withConversionOptions = (command: Command): Command =>
  command.option(
    "--pre-tokenizer <name>",
    "of a checkpoint: how llama.cpp splits texts, where that is not found by itself",
  );

export interface Opened {
  readonly model: Model;
  /** Whether it is a checkpoint, and not yet a file of the format it is written in. */
  readonly converted: boolean;
  /** It as it was: weights, settings and tokenizer. */
  readonly checkpoint: Checkpoint;
  /** What files made from it are called after. */
  readonly stem: string;
  /** Files that it was made from, beside those that hold its tensors. */
  readonly inputs: readonly string[];
}

/** @param cwd where files go that are made from a model with an address instead of a path */
export async function openForWriting(
  given: string,
  registry: Registry,
  options: ConversionOptions,
  cwd: string,
): Promise<Opened> {
  const { model, folder } = await openCheckpoint(given, registry).catch(async (thrown: unknown) => {
    throw (await pickled(given)) ?? thrown;
  });
  const { files, taken } = recording(folder);
  const checkpoint = { name: folder.name, model, files };
  if (model.format !== "safetensors") {
    const known = registry.readers.flatMap(({ value }) => value.extensions);
    return { model, converted: false, checkpoint, stem: stemOf(given, known, cwd), inputs: [] };
  }
  const local = model.files[0]?.kind === "file";
  const converted = await convert(checkpoint, registry, options);
  if (local) await files.read(INDEX);
  return {
    model: converted,
    converted: true,
    checkpoint,
    stem: join(local ? join(dirname(folder.path("config.json")), "..") : cwd, folder.name.split("/").at(-1)!),
    inputs: local ? [...taken] : [],
  };
}

/** Says which files the weights are in: the reader of the weights has read it by itself. */
const INDEX = "model.safetensors.index.json";

/** The same files, and the paths of those that were read. */
function recording(files: CheckpointFiles): {
  readonly files: CheckpointFiles;
  readonly taken: ReadonlySet<string>;
} {
  const taken = new Set<string>();
  return {
    taken,
    files: {
      path: (name) => files.path(name),
      async read(name) {
        const bytes = await files.read(name);
        if (bytes !== undefined) taken.add(files.path(name));
        return bytes;
      },
    },
  };
}

/** Of a folder that holds PyTorch's pickles, and so was refused: why, and what to do. */
async function pickled(folder: string): Promise<FewbitError | undefined> {
  const names = await readdir(folder).catch(() => []);
  const pickle = names.find((name) => /\.(bin|ckpt|pth?)$/.test(name));
  if (pickle === undefined || names.some((name) => name.endsWith(".safetensors"))) return undefined;
  return new FewbitError(
    "E_FORMAT_UNSUPPORTED",
    `The checkpoint's weights are in ${pickle}, a PyTorch file. Such files run code where they are opened, and are not read here.`,
    { file: folder },
    "Take a revision with .safetensors files, or save the model as such with the transformers library.",
  );
}
