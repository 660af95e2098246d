// The engine's process: loads the library, imports the task and hands on what it yields. It ends when its parent does.
import { once } from "node:events";
import { type EngineTask, FewbitError, isFewbitError, toFailure } from "@fewbit/core";
import { type Answer, type Start, type Taken, WINDOW } from "./protocol.js";

// Ctrl-C reaches every process of a terminal; what it means for the run is for the parent to say.
process.on("SIGINT", () => {});
process.on("disconnect", () => process.exit());

const [start] = (await once(process, "message")) as [Start];
let untaken = 0;
let resume = (): void => {};
process.on("message", (message: Taken) => {
  if (message !== "taken") return;
  untaken--;
  resume();
});

try {
  for await (const value of await begin(start)) {
    await send({ value });
    untaken++;
    while (untaken >= WINDOW) await new Promise<void>((taken) => (resume = taken));
  }
  await send({ done: true });
} catch (error) {
  await send({ failure: toFailure(error) });
}

async function begin({
  build,
  task: url,
  input,
}: Start): Promise<AsyncIterable<unknown> | Iterable<unknown>> {
  const { openHost } = await importNative();
  const host = openHost(build);
  const task = await importTask(url);
  return task(host, input);
}

/** Only here, so that a machine without koffi's library is told about in words. */
async function importNative(): Promise<typeof import("./native.js")> {
  try {
    return await import("./native.js");
  } catch (cause) {
    throw new FewbitError(
      "E_ENGINE_MISSING",
      `koffi, which calls the library of llama.cpp, cannot be loaded: ${messageOf(cause)}`,
      {},
      "Install the packages again; koffi has a library of its own for each platform.",
      cause,
    );
  }
}

async function importTask(url: string): Promise<EngineTask> {
  let task: unknown;
  try {
    task = ((await import(url)) as { default?: unknown }).default;
  } catch (cause) {
    if (isFewbitError(cause)) throw cause;
    throw broken(url, `cannot be imported: ${messageOf(cause)}`, cause);
  }
  if (typeof task !== "function") throw broken(url, "has no task as its default export.");
  return task as EngineTask;
}

function broken(file: string, what: string, cause?: unknown): FewbitError {
  return new FewbitError("E_PLUGIN_FAILED", `The task ${what}`, { file }, "Report it to its authors.", cause);
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

/** Resolves when the message has left, and gives disconnection and messages a chance to be noticed. */
function send(answer: Answer): Promise<void> {
  return new Promise((resolve, reject) => {
    try {
      process.send!(answer, (error: Error | null) => (error === null ? resolve() : reject(error)));
    } catch (cause) {
      reject(broken(start.task, `yields what cannot be sent: ${messageOf(cause)}`, cause));
    }
  });
}
