// The engine's process: loads the library, imports the task and hands on what it yields. It ends when its parent does.
import { once } from "node:events";
import { type EngineHost, type EngineTask, FewbitError, isFewbitError, toFailure } from "@fewbit/core";
import koffi from "koffi";
import { loadLibrary } from "./library.js";
import { loadModel } from "./model.js";
import { type Answer, type Start, type Taken, WINDOW } from "./protocol.js";

// Ctrl-C reaches every process of a terminal; what it means for the run is for the parent to say.
process.on("SIGINT", () => {});
process.on("disconnect", () => process.exit());
endWithParent();

const [start] = (await once(process, "message")) as [Start];
const waiting = new Set<() => void>();
let untaken = 0;
process.on("message", (message: Taken) => {
  if (message !== "taken") return;
  untaken--;
  for (const resume of waiting) resume();
  waiting.clear();
});

try {
  for await (const value of await begin(start)) {
    await send({ value });
    untaken++;
    while (untaken >= WINDOW) await new Promise<void>((resume) => waiting.add(resume));
  }
  await send({ done: true });
} catch (error) {
  await send({ failure: toFailure(error) });
}

async function begin({
  folder,
  task: url,
  input,
}: Start): Promise<AsyncIterable<unknown> | Iterable<unknown>> {
  const library = loadLibrary(folder);
  const { version, devices } = library;
  const host: EngineHost = {
    version,
    devices,
    load: (path, options = {}) => loadModel(library, path, options),
  };
  const task = await importTask(url);
  return task(host, input);
}

async function importTask(url: string): Promise<EngineTask> {
  let task: unknown;
  try {
    task = ((await import(url)) as { default?: unknown }).default;
  } catch (cause) {
    if (isFewbitError(cause)) throw cause;
    throw broken(url, `cannot be imported: ${cause instanceof Error ? cause.message : cause}`, cause);
  }
  if (typeof task !== "function") throw broken(url, "has no task as its default export.");
  return task as EngineTask;
}

const broken = (file: string, what: string, cause?: unknown): FewbitError =>
  new FewbitError("E_PLUGIN_FAILED", `The task ${what}`, { file }, "Report it to its authors.", cause);

/** Resolves when the message has left, and gives disconnection and messages a chance to be noticed. */
function send(answer: Answer): Promise<void> {
  return new Promise((resolve, reject) => {
    process.send!(answer, (error: Error | null) => (error === null ? resolve() : reject(error)));
  });
}

/** Where the system offers it, even in the middle of a long computation. */
function endWithParent(): void {
  if (process.platform !== "linux") return;
  const PR_SET_PDEATHSIG = 1;
  const SIGKILL = 9;
  koffi.load(null).func("int prctl(int option, unsigned long value)")(PR_SET_PDEATHSIG, SIGKILL);
}
