// Proof that a converted model is its checkpoint: tokens and chat template, and what it says.
import {
  type Checkpoint,
  checkTokenizer,
  type LogitsCheck,
  type TokenDifference,
  type TokenizerCheck,
} from "@fewbit/convert";
import { FewbitError, isFewbitError, type Model, type Registry } from "@fewbit/core";
import { openModel } from "@fewbit/core/node";
import type { Command } from "commander";
import { compareLogits, logitsText } from "./logits.js";
import { engineOf } from "./plugins.js";
import { escapeControls } from "./render.js";
import type { Session } from "./session.js";

export interface CheckOptions {
  /** Undefined where the user did not say. */
  readonly check?: boolean;
}

/** Larger vocabularies are only checked on request: their tables alone take a while to build. */
const SMALL = 70_000;

export const withCheckOptions = (command: Command): Command =>
  command
    .option(
      "--check",
      "compare tokens, chat template and logits of the checkpoint with those that llama.cpp makes of the converted model, and fail where they differ (default: compare small models, and only tell)",
    )
    .option("--no-check", "compare nothing");

/** What a comparison adds to a command's output. */
export interface Checked {
  readonly document: TokenizerCheck & { readonly same: boolean; readonly logits?: LogitsCheck };
  readonly text: string;
  /** Where `--check` was asked for and something is not the same. */
  readonly failure?: FewbitError;
}

/**
 * Compares a written model with its checkpoint; undefined where that is not wanted, or not possible and not asked for.
 *
 * @param model what was made of the checkpoint, before a recipe rounded it
 */
export async function check(
  path: string,
  { checkpoint, model }: { readonly checkpoint: Checkpoint; readonly model: Model },
  registry: Registry,
  { check: asked }: CheckOptions,
  session: Session,
): Promise<Checked | undefined> {
  if (asked === false) return undefined;
  const { metadata } = await openModel(path, registry);
  if (asked === undefined && vocabularyOf(metadata) > SMALL) return undefined;
  try {
    const found = await checkTokenizer({
      files: checkpoint.files,
      model: path,
      metadata,
      engine: engineOf(registry),
      signal: session.signal,
    });
    const unexplained = found.differences.filter(({ because }) => because === undefined);
    const logits = await compareLogits(checkpoint, model, registry, asked === true, session);
    const same =
      unexplained.length === 0 &&
      (logits?.checked !== true || logits.agrees) &&
      // How llama.cpp's own function renders it is for people to know: it takes one of some templates that it knows by
      // heart for the file's, which other programs render themselves.
      found.templateKept !== false;
    return {
      document: { same, ...found, ...(logits === undefined ? {} : { logits }) },
      text: [toText(found, unexplained), ...(logits === undefined ? [] : [logitsText(logits)])].join("\n"),
      ...(same || asked === undefined
        ? {}
        : {
            failure: new FewbitError(
              "E_PARITY",
              "The converted model does not do with texts what its checkpoint does; see above.",
              { file: path },
              "Report it with the name of the checkpoint; --pre-tokenizer may choose a better way to split texts.",
            ),
          }),
    };
  } catch (thrown) {
    // The model is written: what nobody asked for shall not make it look as if it were not.
    if (asked !== undefined || session.signal.aborted || !isFewbitError(thrown)) throw thrown;
    session.note(
      `warning: the output could not be compared with its checkpoint: ${escapeControls(thrown.message)}`,
    );
    return undefined;
  }
}

function vocabularyOf(metadata: Model["metadata"]): number {
  const tokens = metadata.find(({ key }) => key === "tokenizer.ggml.tokens")?.value;
  return Array.isArray(tokens) ? tokens.length : 0;
}

/** How many differences are shown; all of them are in the JSON document. */
const SHOWN = 5;

function toText(found: TokenizerCheck, unexplained: readonly TokenDifference[]): string {
  const { texts, differences, engine } = found;
  const explained = differences.length - unexplained.length;
  const alike = texts - differences.length;
  const reasons = new Map<string, number>();
  for (const { because } of differences)
    if (because !== undefined) reasons.set(because, (reasons.get(because) ?? 0) + 1);
  return [
    `tokens: ${alike === texts ? "all" : `${alike} of`} ${texts} test texts become the same tokens in ${engine} and in the checkpoint's own tokenizer`,
    ...(explained === 0
      ? []
      : [
          `  ${explained} cannot, however a file is written: llama.cpp works otherwise than that tokenizer (the source)`,
        ]),
    ...[...reasons].map(([reason, count]) => `    ${count} × ${reason}`),
    ...(unexplained.length === 0 ? [] : [`  ${unexplained.length} do not, for no known reason:`]),
    ...unexplained.slice(0, SHOWN).map(differenceText),
    ...(unexplained.length > SHOWN ? [`    and ${unexplained.length - SHOWN} more; --json has all`] : []),
    ...templateText(found),
    ...found.notes.map((note) => `note: ${note}`),
  ]
    .map(escapeControls)
    .join("\n");
}

function differenceText({ kind, text, source, engine, at }: TokenDifference): string {
  const around = (ids: readonly number[]): string => {
    const from = Math.max(0, at - 2);
    return `${from > 0 ? "… " : ""}${ids.slice(from, at + 4).join(" ")}${ids.length > at + 4 ? " …" : ""}`;
  };
  const shown = text.length > 60 ? `${[...text].slice(0, 59).join("")}…` : text;
  return `    ${kind}, ${JSON.stringify(shown)}: ${around(source)} by the checkpoint, ${engine === undefined ? "nothing" : around(engine)} by llama.cpp`;
}

function templateText({ templateKept, templates }: TokenizerCheck): string[] {
  if (templateKept === undefined) return [];
  const compared = templates.filter(({ same }) => same !== undefined);
  const differing = compared.filter(({ same }) => same === false);
  return [
    `chat template: ${templateKept ? "kept letter for letter" : "not the checkpoint's"}${
      compared.length === 0
        ? ""
        : `; ${compared.length - differing.length} of ${compared.length} conversations rendered alike by the function of llama.cpp that knows templates by their looks`
    }`,
    ...differing.flatMap(({ conversation, source = "", engine = "" }) => [
      `  ${conversation}: ${JSON.stringify(source)} by the checkpoint,`,
      `    ${JSON.stringify(engine)} by llama.cpp`,
    ]),
  ];
}
