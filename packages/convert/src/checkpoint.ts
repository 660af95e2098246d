import { FewbitError, type Model } from "@fewbit/core";

/** The files of a checkpoint beside its weights, by their bare names. */
export interface CheckpointFiles {
  /** Undefined where there is no such file. */
  read(name: string): Promise<Uint8Array | undefined>;
  /** How a file is called in messages. */
  path(name: string): string;
}

/** A model as the transformers library keeps it. */
export interface Checkpoint {
  /** What its folder is called, or its address on a hub. */
  readonly name: string;
  /** Its weights as they are stored. */
  readonly model: Model;
  readonly files: CheckpointFiles;
}

/** @throws `E_CHECKPOINT` where the file is missing */
export async function readRequired(files: CheckpointFiles, name: string): Promise<Uint8Array> {
  const bytes = await files.read(name);
  if (bytes !== undefined) return bytes;
  throw new FewbitError(
    "E_CHECKPOINT",
    `The checkpoint has no ${name}.`,
    { file: files.path(name) },
    "Download all files of the model, not only its weights.",
  );
}
