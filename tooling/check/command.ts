import { spawn } from "node:child_process";
import { delimiter, join } from "node:path";
import { root } from "./workspace.js";

interface Ended {
  readonly status: number;
  /** stdout and stderr, in the order in which they came, without colour. */
  readonly output: string;
}

/** Runs a program of node_modules/.bin in a folder of the root. */
export function command(program: string, args: readonly string[], folder = "."): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: join(root, folder),
      env: {
        ...process.env,
        PATH: join(root, "node_modules/.bin") + delimiter + process.env.PATH,
        NO_COLOR: "1",
        FORCE_COLOR: "0",
      },
      shell: process.platform === "win32",
    });
    let output = "";
    child.stdout.on("data", (data) => {
      output += data;
    });
    child.stderr.on("data", (data) => {
      output += data;
    });
    child.on("error", reject).on("close", (code) => resolve({ status: code ?? 1, output }));
  });
}
