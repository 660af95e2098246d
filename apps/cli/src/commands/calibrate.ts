import { rm, stat } from "node:fs/promises";
import { resolve } from "node:path";
import {
  type Calibration,
  type CalibrationOptions,
  calibrate,
  defaultText,
  importanceStatistics,
  mergeCollections,
} from "@fewbit/calibrate";
import { FewbitError, isFewbitError, locate } from "@fewbit/core";
import { createPartial, openFile, removePartial } from "@fewbit/core/node";
import {
  type Collection,
  readCollection,
  type StoredCollection,
  writeImportance,
  writeLegacyImportance,
} from "@fewbit/format-gguf";
import { type Command, Option } from "commander";
import { momentsFile, rangesFile } from "../activation-files.js";
import { parseThreads, stemOf, wholeNumber } from "../choices.js";
import { statisticsText } from "../importance-statistics.js";
import { explain, openRunnable } from "../measuring.js";
import { engineOf } from "../plugins.js";
import { ProgressLine } from "../progress.js";
import { escapeControls, formatBytes, formatDuration } from "../render.js";
import {
  type CommonOptions,
  examples,
  openSession,
  type Session,
  type Surroundings,
  withCommonOptions,
} from "../session.js";
import { readText } from "../text.js";
import { refuseTaken, writeWhole } from "../whole-file.js";

interface CalibrateOptions extends CommonOptions {
  readonly data?: readonly string[];
  readonly output?: string;
  readonly ctxSize?: number;
  readonly chunks?: number;
  readonly fromChunk?: number;
  readonly batch?: number;
  readonly processOutput?: boolean;
  readonly parseSpecial?: boolean;
  readonly perplexity: boolean;
  readonly threads?: number;
  readonly gpuLayers?: number;
  readonly saveEvery: number;
  readonly resume?: boolean;
  readonly legacy?: boolean;
  readonly force?: boolean;
  readonly ranges?: string;
  readonly moments?: string;
  readonly momentsOutput?: string;
  readonly merge?: readonly string[];
  readonly statistics?: string;
}

const HELP = `
An importance matrix says how much each column of a weight matters: the squares of what it is multiplied with, summed
while the model reads a text. It is what llama-imatrix computes, to the same numbers; llama-quantize reads it too.
Without --data the model reads a text that comes with fewbit: prose, code, lists, numbers and dialogues in several
languages. A text like what the model will be used for is better: https://github.com/fewbit/fewbit/blob/main/docs/calibrate.md

Every --save-every chunks, what was collected is saved as <output>.partial; after an interruption --resume goes on
from there. With --resume a finished matrix is gone on with, too, where the text or --chunks allow for more.
${examples(
  "fewbit calibrate model-f16.gguf",
  "fewbit calibrate model-f16.gguf --data mine.txt -o model.imatrix.gguf --chunks 200",
  "fewbit calibrate model-f16.gguf --data mine.txt --resume",
  "fewbit calibrate model-f16.gguf --ranges ranges.json --moments 'blk\\.0\\.attn_q'",
  "fewbit calibrate --merge a.gguf b.gguf -o both.imatrix.gguf",
  "fewbit calibrate --statistics model.imatrix.gguf",
  "fewbit quantize model-f16.gguf --type IQ2_XXS --imatrix model.imatrix.gguf",
)}`;

const usage = (message: string, remedy: string): FewbitError =>
  new FewbitError("E_USAGE", message, {}, remedy);

