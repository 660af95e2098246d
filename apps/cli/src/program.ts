import { Command } from "commander";
import { addBench } from "./commands/bench.js";
import { addCalibrate } from "./commands/calibrate.js";
import { addCompare } from "./commands/compare.js";
import { addConvert } from "./commands/convert.js";
import { addDownload } from "./commands/download.js";
import { addError } from "./commands/error.js";
import { addInspect } from "./commands/inspect.js";
import { addMerge } from "./commands/merge.js";
import { addPerplexity } from "./commands/perplexity.js";
import { addQuantize } from "./commands/quantize.js";
import { addRecipes } from "./commands/recipes.js";
import { addReport } from "./commands/report.js";
import { addSchemes } from "./commands/schemes.js";
import { addSplit } from "./commands/split.js";
import { describe, endingOf, failureJson } from "./failure.js";
import { escapeControls, toJson } from "./render.js";
import { examples, type Surroundings } from "./session.js";
import { version } from "./version.js";

/** The command line without its effects: also what the documentation is made from. */
export function createProgram(world: Surroundings): Command {
  const program = new Command("fewbit")
    .description(
      "Quantize large language models on your own machine: one npm install, no Python, no compiler.",
    )
    .version(version, "-V, --version", "print the version")
    .helpOption("-h, --help", "show help")
    .helpCommand("help [command]", "show help of a command")
    .showSuggestionAfterError()
    .addHelpText(
      "after",
      examples(
        "fewbit quantize model-f16.gguf --type Q4_K_M",
        "fewbit quantize model-f16.gguf --type Q4_K_M --dry-run",
        "fewbit convert path/to/checkpoint --outtype bf16",
        "fewbit inspect model-f16.gguf",
        "fewbit calibrate model-f16.gguf --data text.txt",
        "fewbit error model-f16.gguf model-Q4_K_M.gguf",
        "fewbit compare model-f16.gguf model-Q4_K_M.gguf --data wiki.test.raw",
        "fewbit bench model-Q4_K_M.gguf",
        "fewbit recipes",
      ) +
        "\nExit status: 0 done, 1 a bug of ours or of a plugin, 2 usage, 3 bad input, 4 input/output or space,\n5 busy, 130 or 143 stopped.\n",
    );
  addQuantize(program, world);
  addDownload(program, world);
  addConvert(program, world);
  addInspect(program, world);
  addCalibrate(program, world);
  addError(program, world);
  addPerplexity(program, world);
  addCompare(program, world);
  addBench(program, world);
  addReport(program, world);
  addSplit(program, world);
  addMerge(program, world);
  addSchemes(program, world);
  addRecipes(program, world);
  const write = {
    writeOut: (text: string) => void world.stdout.write(text),
    // Errors are thrown and put into our own form by `run`; the rest is help.
    writeErr: (text: string) => {
      if (!text.startsWith("error:")) world.stderr.write(text);
    },
  };
  for (const command of [program, ...program.commands]) command.exitOverride().configureOutput(write);
  return program;
}

/** Runs one command line (without `node` and the script) and returns the exit status. */
export async function run(argv: readonly string[], world: Surroundings): Promise<number> {
  const json = flag(argv, "--json");
  const debug = flag(argv, "--debug");
  try {
    await createProgram(world).parseAsync([...argv], { from: "user" });
    return 0;
  } catch (thrown) {
    // A run that was stopped may end in any error of something cut short; the reason is what counts.
    const { exit, failure } = endingOf(world.signal.aborted ? world.signal.reason : thrown);
    if (failure === undefined) return exit;
    if (json) world.stdout.write(`${toJson(failureJson(failure, debug))}\n`);
    else {
      const colour = world.stderr.isTTY === true && process.env.NO_COLOR === undefined;
      const text = describe(failure);
      world.stderr.write(`${colour ? text.replace(/^error\[\w+\]/, "\x1b[31m$&\x1b[39m") : text}\n`);
      if (debug && failure.stack !== undefined)
        world.stderr.write(`${failure.stack.split("\n").map(escapeControls).join("\n")}\n`);
    }
    return exit;
  }
}

/** Whether a flag was given, asked before parsing so that even a usage error is printed as was wanted. */
const flag = (argv: readonly string[], name: string): boolean => {
  const end = argv.indexOf("--");
  return (end < 0 ? argv : argv.slice(0, end)).includes(name);
};
