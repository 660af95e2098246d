import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { run } from "../src/program.js";

export const main = fileURLToPath(new URL("../dist/main.js", import.meta.url));
if (!existsSync(main)) throw new Error("apps/cli is not built: run its build before its tests.");

export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The environment without what a test runner or a developer's shell adds to it. */
export const environment: NodeJS.ProcessEnv = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(NODE_|VITEST|FORCE_COLOR|NO_COLOR|npm_)/.test(name)),
);

export interface Running {
  readonly child: ReturnType<typeof spawn>;
  readonly ended: Promise<Ended>;
}

/** Starts the built program as users run it: in a process of its own, with pipes instead of a terminal. */
export function start(args: readonly string[], cwd: string): Running {
  const child = spawn(process.execPath, [main, ...args], {
    cwd,
    env: environment,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const)
    child[name].setEncoding("utf8").on("data", (text: string) => {
      output[name] += text;
    });
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status, signal) => {
      if (signal === null) resolve({ status, ...output });
      else reject(new Error(`fewbit ended with ${signal}:\n${output.stderr}`));
    });
  });
  return { child, ended };
}

export const fewbit = (args: readonly string[], cwd: string): Promise<Ended> => start(args, cwd).ended;

/** The same code in this process, without a start-up for each of a hundred files. */
export async function runHere(args: readonly string[], cwd: string): Promise<Ended> {
  const output = { stdout: "", stderr: "" };
  const stream = (name: "stdout" | "stderr") => ({
    write: (text: string) => {
      output[name] += text;
    },
  });
  const { signal } = new AbortController();
  const status = await run(args, { stdout: stream("stdout"), stderr: stream("stderr"), cwd, signal });
  return { status, ...output };
}
