import type { Registry } from "@fewbit/core";
import { type Command, Option } from "commander";
import { loadConfig } from "./config.js";
import { loadRegistry } from "./plugins.js";
import type { ProgressStream } from "./progress.js";
import { escapeControls, toJson } from "./render.js";

/** The outside world, so that tests can hold it. */
export interface Surroundings {
  readonly stdout: ProgressStream;
  readonly stderr: ProgressStream;
  readonly cwd: string;
  /** Aborted by the first Ctrl-C, with an `E_ABORTED` as its reason. */
  readonly signal: AbortSignal;
}

/** Options of every command. */
export interface CommonOptions {
  readonly plugin?: readonly string[];
  readonly config?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly debug?: boolean;
}

/** What a command is given besides its own arguments. */
export interface Session extends Surroundings {
  readonly json: boolean;
  readonly quiet: boolean;
  /** For people, on standard output; escaped by the caller where it holds names. Nothing under `--json`. */
  print(text: string): void;
  /** The one JSON document of a `--json` run; nothing otherwise. */
  document(value: unknown): void;
  /** One line on standard error, also under `--json`; nothing under `--quiet`. */
  note(text: string): void;
  /** The same promise, rejected as soon as the run is stopped: for work that leaves nothing to clean up. */
  stoppable<T>(work: Promise<T>): Promise<T>;
  /** Plugins and configuration; `models` are the files a command was given, whose folders bring no configuration. */
  registry(...models: readonly string[]): Promise<Registry>;
}

/** Collects a repeatable option. */
export const collect = (value: string, previous: readonly string[] = []): readonly string[] => [
  ...previous,
  value,
];

/** Adds the options that every command has. */
export function withCommonOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        "--plugin <specifier>",
        "load a plugin: a package, a path, a file URL (repeatable)",
      ).argParser(collect),
    )
    .option("--config <file>", "configuration file (default: fewbit.config.{ts,mts,js,mjs,json} here)")
    .option("--json", "print one JSON document, errors included")
    .option("--quiet", "print errors, and what was asked for, and nothing else")
    .option("--debug", "show where an error comes from");
}

export const examples = (...lines: readonly string[]): string =>
  `\nExamples:\n${lines.map((line) => `  $ ${line}\n`).join("")}`;

export function openSession(world: Surroundings, options: CommonOptions): Session {
  const json = options.json ?? false;
  const quiet = options.quiet ?? false;
  const note = (text: string): void => {
    if (!quiet) world.stderr.write(`${text}\n`);
  };
  return {
    ...world,
    json,
    quiet,
    print: (text) => {
      if (!json) world.stdout.write(`${text}\n`);
    },
    document: (value) => {
      if (json) world.stdout.write(`${toJson(value)}\n`);
    },
    note,
    stoppable: async (work) => {
      let stop = (): void => {};
      const stopped = new Promise<never>((_, reject) => {
        stop = () => reject(world.signal.reason);
      });
      if (world.signal.aborted) stop();
      else world.signal.addEventListener("abort", stop, { once: true });
      try {
        return await Promise.race([work, stopped]);
      } finally {
        world.signal.removeEventListener("abort", stop);
      }
    },
    registry: async (...models) => {
      const loaded = await loadConfig(world.cwd, {
        ...(options.config === undefined ? {} : { named: options.config }),
        models,
        note: (text) => note(escapeControls(text)),
      });
      return loadRegistry(world.cwd, options.plugin ?? [], loaded);
    },
  };
}
