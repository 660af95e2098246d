// The options that say how an output is split, for every command that can split one.
import { FewbitError } from "@fewbit/core";
import type { SplitLimit } from "@fewbit/format-gguf";
import { type Command, Option } from "commander";
import { parseSize, wholeNumber } from "./choices.js";

export interface SplitOptions {
  readonly splitMaxSize?: number;
  readonly splitMaxTensors?: number;
  /** False under `--no-tensor-first-split`. */
  readonly tensorFirstSplit?: boolean;
}

export const withSplitOptions = (command: Command): Command =>
  command
    .addOption(
      new Option(
        "--split-max-size <size>",
        "split the output: bytes of tensors in each file, as 500M or 4G (decimal)",
      ).argParser(parseSize),
    )
    .addOption(
      new Option("--split-max-tensors <count>", "split the output: tensors in each file").argParser(
        wholeNumber("--split-max-tensors", 1),
      ),
    )
    .option("--no-tensor-first-split", "of a split output, the first file holds metadata only");

/** Undefined where the output is not to be split. @throws `E_USAGE` */
export function splitLimit(options: SplitOptions): SplitLimit | undefined {
  const { splitMaxSize: maxBytes, splitMaxTensors: maxTensors } = options;
  const emptyFirst = options.tensorFirstSplit === false;
  if (maxBytes === undefined && maxTensors === undefined) {
    if (emptyFirst)
      throw new FewbitError(
        "E_USAGE",
        "--no-tensor-first-split says how to split, and not where.",
        {},
        "Add --split-max-size or --split-max-tensors.",
      );
    return undefined;
  }
  return {
    ...(maxBytes === undefined ? {} : { maxBytes }),
    ...(maxTensors === undefined ? {} : { maxTensors }),
    ...(emptyFirst ? { emptyFirst } : {}),
  };
}