export function addCalibrate(program: Command, world: Surroundings): void {
  const count = (flags: string, least: number, what: string): Option => {
    const option = new Option(flags, what);
    return option.argParser(wholeNumber(option.long!, least));
  };
  const command = program
    .command("calibrate")
    .description("Let a model read a text and collect its importance matrix, as llama-imatrix does.")
    .argument("[model]", "a GGUF file that the engine loads: the original, not a quantized one")
    .option(
      "-d, --data <file...>",
      "text files to read, one after another (default: a text that comes with fewbit)",
    )
    .option("-o, --output <file>", "the file to write (default: <model>.imatrix.gguf beside it)")
    .addOption(count("-c, --ctx-size <tokens>", 16, "tokens of a chunk (default: 512)"))
    .addOption(count("--chunks <count>", 1, "stop after this many chunks (default: all whole ones)"))
    .addOption(count("--from-chunk <count>", 0, "leave out this many chunks at the beginning (default: 0)"))
    .option("--process-output", "collect the input of output.weight as well")
    .option("--parse-special", "read <|im_end|> and the like in the text as the tokens they spell")
    .option("--no-perplexity", "do not compute the perplexity of the text on the way")
    .option("-t, --threads <count>", "threads of the engine (default: half of the machine's)", parseThreads)
    .addOption(count("--gpu-layers <count>", 0, "layers on the GPU (default: 0)"))
    .addOption(
      count(
        "-b, --batch <tokens>",
        16,
        "tokens that are computed together; less takes less memory (default: 2048)",
      ),
    )
    .addOption(count("--save-every <chunks>", 1, "save what was collected so far this often").default(10))
    .option("--resume", "go on from what an interrupted run, or an earlier one, has collected")
    .option("--legacy", "write the older form of llama.cpp (.dat)")
    .option("--ranges <file>", "write ranges and histograms of activations as well (JSON)")
    .option("--moments <expression>", "collect second moments XᵀX of the inputs of these tensors as well")
    .option(
      "--moments-output <file>",
      "the file to write them to (default: <model>.moments.safetensors beside it)",
    )
    .option("--merge <file...>", "add importance matrices, instead of collecting one")
    .option("--statistics <file>", "show what an importance matrix looks like, instead of collecting one")
    .option("--force", "replace what is there");
  withCommonOptions(command)
    .addHelpText("after", HELP)
    .action(async (model: string | undefined, options: CalibrateOptions) => {
      const session = openSession(world, options);
      const { merge, statistics } = options;
      if (merge !== undefined && statistics !== undefined)
        throw usage("--merge and --statistics cannot be given together.", "Run one after the other.");
      const instead = merge === undefined ? "--statistics" : "--merge";
      if (merge !== undefined || statistics !== undefined) {
        for (const [given, what] of [
          [model, "a model"],
          [options.data, "--data"],
          [options.resume, "--resume"],
          [options.ranges, "--ranges"],
          [options.moments, "--moments"],
        ] as const)
          if (given !== undefined)
            throw usage(`With ${instead} nothing is collected, and ${what} was given.`, "Leave it out.");
      }
      if (merge !== undefined) await mergeFiles(merge, options, session);
      else if (statistics !== undefined) await showStatistics(statistics, session);
      else await collect(model, options, session);
    });
}

// ---- collecting ----

interface Places {
  readonly output: string;
  /** What was collected so far. */
  readonly partial: string;
  readonly moments: string;
}

async function collect(
  model: string | undefined,
  options: CalibrateOptions,
  session: Session,
): Promise<void> {
  if (model === undefined)
    throw usage("No model is given.", "Give it first: fewbit calibrate model.gguf --data text.txt");
  const { resume = false, force = false, ranges, moments, momentsOutput } = options;
  if (resume && (ranges !== undefined || moments !== undefined))
    throw usage(
      "Only the importance matrix is saved on the way: ranges and second moments cannot be resumed.",
      "Leave out --resume, or --ranges and --moments.",
    );
  if (momentsOutput !== undefined && moments === undefined)
    throw usage(
      "--moments-output was given, and no --moments.",
      "Say which tensors: --moments <expression>.",
    );
  if (moments !== undefined) checkExpression(moments);

  const stem = stemOf(model, [".gguf"], session.cwd);
  const output = options.output ?? `${stem}.imatrix.${options.legacy ? "dat" : "gguf"}`;
  const places: Places = {
    output,
    partial: `${output}.partial`,
    moments: momentsOutput ?? `${stem}.moments.safetensors`,
  };
  const inputs = [model, ...(options.data ?? [])];
  await refuseTaken(places.output, { force: force || resume, inputs });
  if (!force && !resume) await refuseInterrupted(places.partial);
  if (ranges !== undefined) await refuseTaken(ranges, { force, inputs });
  if (moments !== undefined) await refuseTaken(places.moments, { force, inputs });
  refuseShared([
    ["the importance matrix", places.output],
    ...(ranges === undefined ? [] : [["ranges", ranges] as const]),
    ...(moments === undefined ? [] : [["second moments", places.moments] as const]),
  ]);

  const { text, datasets } = await readData(options.data);
  const registry = await session.registry(model);
  const reader = await openRunnable(model, registry, session);
  const lock = await createPartial(`${output}.lock`, 0);
  try {
    const before = resume ? await openBefore(places, session) : undefined;
    const start = performance.now();
    const run = calibrate({
      ...calibrationOptions(options),
      engine: engineOf(registry),
      model: reader.path,
      text,
      datasets,
      signal: session.signal,
      saveEvery: options.saveEvery,
      collect: [
        "importance",
        ...(ranges === undefined ? [] : (["ranges"] as const)),
        ...(moments === undefined ? [] : (["moments"] as const)),
      ],
      ...(moments === undefined ? {} : { momentsOf: moments }),
      ...(before === undefined ? {} : { before: before.collection }),
    });
    const result = await follow(run, places, ranges !== undefined || moments !== undefined, session).catch(
      (error: unknown) => {
        if (before !== undefined && isFewbitError(error, "E_IMATRIX_SHAPE", "E_USAGE"))
          throw locate(error, { file: before.file });
        throw explain(error, options.data?.length === 1 ? options.data[0] : undefined, reader);
      },
    );
    const bytes = options.legacy
      ? writeLegacyImportance(result.importance)
      : writeImportance(result.importance);
    await writeWhole(output, [bytes]);
    await rm(places.partial, { force: true });
    if (ranges !== undefined) await writeWhole(ranges, rangesFile(result));
    if (moments !== undefined) await writeWhole(places.moments, momentsFile(result));
    const milliseconds = performance.now() - start;
    session.document(toDocument(model, places, bytes.length, options, result, milliseconds));
    if (session.quiet) return;
    session.print(summary(output, bytes.length, result, milliseconds));
    if (ranges !== undefined)
      session.print(escapeControls(`ranges of ${result.ranges.size} tensors: ${ranges}`));
    if (moments !== undefined)
      session.print(escapeControls(`second moments of ${result.moments.size} tensors: ${places.moments}`));
  } finally {
    await removePartial(lock);
  }
}

