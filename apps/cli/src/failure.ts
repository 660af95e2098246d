import {
  type ErrorCode,
  errorCodes,
  type Failure,
  FewbitError,
  isFewbitError,
  toFailure,
} from "@fewbit/core";
import { CommanderError } from "commander";
import { escapeControls } from "./render.js";

/** What the process should end with, and what to print first. Absent: help or the version was printed. */
export interface Ending {
  readonly exit: number;
  readonly failure?: Failure;
}

/** Thrown when what is wrong has been printed with the results already: only the exit status is left to set. */
export class Reported extends Error {
  readonly code: ErrorCode;

  constructor({ code, message }: FewbitError) {
    super(message);
    this.code = code;
  }
}

const BUG = "This is a bug: please report it with what --debug adds.";

/** Anything thrown on the way becomes a code, a place, a sentence and a remedy. */
export function endingOf(thrown: unknown): Ending {
  if (thrown instanceof Reported) return { exit: errorCodes[thrown.code].exit };
  if (thrown instanceof CommanderError) {
    if (thrown.exitCode === 0) return { exit: 0 };
    const message =
      thrown.code === "commander.help"
        ? ["no command is given"]
        : thrown.message.replace(/^error: /, "").split("\n");
    const failure = toFailure(
      new FewbitError(
        "E_USAGE",
        sentence(message.join(" ")),
        {},
        'Run "fewbit --help" to see what there is.',
      ),
    );
    return { exit: errorCodes.E_USAGE.exit, failure };
  }
  const failure = toFailure(systemError(thrown) ?? thrown);
  // What nobody foresaw has no remedy of its own.
  const remedy = failure.code === "E_INTERNAL" ? { remedy: BUG, ...failure } : failure;
  // A plugin may have been built with a newer core, and know a code that is not known here.
  const known: { readonly exit: number } | undefined = errorCodes[failure.code];
  return { exit: known?.exit ?? 1, failure: remedy };
}

/** Errors of the operating system that no layer below has put into words. */
function systemError(thrown: unknown): FewbitError | undefined {
  if (isFewbitError(thrown) || !(thrown instanceof Error)) return undefined;
  const { code, path, syscall } = thrown as NodeJS.ErrnoException;
  if (code === undefined || syscall === undefined) return undefined;
  const full: ErrorCode = code === "ENOSPC" || code === "EDQUOT" ? "E_SPACE" : "E_IO";
  return new FewbitError(
    full,
    sentence(thrown.message),
    path === undefined ? {} : { file: path },
    full === "E_SPACE" ? "Free some space and run again." : "Check the path and its permissions.",
    thrown,
  );
}

const sentence = (text: string): string => {
  const trimmed = text.trim();
  const first = trimmed.slice(0, 1).toUpperCase() + trimmed.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
};

/** `error[CODE] <file>: <what>, at byte <offset> (<field path>). <what to do>` */
export function describe(failure: Failure): string {
  const { file, tensor, row, column, offset, key } = failure.at;
  const inside: string[] = [];
  if (key !== undefined) inside.push(key);
  if (tensor !== undefined && !mentions(failure.message, tensor)) inside.push(`tensor ${tensor}`);
  if (row !== undefined && !/\brow \d/.test(failure.message)) inside.push(`row ${row}`);
  if (column !== undefined && !/\bcolumn \d/.test(failure.message)) inside.push(`column ${column}`);

  let what = failure.message.trim().replace(/\.$/, "");
  if (offset !== undefined && !new RegExp(`\\bbyte ${offset}\\b`).test(what)) what += `, at byte ${offset}`;
  if (inside.length > 0) what += ` (${inside.join(", ")})`;
  const text = [
    `error[${failure.code}]`,
    file === undefined ? "" : ` ${file}:`,
    ` ${what}${/[!?]$/.test(what) ? "" : "."}`,
    failure.remedy === undefined ? "" : ` ${failure.remedy}`,
  ];
  return escapeControls(text.join(""));
}

/** As a word of its own: a tensor may be called "a". */
const mentions = (message: string, name: string): boolean =>
  message.split(/[\s,;:"()]+/).some((word) => word === name || word === `${name}.`);

/** The same fields for programs; what is unknown is absent. */
export function failureJson(failure: Failure, debug: boolean): { error: Record<string, unknown> } {
  const { code, message, at, remedy, stack } = failure;
  return { error: { code, message, ...at, remedy, ...(debug ? { stack } : {}) } };
}
