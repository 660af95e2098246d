import {
  FewbitError,
  type FormatWriter,
  type ImportanceMatrix,
  type MetadataEntry,
  type Model,
  makePlan,
  type Plan,
  type PlanSummary,
  type Recipe,
  type RecipeOptions,
  type Registry,
  summarise,
} from "@fewbit/core";
import { openFile, openModel, type Written, writeModel } from "@fewbit/core/node";
import {
  applyOverrides,
  checkImportance,
  filterImportance,
  parseOverride,
  pruneLayers,
  schemeRecipe,
  splitBy,
  splitting,
} from "@fewbit/format-gguf";
import { type Command, Option } from "commander";
import {
  chooseRecipe,
  defaultOutput,
  parseLayers,
  parseTensorType,
  parseThreads,
  readArguments,
  type TensorType,
} from "../choices.js";
import { openImportance } from "../importance.js";
import { runnerOf } from "../plugins.js";
import { follow } from "../progress.js";
import {
  countWeights,
  escapeControls,
  formatBits,
  formatBytes,
  formatCount,
  formatDuration,
  formatShape,
  listNames,
  table,
} from "../render.js";
import {
  type CommonOptions,
  collect,
  examples,
  openSession,
  type Session,
  type Surroundings,
  withCommonOptions,
} from "../session.js";
import { type SplitOptions, splitLimit, withSplitOptions } from "../splitting.js";

interface QuantizeOptions extends CommonOptions, SplitOptions {
  readonly type?: string;
  readonly threads?: number;
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
  readonly overrideKv?: readonly string[];
  readonly pruneLayers?: readonly number[];
  readonly nonfinite?: "zero";
  readonly dryRun?: boolean;
  readonly force?: boolean;
}