function checkExpression(pattern: string): void {
  try {
    new RegExp(pattern);
  } catch (error) {
    throw usage(
      `"${pattern}" is no regular expression: ${(error as Error).message}.`,
      "Correct it; a dot that means a dot is written \\.",
    );
  }
}

/** Of two outputs in one place the second would replace the first. */
function refuseShared(outputs: readonly (readonly [string, string])[]): void {
  const there = new Map<string, string>();
  for (const [what, path] of outputs) {
    const other = there.get(resolve(path));
    if (other !== undefined)
      throw usage(
        `${path} would be written twice: with ${other} and with ${what}.`,
        "Give each a name of its own.",
      );
    there.set(resolve(path), what);
  }
}

async function refuseInterrupted(partial: string): Promise<void> {
  if ((await stat(partial).catch(() => undefined)) === undefined) return;
  throw new FewbitError(
    "E_OUTPUT_EXISTS",
    "an interrupted run has left what it collected",
    { file: partial },
    "Pass --resume to go on from it, or --force to start anew.",
  );
}

/** Files one after another, as `cat` would put them. */
async function readData(
  files: readonly string[] | undefined,
): Promise<{ readonly text: string; readonly datasets: readonly string[] }> {
  if (files === undefined) {
    const { name, text } = defaultText();
    return { text, datasets: [name] };
  }
  const texts = await Promise.all(files.map(readText));
  return { text: texts.map(({ text }) => text).join("\n"), datasets: texts.map(({ name }) => name) };
}

const calibrationOptions = (options: CalibrateOptions): CalibrationOptions => {
  const { ctxSize, chunks, fromChunk, batch, processOutput, parseSpecial, perplexity, threads, gpuLayers } =
    options;
  return {
    perplexity,
    ...(ctxSize === undefined ? {} : { contextSize: ctxSize }),
    ...(chunks === undefined ? {} : { chunks }),
    ...(fromChunk === undefined ? {} : { fromChunk }),
    ...(batch === undefined ? {} : { batch }),
    ...(processOutput === undefined ? {} : { processOutput }),
    ...(parseSpecial === undefined ? {} : { parseSpecial }),
    ...(threads === undefined ? {} : { threads }),
    ...(gpuLayers === undefined ? {} : { gpuLayers }),
  };
};

/** What an interrupted run left, or else the finished output. */
async function openBefore(
  { output, partial }: Places,
  session: Session,
): Promise<{ readonly file: string; readonly collection: Collection } | undefined> {
  for (const file of [partial, output])
    if ((await stat(file).catch(() => undefined)) !== undefined) {
      const collection = await openCollection(file);
      session.note(escapeControls(`going on from ${collection.chunks} chunks in ${file}`));
      return { file, collection };
    }
  session.note("there is nothing to go on from: starting at the first chunk");
  return undefined;
}

async function openCollection(file: string): Promise<StoredCollection> {
  const source = await openFile(file);
  try {
    return await readCollection(source);
  } catch (error) {
    throw isFewbitError(error) ? locate(error, { file }) : error;
  } finally {
    await source.close();
  }
}

/**
 * Draws progress, saves snapshots, says what there is to be said.
 * @param more whether ranges or moments are collected, which no snapshot holds
 */
