import { basename, join } from "node:path";
import {
  type DownloadedFile,
  type DownloadPlan,
  download,
  type HubFile,
  parseAddress,
  planDownload,
} from "@fewbit/hub";
import { type Command, Option } from "commander";
import { followStages } from "../progress.js";
import { escapeControls, formatBytes, formatDuration, listNames, table } from "../render.js";
import {
  type CommonOptions,
  collect,
  examples,
  openSession,
  type Session,
  type Surroundings,
  withCommonOptions,
} from "../session.js";

interface DownloadOptions extends CommonOptions {
  readonly output?: string;
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  readonly revision?: string;
  readonly dryRun?: boolean;
  readonly force?: boolean;
}

const HELP = `
Without --include come the weights in safetensors, or the one GGUF model where there are none, and what belongs to
them: settings, tokenizer, card and licence. Pickled weights (.bin, .pt and others) run as a program where they are
loaded; they are taken only where a pattern or the address names them.

A download that was stopped goes on where it was when the same command is given again. Every file is checked against
the hub's checksum before it gets its name. Set HF_TOKEN for private and gated models; it is sent to the hub only.
HF_ENDPOINT names another hub.
${examples(
  "fewbit download hf://HuggingFaceTB/SmolLM2-135M-Instruct",
  "fewbit download hf://org/model-GGUF --include '*Q8_0*' -o models",
  "fewbit download hf://org/model@v1.0/model-00001-of-00003.gguf",
  "fewbit download hf://org/model --exclude '*.safetensors' --dry-run",
)}`;

const patterns = (flags: string, description: string): Option =>
  new Option(flags, `${description} (* any text, ? any character; repeatable)`).argParser(collect);

export function addDownload(program: Command, world: Surroundings): void {
  const command = program
    .command("download")
    .description("Download a model from the Hugging Face Hub, resumable and checked.")
    .argument("<address>", "hf://organisation/model, with @revision or /path where wanted")
    .option("-o, --output <folder>", "where to put it (default: a folder called after the model)")
    .addOption(patterns("--include <pattern>", "take these files only"))
    .addOption(patterns("--exclude <pattern>", "leave these files out"))
    .option("--revision <name>", "branch, tag or commit (default: main)")
    .option("--dry-run", "list the files and their sizes, and download nothing")
    .option("--force", "replace files that are there with another content");
  withCommonOptions(command)
    .addHelpText("after", HELP)
    .action(async (address: string, options: DownloadOptions) => {
      await run(address, options, openSession(world, options));
    });
}

async function run(address: string, options: DownloadOptions, session: Session): Promise<void> {
  const { include, exclude, revision } = options;
  const plan = await session.stoppable(
    planDownload({
      address,
      signal: session.signal,
      ...(include === undefined ? {} : { include }),
      ...(exclude === undefined ? {} : { exclude }),
      ...(revision === undefined ? {} : { revision }),
    }),
  );
  if (plan.pickles.length > 0)
    session.note(
      `note: left out because they are pickled: ${escapeControls(listNames(plan.pickles))}; --include '${escapeControls(plan.pickles[0]!)}' would take it`,
    );
  const folder = options.output ?? join(session.cwd, basename(parseAddress(address).model));
  if (options.dryRun) return printPlan(plan, folder, session);
  const start = performance.now();
  const files = await followStages(
    download(plan, folder, { force: options.force ?? false, signal: session.signal }),
    session,
    ({ file, done, total, received }) => ({ done, total, read: received, label: file }),
  ).catch((thrown: unknown) => {
    if (session.signal.aborted)
      session.note("note: what has arrived is kept; the same command goes on from there");
    throw thrown;
  });
  printSummary(plan, files, performance.now() - start, session);
}

const source = ({ repository }: DownloadPlan) => ({
  model: repository.model,
  revision: repository.revision,
  commit: repository.commit,
});

function printPlan(plan: DownloadPlan, folder: string, session: Session): void {
  session.document({ ...source(plan), output: folder, files: plan.files, bytes: plan.bytes });
  session.print(
    table(
      [{ title: "FILE" }, { title: "SIZE", align: "right" }],
      plan.files.map((file: HubFile) => [file.path, formatBytes(file.bytes)]),
    ),
  );
  session.print(
    `\n${countFiles(plan.files.length)}, ${formatBytes(plan.bytes)} of ${escapeControls(plan.repository.name())} would be written to ${escapeControls(folder)}`,
  );
}

function printSummary(
  plan: DownloadPlan,
  files: readonly DownloadedFile[],
  milliseconds: number,
  session: Session,
): void {
  const there = files.reduce((sum, file) => sum + file.resumed, 0);
  const seconds = milliseconds / 1000;
  session.document({ ...source(plan), output: files, bytes: plan.bytes, resumed: there, seconds });
  if (session.quiet) return;
  const came = plan.bytes - there;
  session.print(
    [
      ...files.map((file) => escapeControls(file.path)),
      `${countFiles(files.length)}, ${formatBytes(plan.bytes)}${there > 0 ? `, of which ${formatBytes(there)} were there already` : ""}; ` +
        `${formatDuration(milliseconds)}${came > 0 ? `, ${formatBytes(Math.round(came / seconds))}/s` : ""}`,
    ].join("\n"),
  );
}

const countFiles = (count: number): string => `${count} ${count === 1 ? "file" : "files"}`;