const HELP = `
Any recipe or scheme of "fewbit recipes" and "fewbit schemes" is a type. The words of llama-quantize are
understood too: fewbit quantize <model> [output] <type> [threads].

The output appears under its name only when it is complete. Without a name it is <model>-<TYPE>.gguf beside
the model. The first Ctrl-C stops the run and leaves nothing behind.
${examples(
  "fewbit quantize model-f16.gguf --type Q4_K_M",
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
      "a GGUF file in F32, F16 or BF16 (of a split model the first), or its http(s) address",
    )
    .argument("[output...]", "the file to write")
    .option("-t, --type <type>", "what to make: Q4_K_M, Q8_0, …")
    .option("--dry-run", "print what every tensor would become, and write nothing")
    .option("--force", "replace an existing output")
    .option("--threads <count>", "worker threads (default: one per core)", parseThreads)
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
    .addOption(repeatable("--override-kv <KEY=TYPE:VALUE>", "set metadata; TYPE is int, float, bool or str"))
    .option("--prune-layers <numbers>", "leave out layers: 20,21,22", parseLayers)
    .addOption(
      new Option(
        "--nonfinite <action>",
        "replace NaN and infinite weights by zero, and count them; else they stop the run",
      ).choices(["zero"]),
    );
  withCommonOptions(withSplitOptions(command))
    .addHelpText("after", HELP)
    .action(async (path: string, rest: string[], options: QuantizeOptions) => {
      await quantize(path, rest, options, openSession(world, options));
    });
}

const repeatable = (flags: string, description: string): Option =>
  new Option(flags, `${description} (repeatable)`).argParser(collect);

async function quantize(
  path: string,
  rest: readonly string[],
  options: QuantizeOptions,
  session: Session,
): Promise<void> {
  const registry = await session.registry(path);
  const given = readArguments(rest, options.type, (word) => isType(word, registry));
  const limit = splitLimit(options);
  const whole = withOverrides(
    chooseRecipe(given.type, registry, schemeRecipe),
    (options.overrideKv ?? []).map(parseOverride),
  );
  const recipe = limit === undefined ? whole : splitting(whole);

  const original = await session.stoppable(openModel(path, registry));
  refuseUnconverted(original, path);
  const matrix = await session.stoppable(readMatrix(options));
  const { model, importance: renamed } = pruneLayers(original, options.pruneLayers ?? [], matrix);
  const choices = await recipeOptions(options, registry);
  const importance = renamed === undefined ? undefined : fitImportance(model, renamed, choices, session);
  for (const warning of [...model.warnings, ...(importance?.warnings ?? [])])
    session.note(`warning: ${escapeControls(warning)}`);
  const context = { options: choices, ...(importance === undefined ? {} : { importance }) };

  const output = given.output ?? defaultName(path, recipe, model, registry, session.cwd);
  const writer = writerFor(output, model, registry);
  const planned = makePlan({
    model,
    recipe,
    context,
    registry,
    writer,
    allowRequantize: options.allowRequantize ?? false,
    ...(limit === undefined ? {} : { assignFiles: splitBy(limit) }),
  });
  if (options.dryRun) return printPlan(planned.plan, output, session);

  const threads = options.threads ?? given.threads;
  const run = writeModel({
    ...planned,
    model,
    registry,
    writer,
    runner: runnerOf(registry),
    path: output,
    signal: session.signal,
    force: options.force ?? false,
    ...(importance === undefined ? {} : { importance }),
    inputs: [options.imatrix, options.tensorTypeFile].filter((file) => file !== undefined),
    ...(options.nonfinite === undefined ? {} : { nonfinite: options.nonfinite }),
    ...(threads === undefined ? {} : { threads }),
  });
  const start = performance.now();
  const written = await follow(run, session);
  printSummary(planned.plan, written, performance.now() - start, session);
}

/** Recipes choose by the names and metadata of GGUF, and another format's model has neither. */
function refuseUnconverted({ format }: Model, file: string): void {
  if (format === "gguf") return;
  throw new FewbitError(
    "E_FORMAT_UNSUPPORTED",
    `The model is in the ${format} format, which can be inspected and not yet be quantized: there is no converter to GGUF here.`,
    { file },
    "Convert it to GGUF in F16 or BF16 first, such as with llama.cpp's convert_hf_to_gguf.py, and quantize that.",
  );
}

/** The same recipe, with metadata of the user's own. */
function withOverrides(recipe: Recipe, overrides: readonly MetadataEntry[]): Recipe {
  if (overrides.length === 0) return recipe;
  return {
    ...recipe,
    assign: (model, context) => recipe.assign(model, context),
    metadata: (model, context) =>
      applyOverrides(recipe.metadata?.(model, context) ?? model.metadata, overrides),
  };
}

function isType(word: string, registry: Registry): boolean {
  const id = word.slice(word.lastIndexOf(":") + 1).toUpperCase();
  return [...registry.recipes, ...registry.schemes].some(({ value }) => value.id.toUpperCase() === id);
}

/** What a plan is, for people: every tensor with its reason, then the totals. */
function printPlan(plan: Plan, output: string, session: Session): void {
  const summary = summarise(plan);
  session.document({ output, plan, summary: summaryDocument(summary) });
  const rows = plan.tensors.map((tensor) => {
    const bytes = tensor.to.parts.reduce((sum, part) => sum + part.bytes, 0);
    return [
      tensor.name,
      formatShape(tensor.shape),
      tensor.from.dtype,
      tensor.to.dtype,
      formatBytes(bytes),
      formatBits(bytes, countWeights(tensor.shape)),
      tensor.reason,
    ];
  });
  session.print(
    table(
      [
        { title: "TENSOR" },
        { title: "SHAPE" },
        { title: "FROM" },
        { title: "TO" },
        { title: "SIZE", align: "right" },
        { title: "BITS", align: "right" },
        { title: "REASON" },
      ],
      rows,
    ),
  );
  session.print(
    `\n${escapeControls(output)} would be written: ${totalsText(plan, summary)}\n${typesText(summary)}`,
  );
}

function printSummary(plan: Plan, written: Written, milliseconds: number, session: Session): void {
  const summary = summarise(plan);
  const seconds = milliseconds / 1000;
  session.document({
    output: written.paths,
    recipe: plan.recipe,
    seconds,
    weightsPerSecond: summary.weights / seconds,
    zeroed: written.zeroed,
    summary: summaryDocument(summary),
  });
  if (session.quiet) return;
  session.print(
    [
      ...written.paths.map(escapeControls),
      totalsText(plan, summary),
      typesText(summary),
      `${formatDuration(milliseconds)}, ${formatCount(summary.weights / seconds)} weights/s`,
      ...(written.zeroed > 0 ? [zeroedText(written.zeroed)] : []),
    ].join("\n"),
  );
}

const zeroedText = (count: number): string =>
  `${count} ${count === 1 ? "weight was" : "weights were"} NaN or infinite and became zero`;

const totalsText = (plan: Plan, summary: PlanSummary): string =>
  `${plan.recipe}, ${formatCount(summary.weights)} weights, ${formatBytes(summary.bytesBefore)} → ` +
  `${formatBytes(summary.bytesAfter)}, ${summary.bitsPerWeightBefore.toFixed(3)} → ` +
  `${summary.bitsPerWeight.toFixed(3)} bits per weight; ${formatBytes(summary.fileBytes)} with the header`;

const typesText = (summary: PlanSummary): string =>
  [...summary.types]
    .sort(([, a], [, b]) => b.bytes - a.bytes)
    .map(([type, { tensors, bytes }]) => `${tensors} × ${type} (${formatBytes(bytes)})`)
    .join(", ");

const summaryDocument = (summary: PlanSummary) => ({ ...summary, types: Object.fromEntries(summary.types) });

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

function defaultName(path: string, recipe: Recipe, model: Model, registry: Registry, cwd: string): string {
  const { extensions } = writerFor("", model, registry);
  const known = registry.readers.flatMap(({ value }) => value.extensions);
  return defaultOutput(path, recipe.id, extensions[0]!, known, cwd);
}

/** By the output's extension; a name without one is written in the model's own format. */
function writerFor(output: string, model: Model, registry: Registry): FormatWriter {
  const byName = registry.writers.find(({ value }) => value.extensions.some((each) => output.endsWith(each)));
  return (byName ?? registry.writers.find(({ value }) => value.id === model.format) ?? registry.writers[0]!)
    .value;
}
