import { FewbitError, type Model, nameOf } from "@fewbit/core";
import { openModel } from "@fewbit/core/node";
import { type Comparison, compareModels, type TensorComparison, type Total } from "@fewbit/evaluate";
import { checkImportance } from "@fewbit/format-gguf";
import { type Command, Option } from "commander";
import { parseThreads } from "../choices.js";
import { distributionOf } from "../distribution.js";
import { openImportance } from "../importance.js";
import { openForWriting } from "../opening.js";
import { runnerOf } from "../plugins.js";
import { follow } from "../progress.js";
import {
  type Column,
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
  checkReportOptions,
  commandLine,
  openReport,
  type ReportOptions,
  withReportOptions,
} from "../report-file.js";
import {
  type CommonOptions,
  examples,
  openSession,
  type Session,
  type Surroundings,
  withCommonOptions,
} from "../session.js";
import { worstTensor } from "../weight-errors.js";

type Metrics = TensorComparison["metrics"];

/** How bad a tensor is in one figure: the higher, the worse. */
const orders = {
  sqnr: ({ sqnr }) => -sqnr,
  "weighted-sqnr": ({ weightedSqnr = Number.POSITIVE_INFINITY }) => -weightedSqnr,
  rmse: ({ rmse }) => rmse,
  "max-error": ({ maxError }) => maxError,
  cosine: ({ cosine }) => -cosine,
} as const satisfies Record<string, (metrics: Metrics) => number>;

type Order = keyof typeof orders;

interface ErrorOptions extends CommonOptions, ReportOptions {
  readonly imatrix?: string;
  readonly sort?: Order;
  readonly threads?: number;
  readonly nonfinite?: "zero";
}

/** How many of the worst tensors are named below the table. */
const WORST = 3;

const HELP = `
SQNR is the signal-to-quantization-noise ratio: 10·log10(Σx² / Σ(x - y)²), with x a weight of the original
and y the same weight of the other model. Higher is better, and one bit more is about 6 dB. With an importance
matrix, WEIGHTED counts each column as much as it matters to what the tensor puts out.
${examples(
  "fewbit error model-f16.gguf model-Q4_K_M.gguf",
  "fewbit error path/to/checkpoint model-Q4_K_M.gguf",
  "fewbit error model-f16.gguf model-Q4_K_M.gguf --sort sqnr",
  "fewbit error model-f16.gguf model-Q2_K.gguf --imatrix model.imatrix.gguf",
  "fewbit error model-f16.gguf model-Q4_K_M.gguf --report report.html",
  "fewbit error model-Q4_K_M.gguf model-Q4_K_S.gguf --json",
)}`;

export function addError(program: Command, world: Surroundings): void {
  const command = program
    .command("error")
    .description("Show what quantization did to the weights: the error of every tensor, and in total.")
    .argument("<original>", "a model file, the folder of a checkpoint, or an address of either")
    .argument("<quantized>", "another version of the same model")
    .addOption(
      new Option(
        "--sort <figure>",
        "worst tensors first, by this figure (default: the model's order)",
      ).choices(Object.keys(orders)),
    )
    .option("--imatrix <file>", "importance matrix, for the error weighted by it")
    .option("--threads <count>", "worker threads (default: one per core)", parseThreads)
    .addOption(
      new Option(
        "--nonfinite <action>",
        "take NaN and infinite weights for zero, and count them; else they stop the run",
      ).choices(["zero"]),
    );
  withCommonOptions(withReportOptions(command))
    .addHelpText("after", HELP)
    .action(async (original: string, quantized: string, options: ErrorOptions) => {
      await compare(original, quantized, options, openSession(world, options), commandLine(command));
    });
}

