// The page that a command leaves beside its output. The package that draws it is loaded only then.
import { randomUUID } from "node:crypto";
import { access, constants, open, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { FewbitError } from "@fewbit/core";
import { ioError } from "@fewbit/core/node";
import type { ReportData } from "@fewbit/report";
import type { Command } from "commander";
import { escapeControls } from "./render.js";
import type { Session } from "./session.js";

/** Options of commands that measure. */
export interface ReportOptions {
  readonly report?: string;
  readonly tensor?: string;
}

export const withReportOptions = (command: Command): Command =>
  command
    .option("--report <file>", "write a page of charts and tables as well: one HTML file that loads nothing")
    .option("--tensor <name>", "the tensor whose weights and codes the page shows (default: the worst)");

/** @throws `E_USAGE` for an option of a report that is not to be written */
export function checkReportOptions({ report, tensor }: ReportOptions): void {
  if (report === undefined && tensor !== undefined)
    throw new FewbitError(
      "E_USAGE",
      "--tensor says what a report shows, and there is none to be written.",
      {},
      "Add --report <file>, or leave --tensor out.",
    );
}

/** A place that may be written to. */
export interface ReportFile {
  /**
   * The page appears when it is complete; a line says so.
   * @param document what the command prints with `--json`
   * @param more what the page says besides
   */
  write(document: unknown, more?: Partial<ReportData>): Promise<void>;
}

/**
 * Checks the place before anything is measured. Another report there is replaced, and nothing else is.
 * @throws `E_OUTPUT_EXISTS`, `E_IO`
 */
export async function openReport(path: string, session: Session): Promise<ReportFile> {
  const file = resolve(session.cwd, path);
  const { GENERATOR, readReport, renderReport } = await import("@fewbit/report");
  await refuseOther(file, path, GENERATOR);
  await access(dirname(file), constants.W_OK).catch((cause: unknown) => {
    throw ioError(cause, "writing", path);
  });
  return {
    write: async (document, more) => {
      const page = await renderReport({ ...readReport(document), ...more });
      const partial = `${file}.${randomUUID()}.partial`;
      try {
        await writeFile(partial, page, { flag: "wx" });
        await rename(partial, file);
      } catch (cause) {
        await rm(partial, { force: true });
        throw ioError(cause, "writing", path);
      }
      session.note(escapeControls(`report: ${path}`));
    },
  };
}

async function refuseOther(file: string, path: string, generator: string): Promise<void> {
  const found = await stat(file).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOENT") return undefined;
    throw ioError(cause, "opening", path);
  });
  if (found === undefined || (found.isFile() && (await beginning(file, path)).includes(generator))) return;
  throw new FewbitError(
    "E_OUTPUT_EXISTS",
    found.isFile()
      ? "There is a file, and it is no report of fewbit."
      : "There is something that is not a regular file.",
    { file: path },
    "Choose another name for the report, or remove what is there.",
  );
}

async function beginning(file: string, path: string): Promise<string> {
  try {
    const handle = await open(file);
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(1024), 0, 1024, 0);
      return buffer.toString("utf8", 0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (cause) {
    throw ioError(cause, "reading", path);
  }
}

/** The command line that is running, for a shell. */
export function commandLine(command: Command): string {
  let root: Command = command;
  while (root.parent) root = root.parent;
  // Commander keeps what it was given, though it does not say so in its types.
  const { rawArgs } = root as unknown as { readonly rawArgs: readonly string[] };
  return [root.name(), ...rawArgs].map(quote).join(" ");
}

const quote = (argument: string): string =>
  /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument.replace(/'/g, "'\\''")}'`;
