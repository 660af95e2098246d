import { totalmem } from "node:os";
import { FewbitError, isFewbitError } from "@fewbit/core";
import { compareOutputs, type OutputComparison, type Rounding } from "@fewbit/evaluate";
import { type Command, Option } from "commander";
import { comparisonText } from "../comparison.js";
import {
  explain,
  type MeasureOptions,
  openRunnable,
  protocolOf,
  type Runnable,
  textDocument,
  warnOfContext,
  withMeasureOptions,
} from "../measuring.js";
import { engineOf } from "../plugins.js";
import { followStages } from "../progress.js";
import { formatBytes } from "../render.js";
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
import { readText, type Text } from "../text.js";
import { version } from "../version.js";
import { type CandidateWeights, pictureWeights, weigh, weightDocuments } from "../weight-errors.js";

interface CompareOptions extends CommonOptions, MeasureOptions, ReportOptions {
  readonly details?: boolean;
  readonly rounding: Rounding;
  readonly weights?: boolean;
}

const HELP = `
The models read the text side by side, chunk by chunk, and the reference reads it once for all candidates: nothing is
stored. KLD is the Kullback-Leibler divergence of the candidate's next-token probabilities from the reference's, in
nats: 0 where both say the same. RATIO is perplexity ÷ the reference's; Δp is the change of the probability of the
token that came; SAME TOP is how often both hold the same token the likeliest.

These are the figures of llama-perplexity --kl-divergence, but from logits that nothing has rounded: its file of base
logits has 16 bits for each, and lifts all that are more than 16 nats below the highest, which makes the perplexity of
the reference too low. With --rounding llama-perplexity its figures come out to the last digit; it is slower.
${examples(
  "fewbit compare model-f16.gguf model-Q8_0.gguf model-Q4_K_M.gguf --data wiki.test.raw",
  "fewbit compare model-f16.gguf model-Q4_K_M.gguf --data wiki.test.raw --chunks 20 --details",
  "fewbit compare model-f16.gguf model-Q*.gguf --data wiki.test.raw --report report.html",
  "fewbit compare model-f16.gguf model-Q*.gguf --data wiki.test.raw --json > results.json",
)}`;

export function addCompare(program: Command, world: Surroundings): void {
  const command = withMeasureOptions(
    program
      .command("compare")
      .description(
        "Compare what versions of a model answer to a text: KL divergence, perplexity, top tokens.",
      )
      .argument("<reference>", "the model to be held against, in GGUF: the original, or the largest at hand")
      .argument("<candidate...>", "other versions of it"),
    "tokens computed together (default: 2048, or fewer where the vocabulary is large)",
  )
    .option("--details", "all percentiles of every candidate (a single one has them anyway)")
    .addOption(
      new Option("--rounding <kind>", "of the reference's log-probabilities: see below")
        .choices(["none", "llama-perplexity"])
        .default("none"),
    )
    .option(
      "--weights",
      "compare the weights as well, tensor by tensor, for --json (a report has it anyway)",
    );
  withCommonOptions(withReportOptions(command))
    .addHelpText("after", HELP)
    .action(
      async (reference: string, candidates: readonly string[], options: CompareOptions, command: Command) => {
        await compare(reference, candidates, options, command, openSession(world, options));
      },
    );
}

