import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import {
  type Engine,
  type EngineOptions,
  FewbitError,
  fromFailure,
  isFewbitError,
  type TaskRef,
} from "@fewbit/core";
import { chooseBuild, type FindBuild, findBuild } from "./builds.js";
import type { Answer, Start, Taken } from "./protocol.js";

/** How much of what a process printed before it died is worth showing. */
const LAST_LINES = 8;

/** @param find where the libraries of a build lie; the packages that are installed with this one when absent */
export const createEngine = (find: FindBuild = findBuild): Engine => ({
  id: "llama.cpp",
  summary: "llama.cpp v0.5.0, as node-llama-cpp builds it: every architecture and type that it knows",
  async *run<Output>(
    task: TaskRef,
    input: unknown,
    { signal }: EngineOptions = {},
  ): AsyncGenerator<Output, void, undefined> {
    if (signal?.aborted) throw aborted(signal);
    const process = new EngineProcess({ build: chooseBuild(find), task: task.url, input }, signal);
    try {
      for (;;) {
        const answer = await process.answer();
        if ("failure" in answer) throw fromFailure(answer.failure);
        if ("done" in answer) return;
        yield answer.value as Output;
        process.take();
      }
    } finally {
      await process.end();
    }
  },
});

const aborted = (signal: AbortSignal): FewbitError =>
  isFewbitError(signal.reason)
    ? signal.reason
    : new FewbitError("E_ABORTED", "The run was stopped.", {}, undefined, signal.reason);

/** One child process, from its first message to its last breath. */
class EngineProcess {
  readonly #child: ChildProcess;
  readonly #signal: AbortSignal | undefined;
  readonly #answers: Answer[] = [];
  readonly #closed: Promise<void>;
  #ended: FewbitError | undefined;
  #stderr = "";
  #wake = (): void => {};

  constructor(start: Start, signal: AbortSignal | undefined) {
    this.#signal = signal;
    this.#child = fork(fileURLToPath(new URL("./host.js", import.meta.url)), {
      serialization: "advanced",
      execArgv: [],
      // Before it aborts, ggml would call a debugger, or print a stack in which its reason is lost.
      env: { ...process.env, GGML_NO_BACKTRACE: "1" },
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    const child = this.#child;
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-8192);
    });
    child.on("message", (answer: Answer) => {
      this.#answers.push(answer);
      this.#wake();
    });
    this.#closed = new Promise((resolve) => {
      const finish = (error: FewbitError): void => {
        this.#ended ??= error;
        this.#wake();
        resolve();
      };
      // With "close", everything that the process said has been read.
      child.once("close", (code, name) => finish(this.#died(code, name)));
      // Later errors are of messages to a process that is gone, which "close" tells about.
      child.on("error", (cause) => {
        if (child.pid === undefined) finish(this.#failed(cause));
      });
    });
    signal?.addEventListener("abort", this.#abort);
    try {
      child.send(start, () => {}); // A process that is gone says so itself.
    } catch (cause) {
      this.#ended = new FewbitError(
        "E_PLUGIN_FAILED",
        `The input of a task cannot be sent: ${cause instanceof Error ? cause.message : cause}`,
        { file: start.task },
        "Use plain data: no functions, no class instances.",
        cause,
      );
    }
  }

  /** The next answer. @throws `E_ENGINE_DIED`, `E_ABORTED` */
  async answer(): Promise<Answer> {
    for (;;) {
      if (this.#signal?.aborted) throw aborted(this.#signal);
      const answer = this.#answers.shift();
      if (answer !== undefined) return answer;
      if (this.#ended !== undefined) throw this.#ended;
      await new Promise<void>((wake) => {
        this.#wake = wake;
      });
    }
  }

  take(): void {
    const message: Taken = "taken";
    if (this.#child.connected) this.#child.send(message, () => {});
  }

  /** Nothing of the process is left afterwards, nor of what listened to it. */
  async end(): Promise<void> {
    this.#signal?.removeEventListener("abort", this.#abort);
    // Nothing in it needs to be saved, and native code would not listen.
    this.#child.kill("SIGKILL");
    await this.#closed;
  }

  readonly #abort = (): void => {
    this.#child.kill("SIGKILL");
    this.#wake();
  };

  #died(code: number | null, name: NodeJS.Signals | null): FewbitError {
    const lines = this.#stderr.trim().split("\n").slice(-LAST_LINES).join("\n");
    return new FewbitError(
      "E_ENGINE_DIED",
      `The process of llama.cpp ended with ${name ?? `status ${code}`}${lines === "" ? "." : `: ${lines}`}`,
      {},
      name === "SIGKILL"
        ? "The system may have run out of memory: use a smaller context, or a smaller model."
        : "Update the model file if it is old; otherwise report it with the command and the model.",
    );
  }

  #failed(cause: Error): FewbitError {
    return new FewbitError(
      "E_ENGINE_DIED",
      `The process of llama.cpp cannot be started: ${cause.message}`,
      {},
      "Check the limits on processes and memory.",
      cause,
    );
  }
}
