import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { FewbitError } from "@fewbit/core";
import { ioError } from "@fewbit/core/node";
import type { ReportData, Speeds } from "@fewbit/report";
import type { Command } from "commander";
import { openReport } from "../report-file.js";
import {
  type CommonOptions,
  examples,
  openSession,
  type Session,
  type Surroundings,
  withCommonOptions,
} from "../session.js";

interface ReportOptions extends CommonOptions {
  readonly output?: string;
  readonly title?: string;
}

const DEFAULT_OUTPUT = "report.html";

const HELP = `
Results of one reference are put together: a candidate that occurs in several, known by its file's name, gets what each
knows of it; speeds of fewbit bench are added. The page is one HTML file that loads nothing. With --json and without
-o, what the page would be made of is printed and no page is written.
${examples(
  "fewbit compare model-f16.gguf model-*.gguf --data wiki.test.raw --json > results.json",
  "fewbit report results.json",
  "fewbit report results.json error-Q4_K_M.json -o model.html --title 'Which quant of our model?'",
  "fewbit report results.json speeds.json",
  "fewbit report first.json second.json --json > both.json",
)}`;

export function addReport(program: Command, world: Surroundings): void {
  const command = program
    .command("report")
    .description("Make a page of saved results: what fewbit compare, error and bench print with --json.")
    .argument("<results...>", "saved results, all of one reference")
    .option("-o, --output <file>", `the page to write (default: ${DEFAULT_OUTPUT})`)
    .option("--title <text>", "what the page is called");
  withCommonOptions(command)
    .addHelpText("after", HELP)
    .action(async (results: readonly string[], options: ReportOptions) => {
      await report(results, options, openSession(world, options));
    });
}

async function report(results: readonly string[], options: ReportOptions, session: Session): Promise<void> {
  const { output, title } = options;
  const page =
    session.json && output === undefined ? undefined : await openReport(output ?? DEFAULT_OUTPUT, session);
  const merged = await readResults(results, session.cwd);
  const data = title === undefined ? merged : { ...merged, title };
  await page?.write(data);
  session.document(data);
}

/** @throws `E_IO`, `E_RESULT_FORMAT` */
async function readResults(paths: readonly string[], cwd: string): Promise<ReportData> {
  const { addSpeeds, DocumentError, mergeReports, readReport, readSpeeds } = await import("@fewbit/report");
  const located = <T>(path: string, work: () => T): T => {
    try {
      return work();
    } catch (error) {
      throw error instanceof DocumentError ? unreadable(error.message, path) : error;
    }
  };
  let merged: ReportData | undefined;
  // Speeds know no reference: they are added when all models are known.
  const benches: [string, Speeds][] = [];
  for (const path of paths) {
    const document = await readJson(resolve(cwd, path), path);
    located(path, () => {
      const speeds = readSpeeds(document);
      if (speeds !== undefined) benches.push([path, speeds]);
      else {
        const next = readReport(document);
        merged = merged === undefined ? next : mergeReports(merged, next);
      }
    });
  }
  if (merged === undefined)
    throw new FewbitError(
      "E_USAGE",
      "There are only speeds: nothing says what candidates cost.",
      {},
      "Give results of fewbit compare or fewbit error as well.",
    );
  return benches.reduce<ReportData>(
    (report, [path, speeds]) => located(path, () => addSpeeds(report, speeds)),
    merged,
  );
}

async function readJson(file: string, path: string): Promise<unknown> {
  const text = await readFile(file, "utf8").catch((cause: unknown) => {
    throw ioError(cause, "reading", path);
  });
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw unreadable(`It is no JSON: ${(cause as Error).message}.`, path);
  }
}

const unreadable = (message: string, path: string): FewbitError =>
  new FewbitError(
    "E_RESULT_FORMAT",
    message,
    { file: path },
    "Give a file with what fewbit compare, error or bench prints with --json.",
  );