async function compare(
  referencePath: string,
  candidatePaths: readonly string[],
  options: CompareOptions,
  command: Command,
  session: Session,
): Promise<void> {
  checkReportOptions(options);
  const page = options.report === undefined ? undefined : await openReport(options.report, session);
  const registry = await session.registry(referencePath, ...candidatePaths);
  const text = await session.stoppable(readText(options.data));
  const reference = await openRunnable(referencePath, registry, session);
  const candidates: Runnable[] = [];
  for (const path of candidatePaths) candidates.push(await openRunnable(path, registry, session));
  warnOfMemory([reference, ...candidates], session);

  // Before the text is read, because it takes less time and may fail.
  const weighed =
    page === undefined && options.weights !== true
      ? undefined
      : await weigh({ reference: referencePath, candidates: candidatePaths, registry }, session);
  const distributions =
    weighed && page ? await pictureWeights(weighed, registry, options.tensor, session) : [];

  const start = performance.now();
  const found = await followStages(
    compareOutputs({
      engine: engineOf(registry),
      reference: reference.path,
      candidates: candidates.map(({ path }) => path),
      text: text.text,
      rounding: options.rounding,
      signal: session.signal,
      ...protocolOf(options),
    }),
    session,
    ({ file, done, total, kld }) => ({
      done: done * options.ctxSize,
      // Before the first chunk nobody knows how many there are.
      total: Math.max(1, total * options.ctxSize),
      unit: "tokens",
      label: `${total === 0 ? "loading " : ""}${nameOf(file)}${kld === undefined ? "" : `, KLD ${kld.toFixed(6)}`}`,
    }),
  ).catch((error: unknown) => {
    throw withFewerModels(explain(error, options.data, reference), candidates.length);
  });
  const milliseconds = performance.now() - start;
  warnOfContext(found.reference.model, found.context, session);
  const document = {
    ...toDocument(reference, candidates, text, found, weighed && weightDocuments(weighed)),
    ...(distributions.length === 0 ? {} : { distributions }),
    commands: [commandLine(command)],
    versions: { fewbit: version, engine: found.engine, node: process.versions.node },
    seconds: milliseconds / 1000,
  };
  session.document(document);
  session.print(
    comparisonText({
      ...{ reference, candidates, text, found, milliseconds },
      details: options.details ?? false,
      columns: session.stdout.isTTY === true ? session.stdout.columns : undefined,
    }),
  );
  await page?.write(document);
}

const nameOf = (path: string): string => path.split(/[/\\]/).at(-1)!;

/** Weights are mapped, not read: more of them than there is memory work, at the speed of the disk. */
function warnOfMemory(models: readonly Runnable[], session: Session): void {
  // 0 where there is no limit or none is known.
  const limit = process.constrainedMemory?.() || totalmem();
  const memory = Math.min(limit, totalmem());
  const needed = models.reduce((sum, { bytes }) => sum + bytes, 0);
  if (needed > memory)
    session.note(
      `warning: the models have ${formatBytes(needed)} and the machine ${formatBytes(memory)} of memory; ` +
        "comparing fewer candidates at a time may be much faster",
    );
}

/** The engine's own remedy does not know that there are several models. */
function withFewerModels(error: unknown, candidates: number): unknown {
  if (candidates === 1 || !isFewbitError(error, "E_ENGINE_DIED") || !error.message.includes("SIGKILL"))
    return error;
  return new FewbitError(
    error.code,
    error.message,
    error.at,
    "The system may have run out of memory: compare fewer candidates at a time, or lower --batch.",
    error.cause,
  );
}

/** What a report is made of, and the chunks. */
function toDocument(
  reference: Runnable,
  candidates: readonly Runnable[],
  text: Text,
  found: OutputComparison,
  errors: readonly CandidateWeights[] = [],
) {
  const { name, weights } = reference;
  return {
    reference: {
      name,
      ...factsOf(reference),
      parameters: weights,
      perplexity: found.reference.perplexity,
    },
    text: { ...textDocument(text, found), allTokens: found.tokens },
    candidates: candidates.map((candidate, i) => {
      const { file: _, model: __, ...figures } = found.candidates[i]!;
      // Versions of a model have one name: what tells them apart is the file.
      return {
        name: candidate.file.replace(/\.gguf$/i, ""),
        ...factsOf(candidate),
        ...figures,
        ...errors[i],
      };
    }),
  };
}

const factsOf = ({ file, bytes, bitsPerWeight, type }: Runnable) => ({ file, bytes, bitsPerWeight, type });
