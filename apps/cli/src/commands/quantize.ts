import {
  FewbitError,
  type ImportanceMatrix,
  type Model,
  type RecipeOptions,
  type Registry,
} from "@fewbit/core";
import { openFile } from "@fewbit/core/node";
import { checkImportance, filterImportance, pruneLayers, schemeRecipe } from "@fewbit/format-gguf";
import { type Command, Option } from "commander";
import { type CheckOptions, check } from "../checking.js";
import { chooseRecipe, parseLayers, parseTensorType, readArguments, type TensorType } from "../choices.js";
import { openImportance } from "../importance.js";
import { type ConversionOptions, type Opened, openForWriting, withConversionOptions } from "../opening.js";
import { type ProductionOptions, produce, repeatable, withProductionOptions } from "../production.js";
import { escapeControls, listNames } from "../render.js";
import {
  type CommonOptions,
  examples,
  openSession,
  type Session,
  type Surroundings,
  withCommonOptions,
} from "../session.js";

interface QuantizeOptions extends CommonOptions, ProductionOptions, ConversionOptions, CheckOptions {
  readonly type?: string;
  readonly output?: string;
  readonly imatrix?: string;
  readonly includeWeights?: readonly string[];
  readonly excludeWeights?: readonly string[];
  readonly tensorType?: readonly TensorType[];
  readonly tensorTypeFile?: string;
  readonly outputTensorType?: string;
  readonly tokenEmbeddingType?: string;
  readonly leaveOutputTensor?: boolean;
  readonly pure?: boolean;
  readonly allowRequantize?: boolean;
  readonly keepSplit?: boolean;
  readonly pruneLayers?: readonly number[];
}

const HELP = `
Any recipe or scheme of "fewbit recipes" and "fewbit schemes" is a type. The words of llama-quantize are
understood too: fewbit quantize <model> [output] <type> [threads].

A checkpoint is converted on the way, with nothing written in between: see fewbit convert --help.

The output appears under its name only when it is complete. Without a name it is <model>-<TYPE>.gguf beside
the model. The first Ctrl-C stops the run and leaves nothing behind.
${examples(
  "fewbit quantize model-f16.gguf --type Q4_K_M",
  "fewbit quantize path/to/checkpoint --type Q4_K_M",
  "fewbit quantize model-f16.gguf small.gguf --type Q5_K_S --threads 4",
  "fewbit quantize model-f16.gguf --type Q2_K_S --imatrix model.imatrix.gguf",
  "fewbit quantize model-f16.gguf --type Q4_K_M --tensor-type 'ffn_down=Q6_K' --tensor-type 'attn_v=Q8_0'",
  "fewbit quantize model-f16.gguf --type Q8_0 --split-max-size 4G",
  "fewbit quantize model-f16.gguf --type Q4_K_M --dry-run",
)}`;

export function addQuantize(program: Command, world: Surroundings): void {
  const command = program
    .command("quantize")
    .description("Write a smaller copy of a model.")
    .argument(
      "<model>",
      "a GGUF file in F32, F16 or BF16 (of a split model the first), the folder of a checkpoint, or an address of either",
    )
    .argument("[output...]", "the file to write; or --output")
    .option("-t, --type <type>", "what to make: Q4_K_M, Q8_0, …")
    .option("-o, --output <file>", "the file to write")
    .option("--imatrix <file>", "importance matrix, as llama-imatrix writes it")
    .addOption(
      repeatable("--include-weights <name>", "use importance only for tensors whose name holds this"),
    )
    .addOption(repeatable("--exclude-weights <name>", "use no importance for tensors whose name holds this"))
    .addOption(
      new Option(
        "--tensor-type <expression=type>",
        "type of the tensors whose name matches; first match wins (repeatable)",
      ).argParser((value: string, previous: readonly TensorType[] = []) => [
        ...previous,
        parseTensorType(value),
      ]),
    )
    .option("--tensor-type-file <file>", "a file of such pairs, separated by spaces or newlines")
    .option("--output-tensor-type <type>", "type of output.weight")
    .option("--token-embedding-type <type>", "type of the token embeddings")
    .option("--leave-output-tensor", "leave output.weight as it is")
    .option("--pure", "the same type for every tensor, no mix")
    .option("--allow-requantize", "accept a model that is quantized already, at a loss")
    .addOption(
      new Option("--keep-split", "write as many files as the model has").conflicts([
        "splitMaxSize",
        "splitMaxTensors",
      ]),
    )
    .option("--prune-layers <numbers>", "leave out layers: 20,21,22", parseLayers)
    .option("--check", "of a checkpoint: compare the conversion with it, as fewbit convert --check");
  withCommonOptions(withConversionOptions(withProductionOptions(command)))
    .addHelpText("after", HELP)
    .action(async (path: string, rest: string[], options: QuantizeOptions) => {
      await quantize(path, rest, options, openSession(world, options));
    });
}

