import { type ChildProcess, spawn } from "node:child_process";
import { getEventListeners } from "node:events";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { FewbitError } from "@fewbit/core";
import { createEngine, llama } from "@fewbit/engine-llama";
import { describe, expect, test } from "vitest";
import { sharedFolder } from "../../../tooling/golden.js";
import { folder, stories } from "./models.js";
import { build, run, start } from "./run.js";

const wait = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Rejects in words where it does not happen within ten seconds. */
async function until(what: string, test: () => boolean): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (test()) return;
    await wait(20);
  }
  throw new Error(`did not happen: ${what}`);
}

/** Gives its process away, then computes for ever without a pause. */
function* endless(_: unknown, kind: "busy" | "yielding"): Generator<number> {
  yield process.pid;
  for (let i = 0; ; i++) if (kind === "yielding") yield i;
}

describe.skipIf(build === undefined)("the process of the engine", () => {
  test("hands over typed arrays, maps and nested values, both ways", async () => {
    const input = { floats: Float32Array.of(1.5, Number.NaN), names: new Map([["a", [1n, undefined]]]) };
    const [back] = await run(function* (_, input) {
      yield input;
    }, input);
    expect(back).toEqual(input);
  });

  test("is another one, prints nothing and is gone at the end", async () => {
    const [pid] = await run(function* () {
      console.log("nobody sees this");
      yield process.pid;
    }, undefined);
    expect(pid).not.toBe(process.pid);
    expect(alive(pid!)).toBe(false);
  });

  test("is ended by leaving the loop", async () => {
    let seen = 0;
    for await (const pid of start(endless, "busy" as const)) {
      seen = pid;
      expect(alive(pid)).toBe(true);
      break;
    }
    expect(alive(seen)).toBe(false);
  });

  test("is ended by the signal, in the middle of a computation, and leaves no listener", async () => {
    const controller = new AbortController();
    let seen = 0;
    const running = (async () => {
      for await (const pid of start(endless, "busy" as const, { signal: controller.signal })) seen = pid;
    })();
    await until("the start", () => seen !== 0);
    controller.abort();
    await expect(running).rejects.toMatchObject({ code: "E_ABORTED", message: "The run was stopped." });
    expect(alive(seen)).toBe(false);
    expect(getEventListeners(controller.signal, "abort")).toEqual([]);
  });

  test("is not even started for a signal that has fired", async () => {
    const reason = Object.assign(new Error("enough"), { name: "FewbitError", code: "E_ABORTED" });
    await expect(run(endless, "busy" as const, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  test("waits for values to be taken", async () => {
    const file = join(folder, "yielded");
    writeFileSync(file, "");
    let read = 0;
    for await (const _ of start(async function* (_, file) {
      const { appendFileSync } = process.getBuiltinModule("node:fs");
      for (;;) {
        appendFileSync(file, ".");
        yield new Uint8Array(1 << 16);
      }
    }, file)) {
      read++;
      await wait(5);
      if (read === 40) break;
    }
    expect(statSync(file).size).toBeGreaterThanOrEqual(40);
    expect(statSync(file).size).toBeLessThan(40 + 40);
  });

  test("brings errors of the task as they were thrown", async () => {
    const failing = run(function* () {
      yield 1;
      throw Object.assign(new Error("The text is empty"), {
        name: "FewbitError",
        code: "E_TEXT",
        at: { file: "a.txt", offset: 3 },
        remedy: "Write something.",
      });
    }, undefined);
    await expect(failing).rejects.toMatchObject({
      code: "E_TEXT",
      message: "The text is empty",
      at: { file: "a.txt", offset: 3 },
      remedy: "Write something.",
    });
    await expect(
      run(function* () {
        yield (undefined as unknown as { length: number }).length;
      }, undefined),
    ).rejects.toMatchObject({ code: "E_INTERNAL", message: expect.stringContaining("reading 'length'") });
  });

  test("says which task cannot be sent, imported or called", async () => {
    await expect(
      run(
        function* () {},
        () => 1,
      ),
    ).rejects.toMatchObject({
      code: "E_PLUGIN_FAILED",
      message: expect.stringMatching(/^The input of a task cannot be sent: .*could not be cloned/),
    });
    await expect(
      run(function* () {
        yield () => 1;
      }, undefined),
    ).rejects.toMatchObject({
      code: "E_PLUGIN_FAILED",
      message: expect.stringMatching(/^The task yields what cannot be sent: .*could not be cloned/),
    });
    const task = async (url: string) => {
      for await (const _ of llama.run({ url }, undefined)) void _;
    };
    const missing = new URL("./absent.mjs", import.meta.url).href;
    await expect(task(missing)).rejects.toMatchObject({
      code: "E_PLUGIN_FAILED",
      message: expect.stringMatching(/^The task cannot be imported: Cannot find module/),
      at: { file: missing },
    });
    await expect(task("node:os")).rejects.toMatchObject({
      code: "E_PLUGIN_FAILED",
      message: "The task has no task as its default export.",
    });
  });
});

describe.skipIf(build === undefined || process.platform === "win32")("a process that dies", () => {
  const die = (name: NodeJS.Signals) =>
    run(function* (_, name) {
      yield 1;
      process.stderr.write("the last words\n");
      process.kill(process.pid, name);
      for (;;);
    }, name);

  for (const name of ["SIGSEGV", "SIGABRT", "SIGKILL"] as const)
    test(`of ${name} is reported with its last words`, async () => {
      await expect(die(name)).rejects.toMatchObject({
        code: "E_ENGINE_DIED",
        message: `The process of llama.cpp ended with ${name}: the last words`,
        remedy: expect.stringContaining(name === "SIGKILL" ? "out of memory" : "report it"),
      });
    });

  test("by leaving is reported with its status", async () => {
    await expect(
      run(function* () {
        process.exit(7);
        yield 1;
      }, undefined),
    ).rejects.toMatchObject({
      code: "E_ENGINE_DIED",
      message: "The process of llama.cpp ended with status 7.",
    });
  });

  test.skipIf(sharedFolder === undefined)(
    "of an assertion of llama.cpp takes nothing else with it, and calls no debugger (needs the shared folder)",
    async () => {
      const tools = join(folder, "tools");
      mkdirSync(tools);
      writeFileSync(join(tools, "gdb"), `#!/bin/sh\n: > '${tools}/called'\n`, { mode: 0o755 });
      const { PATH } = process.env;
      process.env.PATH = `${tools}:${PATH}`;
      try {
        // Its tokenizer has no tokens for bytes, which llama.cpp takes for granted.
        const path = `${sharedFolder}/models/TinyStories-656K-w256-f16.gguf`;
        await expect(
          run(function* (host, path) {
            yield host.load(path).tokenize("é", false, false);
          }, path),
        ).rejects.toMatchObject({
          code: "E_ENGINE_DIED",
          message: expect.stringMatching(/^The process of llama\.cpp ended with SIGABRT: .*out_of_range/s),
        });
        expect(readdirSync(tools)).toEqual(["gdb"]);
      } finally {
        process.env.PATH = PATH;
      }
    },
  );

  test("does so when its parent is killed", async () => {
    const script = join(folder, "parent.mjs");
    const file = join(folder, "pid");
    writeFileSync(
      script,
      `import { writeFileSync } from "node:fs";
       const { llama } = await import(${JSON.stringify(import.meta.resolve("@fewbit/engine-llama"))});
       const script = ${JSON.stringify(String(endless))};
       const url = ${JSON.stringify(new URL("./script.mjs", import.meta.url).href)};
       for await (const pid of llama.run({ url }, { script, input: process.argv[2] }))
         if (pid > 1) writeFileSync(${JSON.stringify(file)}, String(pid));`,
    );
    // Elsewhere than on Linux a process notices between two values.
    const kind = process.platform === "linux" ? "busy" : "yielding";
    const parent: ChildProcess = spawn(process.execPath, [script, kind], { stdio: "ignore" });
    await until("the start", () => existsSync(file) && readFileSync(file, "utf8") !== "");
    const pid = Number(readFileSync(file, "utf8"));
    expect(alive(pid)).toBe(true);
    parent.kill("SIGKILL");
    await until("the end", () => !alive(pid));
  });
});

describe("builds of llama.cpp", () => {
  const fails = async (engine: typeof llama): Promise<FewbitError> => {
    try {
      for await (const _ of engine.run({ url: "node:os" }, undefined)) void _;
    } catch (error) {
      return error as FewbitError;
    }
    throw new Error("nothing was thrown");
  };

  test("one that is not installed", async () => {
    const asked: string[] = [];
    const error = await fails(
      createEngine((name) => {
        asked.push(name);
        return undefined;
      }),
    );
    expect(error).toMatchObject({
      code: "E_ENGINE_MISSING",
      message: `The package @node-llama-cpp/${asked.at(-1)}, which holds llama.cpp for this machine, is not installed.`,
      remedy: `Install it: npm install @node-llama-cpp/${asked.at(-1)}@3.22.1`,
    });
  });

  test("one without libraries", async () => {
    const empty = join(folder, "empty");
    mkdirSync(empty);
    expect(await fails(createEngine(() => ({ folder: empty, fallbacks: [] })))).toMatchObject({
      code: "E_ENGINE_MISSING",
      message: "There is no library ggml-base in the package of llama.cpp.",
      at: { file: empty },
    });
  });

  /** This machine's build with its main library under another name, or another one in its place. */
  function changed(
    name: string,
    change: { readonly rename?: string; readonly content?: RegExp },
  ): typeof llama {
    const copy = join(folder, name);
    mkdirSync(copy);
    const files = readdirSync(build!.folder).filter((file) => /\.(so|dylib|dll)$/.test(file));
    for (const file of files) {
      const isMain = /^(lib)?llama\.v/.test(file);
      const content = isMain && change.content ? files.find((other) => change.content!.test(other))! : file;
      const target = isMain && change.rename ? file.replace("v0.5.0", change.rename) : file;
      copyFileSync(join(build!.folder, content), join(copy, target));
    }
    return createEngine(() => ({ folder: copy, fallbacks: [] }));
  }

  test.skipIf(build === undefined)("one of another release", async () => {
    expect(await fails(changed("newer", { rename: "v0.6.0" }))).toMatchObject({
      code: "E_ENGINE_VERSION",
      message: "The library is of release v0.6.0; v0.5.0 is needed.",
      at: { file: expect.stringMatching(/llama\.v0\.6\.0/) },
      remedy: expect.stringContaining("@fewbit/engine-llama"),
    });
  });

  test.skipIf(build === undefined)("one that lacks functions", async () => {
    expect(await fails(changed("lacking", { content: /ggml-base/ }))).toMatchObject({
      code: "E_ENGINE_VERSION",
      message: expect.stringMatching(/^The library lacks .*llama_version/),
    });
  });

  test.skipIf(build === undefined)("one that is no library", async () => {
    const broken = join(folder, "broken");
    mkdirSync(broken);
    const name = readdirSync(build!.folder).find((file) => file.includes("ggml-base"))!;
    writeFileSync(join(broken, name), "nothing");
    expect(await fails(createEngine(() => ({ folder: broken, fallbacks: [] })))).toMatchObject({
      code: "E_ENGINE_MISSING",
      message: expect.stringMatching(/^The library of llama\.cpp cannot be loaded: /),
      at: { file: join(broken, name) },
    });
  });

  const portable =
    build !== undefined && readdirSync(build.folder).some((file) => file.includes("ggml-cpu-x64."));
  test.skipIf(!portable)("one for a named processor", async () => {
    const version = () =>
      run(function* ({ version }) {
        yield version;
      }, undefined);
    try {
      process.env.FEWBIT_LLAMA_CPU = "x64";
      expect(await version()).toEqual(["llama.cpp v0.5.0 (x64)"]);
      process.env.FEWBIT_LLAMA_CPU = "abacus";
      await expect(version()).rejects.toMatchObject({
        code: "E_ENGINE_MISSING",
        message: "FEWBIT_LLAMA_CPU names a build of llama.cpp that cannot be used: there is no abacus.",
        remedy: expect.stringMatching(/^Unset it, or name another: .*\bx64\b.*\.$/),
      });
    } finally {
      delete process.env.FEWBIT_LLAMA_CPU;
    }
  });

  test("importing the plugin loads nothing native", async () => {
    const child = spawn(
      process.execPath,
      [
        "--input-type=module",
        "-e",
        `await import(${JSON.stringify(import.meta.resolve("@fewbit/engine-llama"))});
         console.log(process.report.getReport().sharedObjects.filter((x) => /koffi|ggml|llama/.test(x)).length)`,
      ],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    let out = "";
    for await (const text of child.stdout) out += text;
    expect(out.trim()).toBe("0");
  });
});

test.skipIf(build === undefined)("many runs leave nothing behind", async () => {
  const controller = new AbortController();
  const pids = await Promise.all(
    Array.from({ length: 4 }, () =>
      run(
        function* (host, path) {
          host.load(path, { vocabularyOnly: true });
          yield process.pid;
        },
        stories,
        { signal: controller.signal },
      ),
    ),
  );
  expect(pids.flat().some(alive)).toBe(false);
  expect(getEventListeners(controller.signal, "abort")).toEqual([]);
});
