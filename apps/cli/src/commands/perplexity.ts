import { type Perplexity, perplexity } from "@fewbit/evaluate";
import { type Command, Option } from "commander";
import { wholeNumber } from "../choices.js";
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
import { escapeControls, formatBytes, formatCount, formatDuration } from "../render.js";
import {
  type CommonOptions,
  examples,
  openSession,
  type Session,
  type Surroundings,
  withCommonOptions,
} from "../session.js";
import { readText, type Text } from "../text.js";

interface PerplexityOptions extends CommonOptions, MeasureOptions {
  readonly stride?: number;
}

const HELP = `
Perplexity is e to the mean of -ln p over the tokens of a text, with p the probability that the model gave to the
token that came. Lower is better; 1 would be a text known by heart. The text is read exactly as llama-perplexity reads
it, so the figures are the same: chunks of --ctx-size tokens side by side, each beginning with BOS, their second half
scored. Compare perplexities of one text, one --ctx-size and one vocabulary only.
${examples(
  "fewbit perplexity model-Q4_K_M.gguf --data wiki.test.raw",
  "fewbit perplexity model-Q4_K_M.gguf --data wiki.test.raw --ctx-size 2048 --chunks 20",
  "fewbit perplexity model-Q4_K_M.gguf --data wiki.test.raw --stride 256",
  "fewbit perplexity model-Q4_K_M.gguf --data wiki.test.raw --json",
)}`;

export function addPerplexity(program: Command, world: Surroundings): void {
  const command = withMeasureOptions(
    program
      .command("perplexity")
      .description("Measure how well a model predicts a text.")
      .argument("<model>", "a GGUF file (of a split model the first)"),
    "tokens computed together (default: 2048)",
  ).addOption(
    new Option(
      "--stride <tokens>",
      "windows that overlap, each this far after the one before; their last tokens are scored",
    ).argParser(wholeNumber("--stride", 1)),
  );
  withCommonOptions(command)
    .addHelpText("after", HELP)
    .action(async (path: string, options: PerplexityOptions) => {
      await measure(path, options, openSession(world, options));
    });
}

async function measure(path: string, options: PerplexityOptions, session: Session): Promise<void> {
  const { data, stride } = options;
  const registry = await session.registry(path);
  const text = await session.stoppable(readText(data));
  const model = await openRunnable(path, registry, session);
  const start = performance.now();
  const found = await followStages(
    perplexity({
      engine: engineOf(registry),
      model: model.path,
      text: text.text,
      signal: session.signal,
      ...protocolOf(options),
      ...(stride === undefined ? {} : { stride }),
    }),
    session,
    ({ chunk, chunks, perplexity }) => ({
      done: chunk * options.ctxSize,
      total: chunks * options.ctxSize,
      unit: "tokens",
      label: `${chunk} of ${chunks} chunks${chunk === 0 ? "" : `, PPL ${perplexity.toFixed(4)}`}`,
    }),
  ).catch((error: unknown) => {
    throw explain(error, data, model);
  });
  const milliseconds = performance.now() - start;
  warnOfContext(found.model, found.context, session);
  session.document(toDocument(model, text, found, options, milliseconds));
  session.print(toText(model, text, found, options, milliseconds));
}

function toText(
  model: Runnable,
  text: Text,
  { perplexity, tokens, scored, context, chunks, model: loaded, engine }: Perplexity,
  { stride }: PerplexityOptions,
  milliseconds: number,
): string {
  const windows =
    stride === undefined
      ? `${chunks.length} chunks of ${context}`
      : `${chunks.length} windows of ${context}, ${stride} apart`;
  return [
    `${model.given}: ${loaded.description}, ${formatCount(model.weights)} weights, ${formatBytes(model.bytes)}`,
    `${text.name}: ${tokens} tokens, ${windows}, ${scored} scored`,
    `${engine}, ${formatDuration(milliseconds)}`,
    "",
    `Final estimate: PPL = ${perplexity.value.toFixed(4)} +/- ${perplexity.error.toFixed(5)}`,
  ]
    .map(escapeControls)
    .join("\n");
}

const toDocument = (
  { name, file, bytes, bitsPerWeight, type, weights }: Runnable,
  text: Text,
  { perplexity, loss, tokens, chunks, ...found }: Perplexity,
  { stride }: PerplexityOptions,
  milliseconds: number,
) => ({
  model: { name, file, bytes, bitsPerWeight, type, parameters: weights },
  text: {
    ...textDocument(text, { ...found, chunks: chunks.length }),
    allTokens: tokens,
    ...(stride === undefined ? {} : { stride }),
  },
  perplexity,
  loss,
  chunks,
  versions: { engine: found.engine },
  seconds: milliseconds / 1000,
});