async function compare(
  originalPath: string,
  quantizedPath: string,
  options: ErrorOptions,
  session: Session,
  line: string,
): Promise<void> {
  const { sort, threads, nonfinite, report } = options;
  if (sort === "weighted-sqnr" && options.imatrix === undefined)
    throw new FewbitError(
      "E_USAGE",
      "--sort weighted-sqnr needs an importance matrix, and there is none.",
      {},
      "Add --imatrix <file>, or sort by sqnr.",
    );
  checkReportOptions(options);
  const page = report === undefined ? undefined : await openReport(report, session);
  const registry = await session.registry(originalPath, quantizedPath);
  const quantized = await session.stoppable(openModel(quantizedPath, registry));
  // Beside GGUF a checkpoint is what it becomes there: tensors are compared by name.
  const original =
    quantized.format === "gguf"
      ? (await session.stoppable(openForWriting(originalPath, registry, {}, session.cwd))).model
      : await session.stoppable(openModel(originalPath, registry));
  for (const warning of [...original.warnings, ...quantized.warnings])
    session.note(`warning: ${escapeControls(warning)}`);
  const matrix =
    options.imatrix === undefined ? undefined : await session.stoppable(openImportance(options.imatrix));
  for (const warning of matrix?.warnings ?? []) session.note(`warning: ${escapeControls(warning)}`);
  const fit = matrix && checkImportance(original, matrix);

  const start = performance.now();
  const comparison = await follow(
    compareModels({
      original,
      quantized,
      registry,
      runner: runnerOf(registry),
      signal: session.signal,
      ...(fit === undefined ? {} : { importance: fit.matrix }),
      ...(nonfinite === undefined ? {} : { nonfinite }),
      ...(threads === undefined ? {} : { threads }),
    }),
    session,
  );
  const milliseconds = performance.now() - start;
  const tensors = sort === undefined ? comparison.tensors : sorted(comparison.tensors, sort);
  for (const warning of leftovers(comparison, fit?.missing ?? []))
    session.note(`warning: ${escapeControls(warning)}`);
  // Before anything is printed, because a tensor may be named that is not there.
  const shown = page && (options.tensor ?? worstTensor(comparison));
  const distributions =
    shown === undefined
      ? []
      : [await distributionOf({ original, candidates: [quantized], tensor: shown, registry }, session)];
  const document = toDocument(original, quantized, { ...comparison, tensors }, milliseconds);
  session.document(document);
  if (!session.json) session.print(toText(original, quantized, { ...comparison, tensors }, milliseconds));
  await page?.write(document, { distributions, commands: [line] });
}

/** Worst first; equals stay in the order of the model. */
function sorted(tensors: readonly TensorComparison[], order: Order): TensorComparison[] {
  const badness = ({ metrics }: TensorComparison): number => {
    const value = orders[order](metrics);
    return Number.isNaN(value) ? Number.POSITIVE_INFINITY : value;
  };
  return [...tensors].sort((a, b) => {
    const [x, y] = [badness(a), badness(b)];
    return x === y ? 0 : y - x;
  });
}

/** What was not compared, or not as was wished. `missing`: tensors that a matrix of this model would have. */
function leftovers(comparison: Comparison, missing: readonly string[]): string[] {
  const tensors = (names: readonly string[]): string =>
    names.length === 1 ? `one tensor: ${names[0]}` : `${names.length} tensors: ${listNames(names)}`;
  const { missing: absent, added, opaque, foreign, zeroed } = comparison;
  return [
    ...(absent.length > 0 ? [`the quantized model lacks ${tensors(absent)}`] : []),
    ...(added.length > 0 ? [`the original lacks ${tensors(added)}`] : []),
    ...(opaque.length > 0
      ? [`no plugin can decode ${tensors(opaque.map(({ name, dtype }) => `${name} (${dtype})`))}`]
      : []),
    ...(missing.length > 0 ? [`the importance matrix has no entry for ${tensors(missing)}`] : []),
    ...(foreign.length > 0
      ? [`the importance matrix has entries for what is no tensor here: ${listNames(foreign)}`]
      : []),
    ...(zeroed > 0
      ? [`${zeroed} ${zeroed === 1 ? "weight was" : "weights were"} NaN or infinite and taken for zero`]
      : []),
  ];
}

const decibels = (value: number | undefined): string =>
  value === undefined ? "-" : value === Number.POSITIVE_INFINITY ? "exact" : value.toFixed(2);

/** Errors span many orders of magnitude: three digits and an exponent, so that a column can be read down. */
const small = (value: number): string => (value === 0 ? "0" : value.toExponential(2));

const figures = ({ rmse, sqnr, maxError, cosine, weightedSqnr }: Metrics, weighted: boolean): string[] => [
  small(rmse),
  small(maxError),
  cosine.toFixed(6),
  decibels(sqnr),
  ...(weighted ? [decibels(weightedSqnr)] : []),
];