async function follow(
  run: ReturnType<typeof calibrate>,
  { partial }: Places,
  more: boolean,
  session: Session,
): Promise<Calibration> {
  const line = new ProgressLine(session.stderr, session);
  const said = new Set<string>();
  const warn = (warnings: readonly string[] = []): void => {
    for (const warning of warnings) {
      if (!said.has(warning)) session.note(`warning: ${escapeControls(warning)}`);
      said.add(warning);
    }
  };
  let saved = 0;
  try {
    for (;;) {
      const step = await run.next();
      line.clear();
      if (step.done) {
        warn(step.value.warnings);
        return step.value;
      }
      const { done, chunks, perplexity, snapshot, warnings } = step.value;
      warn(warnings);
      if (snapshot !== undefined) {
        await writeWhole(partial, [writeImportance(snapshot)]);
        saved = done;
      }
      line.show({
        done,
        total: chunks,
        unit: "chunks",
        label: `${done} of ${chunks}${Number.isNaN(perplexity) ? "" : `, perplexity ${perplexity.toFixed(4)}`}`,
      });
    }
  } catch (error) {
    if (saved > 0)
      session.note(
        escapeControls(
          `${saved} chunks are saved in ${partial}: --resume goes on from there${more ? ", with the importance matrix only" : ""}`,
        ),
      );
    throw error;
  } finally {
    line.clear();
  }
}

function summary(output: string, bytes: number, result: Calibration, milliseconds: number): string {
  const { importance, done, resumedAt, contextSize, perplexity } = result;
  const chunks = `${done} chunks of ${contextSize} tokens${resumedAt > 0 ? ` (${resumedAt} of them before)` : ""}`;
  return escapeControls(
    `${output}: ${importance.entries.size} tensors, ${chunks}, ${formatBytes(bytes)}; ` +
      `${Number.isNaN(perplexity) ? "" : `perplexity ${perplexity.toFixed(4)}; `}${formatDuration(milliseconds)}`,
  );
}

function toDocument(
  model: string,
  { output, moments }: Places,
  bytes: number,
  options: CalibrateOptions,
  result: Calibration,
  milliseconds: number,
) {
  const { importance, tokens, contextSize, done, resumedAt, perplexity, engine, warnings } = result;
  return {
    model,
    description: result.model,
    engine,
    output,
    bytes,
    ...(options.ranges === undefined ? {} : { ranges: options.ranges }),
    ...(options.moments === undefined ? {} : { moments, momentTensors: [...result.moments.keys()] }),
    datasets: importance.datasets,
    tokens,
    contextSize,
    chunks: done,
    resumedAt,
    perplexity: Number.isNaN(perplexity) ? null : perplexity,
    tensors: importance.entries.size,
    warnings,
    seconds: milliseconds / 1000,
  };
}

// ---- existing matrices ----

async function mergeFiles(
  files: readonly string[],
  options: CalibrateOptions,
  session: Session,
): Promise<void> {
  const { output, legacy = false, force = false, ctxSize } = options;
  if (output === undefined) throw usage("There is no name for the merged matrix.", "Add -o <file>.");
  await refuseTaken(output, { force, inputs: files });
  const matrices = await Promise.all(
    files.map(async (name) => ({ name, collection: await openCollection(name) })),
  );
  for (const { collection, name } of matrices)
    for (const warning of collection.warnings) session.note(escapeControls(`warning: ${name}: ${warning}`));
  const merged = mergeCollections(matrices, ctxSize);
  const bytes = legacy ? writeLegacyImportance(merged) : writeImportance(merged);
  await writeWhole(output, [bytes]);
  const { entries, chunks, chunkSize, datasets } = merged;
  session.document({
    output,
    bytes: bytes.length,
    merged: files,
    datasets,
    chunks,
    contextSize: chunkSize,
    tensors: entries.size,
  });
  if (session.quiet) return;
  session.print(
    escapeControls(
      `${output}: ${entries.size} tensors of ${files.length} files, ${chunks} chunks of ${chunkSize} tokens, ${formatBytes(bytes.length)}`,
    ),
  );
}

async function showStatistics(file: string, session: Session): Promise<void> {
  const collection = await openCollection(file);
  for (const warning of collection.warnings) session.note(`warning: ${escapeControls(warning)}`);
  const { chunks, chunkSize, datasets, legacy } = collection;
  const statistics = importanceStatistics(collection);
  session.document({ file, datasets, chunks, contextSize: legacy ? null : chunkSize, ...statistics });
  session.print(statisticsText(statistics));
}
