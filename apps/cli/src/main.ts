#!/usr/bin/env node
import { FewbitError } from "@fewbit/core";
import { describe, endingOf } from "./failure.js";
import { run } from "./program.js";

const controller = new AbortController();

// A reader that goes away (`fewbit inspect … | head`) is no error, and does not stop a file from being written.
let broken: Error | undefined;
for (const [path, stream] of [
  ["standard output", process.stdout],
  ["standard error", process.stderr],
] as const)
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") return;
    broken ??= Object.assign(error, { path });
    controller.abort(error);
  });

const statuses = { SIGINT: 130, SIGTERM: 143, SIGHUP: 143 } as const;
let stopped: number | undefined;
for (const [name, status] of Object.entries(statuses) as [keyof typeof statuses, number][])
  process.on(name, () => {
    // The first stops the run in good order; whoever insists gets out at once.
    if (stopped !== undefined) process.exit(status);
    stopped = status;
    controller.abort(
      new FewbitError("E_ABORTED", `Stopped by ${name}; nothing unfinished has the name of an output.`),
    );
  });

const status = await run(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  cwd: process.cwd(),
  signal: controller.signal,
});
// A request that hangs must not keep a stopped program alive; otherwise the process ends when its work has.
if (stopped !== undefined) process.exit(status === 130 ? stopped : status);
process.exitCode = status;
// The last of the output may fail when everything else has succeeded.
process.once("beforeExit", () => {
  if (broken === undefined || status !== 0) return;
  const { exit, failure } = endingOf(broken);
  process.stderr.write(`${describe(failure!)}\n`);
  process.exitCode = exit;
});
