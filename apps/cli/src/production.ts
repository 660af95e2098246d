// From a model to files: what every command that writes a model with a recipe has in common.
import {
  type FormatWriter,
  type MetadataEntry,
  type Model,
  makePlan,
  type Plan,
  type PlanSummary,
  type Recipe,
  type RecipeContext,
  type Registry,
  summarise,
} from "@fewbit/core";
import { type Written, writeModel } from "@fewbit/core/node";
import { applyOverrides, parseOverride, splitBy, splitting } from "@fewbit/format-gguf";
import { type Command, Option } from "commander";
import type { Checked } from "./checking.js";
import { outputOf, parseThreads } from "./choices.js";
import { Reported } from "./failure.js";
import { runnerOf } from "./plugins.js";
import { follow } from "./progress.js";
import {
  countWeights,
  escapeControls,
  formatBits,
  formatBytes,
  formatCount,
  formatDuration,
  formatShape,
  table,
} from "./render.js";
import { collect, type Session } from "./session.js";
import { type SplitOptions, splitLimit, withSplitOptions } from "./splitting.js";

export interface ProductionOptions extends SplitOptions {
  readonly threads?: number;
  readonly overrideKv?: readonly string[];
  readonly allowRequantize?: boolean;
  readonly nonfinite?: "zero";
  readonly dryRun?: boolean;
  readonly force?: boolean;
}

export const repeatable = (flags: string, description: string): Option =>
  new Option(flags, `${description} (repeatable)`).argParser(collect);

export const withProductionOptions = (command: Command): Command =>
  withSplitOptions(
    command
      .option("--dry-run", "print what every tensor would become, and write nothing")
      .option("--force", "replace an existing output")
      .option("--threads <count>", "worker threads (default: one per core)", parseThreads)
      .addOption(
        repeatable("--override-kv <KEY=TYPE:VALUE>", "set metadata; TYPE is int, float, bool or str"),
      )
      .addOption(
        new Option(
          "--nonfinite <action>",
          "replace NaN and infinite weights by zero, and count them; else they stop the run",
        ).choices(["zero"]),
      ),
  );

export interface Production {
  readonly model: Model;
  readonly recipe: Recipe;
  readonly context: RecipeContext;
  readonly registry: Registry;
  /** As the user named it; where that is undefined, it is called after `stem`. */
  readonly output: string | undefined;
  readonly stem: string;
  /** Files that the output must not replace, beside those of the model. */
  readonly inputs: readonly string[];
  /** Compares what was written with what it was made from. */
  readonly check?: (paths: readonly string[]) => Promise<Checked | undefined>;
}

/** Writes the model, or prints what it would be, and says what came of it. */
export async function produce(
  { model, context, registry, ...production }: Production,
  options: ProductionOptions,
  session: Session,
): Promise<void> {
  const limit = splitLimit(options);
  const whole = withOverrides(production.recipe, (options.overrideKv ?? []).map(parseOverride));
  const recipe = limit === undefined ? whole : splitting(whole);
  for (const warning of model.warnings) session.note(`warning: ${escapeControls(warning)}`);

  const output = production.output ?? outputOf(production.stem, recipe.id, writerFor("", model, registry));
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

  const run = writeModel({
    ...planned,
    model,
    registry,
    writer,
    runner: runnerOf(registry),
    path: output,
    signal: session.signal,
    force: options.force ?? false,
    ...(context.importance === undefined ? {} : { importance: context.importance }),
    inputs: production.inputs,
    ...(options.nonfinite === undefined ? {} : { nonfinite: options.nonfinite }),
    ...(options.threads === undefined ? {} : { threads: options.threads }),
  });
  const start = performance.now();
  const written = await follow(run, session);
  const milliseconds = performance.now() - start;
  const checked = await production.check?.(written.paths);
  printSummary(planned.plan, written, milliseconds, checked, session);
  if (checked?.failure !== undefined) throw session.json ? new Reported(checked.failure) : checked.failure;
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

/** By the output's extension; a name without one is written in the model's own format. */
function writerFor(output: string, model: Model, registry: Registry): FormatWriter {
  const byName = registry.writers.find(({ value }) => value.extensions.some((each) => output.endsWith(each)));
  return (byName ?? registry.writers.find(({ value }) => value.id === model.format) ?? registry.writers[0]!)
    .value;
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

function printSummary(
  plan: Plan,
  written: Written,
  milliseconds: number,
  checked: Checked | undefined,
  session: Session,
): void {
  const summary = summarise(plan);
  const seconds = milliseconds / 1000;
  session.document({
    output: written.paths,
    recipe: plan.recipe,
    seconds,
    weightsPerSecond: summary.weights / seconds,
    zeroed: written.zeroed,
    summary: summaryDocument(summary),
    ...(checked === undefined ? {} : { check: checked.document }),
  });
  if (session.quiet) return;
  session.print(
    [
      ...written.paths.map(escapeControls),
      totalsText(plan, summary),
      typesText(summary),
      `${formatDuration(milliseconds)}, ${formatCount(summary.weights / seconds)} weights/s`,
      ...(written.zeroed > 0 ? [zeroedText(written.zeroed)] : []),
      ...(checked === undefined ? [] : [checked.text]),
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