async function quantize(
  path: string,
  rest: readonly string[],
  options: QuantizeOptions,
  session: Session,
): Promise<void> {
  const registry = await session.registry(path);
  const given = readArguments(rest, options.type, (word) => isType(word, registry));
  if (given.output !== undefined && options.output !== undefined)
    throw new FewbitError(
      "E_USAGE",
      `The output is named twice: ${given.output} and ${options.output}.`,
      {},
      "Name it once.",
    );
  const recipe = chooseRecipe(given.type, registry, schemeRecipe);
  const opened = await session.stoppable(openForWriting(path, registry, options, session.cwd));
  if (options.keepSplit === true) refuseKeepSplit(opened, path);
  if (options.check === true && !opened.converted)
    throw new FewbitError(
      "E_USAGE",
      "--check compares what was converted from a checkpoint; the model is GGUF already.",
      { file: path },
      "Leave it out; fewbit error and fewbit compare tell what quantization costs.",
    );
  const matrix = await session.stoppable(readMatrix(options));
  const { model, importance: renamed } = pruneLayers(opened.model, options.pruneLayers ?? [], matrix);
  const choices = await recipeOptions(options, registry);
  const importance = renamed === undefined ? undefined : fitImportance(model, renamed, choices, session);
  for (const warning of importance?.warnings ?? []) session.note(`warning: ${escapeControls(warning)}`);
  await produce(
    {
      model,
      recipe,
      context: { options: choices, ...(importance === undefined ? {} : { importance }) },
      registry,
      output: given.output ?? options.output,
      stem: opened.stem,
      inputs: [...opened.inputs, options.imatrix, options.tensorTypeFile].filter(
        (file) => file !== undefined,
      ),
      ...(options.check === true
        ? { check: ([path]) => check(path!, opened, registry, options, session) }
        : {}),
    },
    {
      ...options,
      ...(options.threads === undefined && given.threads !== undefined ? { threads: given.threads } : {}),
    },
    session,
  );
}

/** A checkpoint's tensors lie where they please; the output's files cannot follow them. */
function refuseKeepSplit({ converted }: Opened, file: string): void {
  if (converted)
    throw new FewbitError(
      "E_USAGE",
      "--keep-split keeps the files of a GGUF model, and this is a checkpoint.",
      { file },
      "Use --split-max-size or --split-max-tensors.",
    );
}

function isType(word: string, registry: Registry): boolean {
  const id = word.slice(word.lastIndexOf(":") + 1).toUpperCase();
  return [...registry.recipes, ...registry.schemes].some(({ value }) => value.id.toUpperCase() === id);
}

/** Schemes are checked here, so that a misspelt one is an error even where no tensor would get it. */
async function recipeOptions(options: QuantizeOptions, registry: Registry): Promise<RecipeOptions> {
  const scheme = (id: string): string => {
    const { value } = registry.scheme(id);
    return id.includes(":") ? id : value.id;
  };
  const patterns = [
    ...(options.tensorType ?? []),
    ...(options.tensorTypeFile === undefined ? [] : await readTensorTypes(options.tensorTypeFile)),
  ];
  return {
    ...(options.pure ? { pure: true } : {}),
    ...(options.leaveOutputTensor ? { leaveOutputTensor: true } : {}),
    ...(options.keepSplit ? { keepSplit: true } : {}),
    ...(options.outputTensorType === undefined ? {} : { outputTensorType: scheme(options.outputTensorType) }),
    ...(options.tokenEmbeddingType === undefined
      ? {}
      : { tokenEmbeddingType: scheme(options.tokenEmbeddingType) }),
    ...(patterns.length === 0
      ? {}
      : { tensorTypes: patterns.map((each) => ({ pattern: each.pattern, scheme: scheme(each.scheme) })) }),
  };
}

/** @throws `E_IO`, `E_USAGE` */
async function readTensorTypes(file: string): Promise<TensorType[]> {
  const source = await openFile(file);
  const bytes = new Uint8Array(source.size);
  await source.read(0, bytes).finally(() => source.close());
  return new TextDecoder()
    .decode(bytes)
    .split(/\s+/)
    .filter((word) => word !== "")
    .map(parseTensorType);
}

/** The importance matrix that was named, without the entries that are not to be used. */
async function readMatrix(options: QuantizeOptions): Promise<ImportanceMatrix | undefined> {
  const { imatrix, includeWeights: include = [], excludeWeights: exclude = [] } = options;
  if (imatrix === undefined) {
    const useless =
      include.length > 0 ? "--include-weights" : exclude.length > 0 ? "--exclude-weights" : undefined;
    if (useless !== undefined)
      throw new FewbitError(
        "E_USAGE",
        `${useless} says how to use an importance matrix, and there is none.`,
        {},
        "Add --imatrix <file>.",
      );
    return undefined;
  }
  return filterImportance(await openImportance(imatrix), { include, exclude });
}

/** Tensors that the matrix forgets are quantized without it, as llama-quantize does; the user should know. */
function fitImportance(
  model: Model,
  given: ImportanceMatrix,
  options: RecipeOptions,
  session: Session,
): ImportanceMatrix {
  const { matrix, missing } = checkImportance(model, given, options);
  if (missing.length > 0)
    session.note(
      `warning: the importance matrix has no entry for ${missing.length} tensors, which are quantized without: ` +
        escapeControls(listNames(missing)),
    );
  return matrix;
}