function toText(original: Model, quantized: Model, comparison: Comparison, milliseconds: number): string {
  const { tensors, total, types } = comparison;
  const weighted = total.metrics.weightedSqnr !== undefined;
  const right = (title: string): Column => ({ title, align: "right" });
  const errors = [
    ...["RMSE", "MAX ERROR", "COSINE", "SQNR (dB)"].map(right),
    ...(weighted ? [right("WEIGHTED (dB)")] : []),
  ];
  const each = table(
    [{ title: "TENSOR" }, { title: "SHAPE" }, { title: "FROM" }, { title: "TO" }, right("BITS"), ...errors],
    tensors.map(({ name, shape, original, quantized, metrics }) => [
      name,
      formatShape(shape),
      original.dtype,
      quantized.dtype,
      formatBits(quantized.bytes, metrics.count),
      ...figures(metrics, weighted),
    ]),
  );
  const totals = table(
    [{ title: "TYPE" }, ...["TENSORS", "WEIGHTS", "SIZE", "BITS"].map(right), ...errors],
    [...types, ["all", total] as const].map(([type, { tensors, quantizedBytes, metrics }]) => [
      type,
      String(tensors),
      formatCount(metrics.count),
      formatBytes(quantizedBytes),
      formatBits(quantizedBytes, metrics.count),
      ...figures(metrics, weighted),
    ]),
  );
  const names = (model: Model): string => model.files.map((file) => escapeControls(nameOf(file))).join(", ");
  return [
    `${names(original)}\n${names(quantized)}`,
    each,
    totals,
    [...worst(tensors), summary(comparison, milliseconds)].join("\n"),
  ].join("\n\n");
}

/** Nothing where nothing was lost. */
function worst(tensors: readonly TensorComparison[]): string[] {
  const lossy = sorted(tensors, "sqnr").filter(({ metrics }) => metrics.sqnr !== Number.POSITIVE_INFINITY);
  const shown = lossy
    .slice(0, WORST)
    .map(({ name, quantized, metrics }) => `${name} (${quantized.dtype}, ${decibels(metrics.sqnr)} dB)`);
  return shown.length === 0 ? [] : [escapeControls(`worst: ${shown.join(", ")}`)];
}

function summary({ total }: Comparison, milliseconds: number): string {
  const { metrics, originalBytes, quantizedBytes } = total;
  const { count, sqnr, weightedSqnr } = metrics;
  const lost =
    sqnr === Number.POSITIVE_INFINITY
      ? "nothing was lost"
      : `SQNR ${decibels(sqnr)} dB${weightedSqnr === undefined ? "" : `, ${decibels(weightedSqnr)} dB weighted by importance`}`;
  return (
    `${formatCount(count)} weights, ${formatBits(originalBytes, count)} → ${formatBits(quantizedBytes, count)} ` +
    `bits per weight: ${lost}; ${formatDuration(milliseconds)}`
  );
}

const bitsPerWeight = (bytes: number, weights: number): number | null =>
  weights === 0 ? null : (bytes * 8) / weights;

const totalDocument = ({ tensors, originalBytes, quantizedBytes, metrics }: Total) => ({
  tensors,
  originalBytes,
  quantizedBytes,
  originalBitsPerWeight: bitsPerWeight(originalBytes, metrics.count),
  quantizedBitsPerWeight: bitsPerWeight(quantizedBytes, metrics.count),
  ...metrics,
});

function toDocument(original: Model, quantized: Model, comparison: Comparison, milliseconds: number) {
  const { tensors, total, types, ...rest } = comparison;
  return {
    original: original.files.map(nameOf),
    quantized: quantized.files.map(nameOf),
    seconds: milliseconds / 1000,
    total: totalDocument(total),
    types: Object.fromEntries([...types].map(([type, each]) => [type, totalDocument(each)])),
    tensors: tensors.map(({ name, shape, original, quantized, metrics }) => ({
      name,
      shape,
      original: { ...original, bitsPerWeight: bitsPerWeight(original.bytes, countWeights(shape)) },
      quantized: { ...quantized, bitsPerWeight: bitsPerWeight(quantized.bytes, countWeights(shape)) },
      ...metrics,
    })),
    ...rest,
  };
}
