import { autoOuttype, outtypeRecipe, outtypes } from "@fewbit/convert";
import { FewbitError, type Model, type Recipe, type Registry } from "@fewbit/core";
import { schemeRecipe } from "@fewbit/format-gguf";
import type { Command } from "commander";
import { type CheckOptions, check, withCheckOptions } from "../checking.js";
import { chooseRecipe } from "../choices.js";
import { type ConversionOptions, openForWriting, withConversionOptions } from "../opening.js";
import { type ProductionOptions, produce, withProductionOptions } from "../production.js";
import {
  type CommonOptions,
  examples,
  openSession,
  type Session,
  type Surroundings,
  withCommonOptions,
} from "../session.js";

interface ConvertOptions extends CommonOptions, ProductionOptions, ConversionOptions, CheckOptions {
  readonly output?: string;
  readonly outtype: string;
}

const AUTO = "auto";

const HELP = `
A checkpoint is what the transformers library keeps: config.json, a tokenizer, and weights in safetensors files.
--outtype f32, f16, bf16 and q8_0 give the file that llama.cpp's convert_hf_to_gguf.py would write; auto is the half
that the weights are stored in. Any other type of "fewbit recipes" is what fewbit quantize makes of it.

Nothing is written in between: tensors are read from the checkpoint, turned as GGUF has them, and written in their
place. Without a name the output is <checkpoint>-<TYPE>.gguf beside its folder.

At the end some thousand texts of all scripts and kinds go through the checkpoint's own tokenizer and, by llama.cpp,
through that of the output, and conversations through the chat template of both. Differences that llama.cpp makes
whatever a file says are told with their reason; any other is an error under --check.
${examples(
  "fewbit convert path/to/checkpoint",
  "fewbit convert path/to/checkpoint -o model.gguf --outtype bf16",
  "fewbit convert path/to/checkpoint --outtype Q4_K_M",
  "fewbit convert path/to/checkpoint --outtype q8_0 --split-max-size 4G",
  "fewbit convert path/to/checkpoint --check",
  "fewbit convert path/to/checkpoint --dry-run",
)}`;

export function addConvert(program: Command, world: Surroundings): void {
  const command = program
    .command("convert")
    .description("Write a checkpoint of the transformers library as GGUF.")
    .argument("<checkpoint>", "its folder, or its address")
    .option("-o, --output <file>", "the file to write")
    .option("--outtype <type>", "f32, f16, bf16, q8_0, or any type of fewbit quantize", AUTO);
  withCommonOptions(withCheckOptions(withConversionOptions(withProductionOptions(command))))
    .addHelpText("after", HELP)
    .action(async (path: string, options: ConvertOptions) => {
      await convertCheckpoint(path, options, openSession(world, options));
    });
}

async function convertCheckpoint(path: string, options: ConvertOptions, session: Session): Promise<void> {
  const registry = await session.registry(path);
  const recipeOf = outtypeOf(options.outtype, registry);
  const { model, converted, checkpoint, stem, inputs } = await session.stoppable(
    openForWriting(path, registry, options, session.cwd),
  );
  if (!converted)
    throw new FewbitError(
      "E_FORMAT_UNSUPPORTED",
      "The model is GGUF already.",
      { file: path },
      "Give the folder of a checkpoint, or use fewbit quantize.",
    );
  const recipe = recipeOf(model);
  await produce(
    {
      model,
      recipe,
      context: { options: {} },
      registry,
      output: options.output,
      stem,
      inputs,
      check: ([path]) => check(path!, { checkpoint, model }, registry, options, session),
    },
    options,
    session,
  );
}

/** Known before the model is: a misspelt type is told at once. */
function outtypeOf(given: string, registry: Registry): (model: Model) => Recipe {
  const type = given.toUpperCase();
  if (type === AUTO.toUpperCase()) return (model) => outtypeRecipe(autoOuttype(model));
  const recipe = outtypes.has(type) ? outtypeRecipe(type) : chooseRecipe(given, registry, schemeRecipe);
  return () => recipe;
}
