import { type Engine, type EngineOptions, type FewbitError, isFewbitError } from "@fewbit/core";
import type { Logits, Observed, Texts, Wanted } from "./engine-task.js";
import { describe, equal, hold, type TestFunction, thrownBy } from "./law.js";

/** What `testEngine` is given. */
export interface EngineTestOptions {
  /** The `test` of your test runner. */
  readonly test: TestFunction;
  /** A file that the engine loads: a small model with a tokenizer. */
  readonly model: string;
  /** What it reads; a text that tokenizing changes by no more than a space in front. */
  readonly text?: string;
}

/** As large as rounding makes them where sums are taken in another order, next to how far two logits lie apart. */
const TOLERANCE = 0.02;

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** The contract every engine keeps: a process of its own, and the same logits however they are asked for. */
export function testEngine(engine: Engine, options: EngineTestOptions): void {
  const { model: path, text = "One day, a dog and a cat went to the park." } = options;
  const task = { url: new URL("./engine-task.js", import.meta.url).href };
  const law = (name: string, run: () => Promise<void>) => options.test(`${engine.id}: ${name}`, run);
  const start = <Output>(wanted: Wanted, given?: EngineOptions): AsyncIterable<Output> =>
    engine.run<Output>(task, wanted, given);
  /** The one value that a task yields. */
  const answer = async <Output>(wanted: Wanted): Promise<Output> => {
    const values: Output[] = [];
    for await (const value of start<Output>(wanted)) values.push(value);
    hold(values.length === 1, `a task that yields one value yielded ${values.length}`);
    return values[0]!;
  };
  const failure = async (run: () => Promise<unknown>): Promise<FewbitError> => {
    const thrown = await thrownBy(run);
    hold(isFewbitError(thrown), `the run must end with a FewbitError; ${describe(thrown)}`);
    return thrown;
  };

  law("what structured clone can carry crosses both ways", async () => {
    const value = { floats: Float32Array.of(1.5, Number.NaN), map: new Map([["a", [1n, undefined]]]) };
    const back = await answer({ law: "echo", value });
    hold(equal(back, value), "the value that came back is another one");
  });

  law("an error crosses with code, message, place and remedy", async () => {
    const { code, message, at, remedy } = await failure(() => answer({ law: "refuse" }));
    const found = { code, message, at, remedy };
    const expected = {
      code: "E_TEXT",
      message: "The text is refused",
      at: { file: "a.txt", offset: 7 },
      remedy: "Write another.",
    };
    hold(equal(found, expected), `the error arrived as ${JSON.stringify(found)}`);
  });

  law("a process of its own, ended by leaving the loop", async () => {
    let pid = 0;
    for await (pid of start<number>({ law: "hang" })) break;
    hold(pid !== process.pid, "the task ran in the caller's process");
    hold(!alive(pid), "the process is still there after the loop was left");
  });

  law("the signal stops a task that never looks up", async () => {
    const controller = new AbortController();
    let pid = 0;
    const { code } = await failure(async () => {
      for await (pid of start<number>({ law: "hang" }, { signal: controller.signal })) controller.abort();
    });
    hold(code === "E_ABORTED", `the run ended with ${code}, not E_ABORTED`);
    hold(!alive(pid), "the process is still there after the signal");
    const again = await failure(async () => {
      for await (const _ of start({ law: "hang" }, { signal: controller.signal }))
        throw new Error("a task was run although the signal had fired");
    });
    hold(again.code === "E_ABORTED", `a run whose signal had fired ended with ${again.code}, not E_ABORTED`);
  });

  law("a process that dies is an error", async () => {
    const died = await failure(async () => {
      for await (const _ of start({ law: "die" })) void _;
    });
    hold(died.code === "E_ENGINE_DIED", `the run ended with ${describe(died)}, not with E_ENGINE_DIED`);
  });

  law("a file that is no model is an error with its name", async () => {
    const own = new URL("./engine-task.js", import.meta.url);
    const { fileURLToPath } = await import("node:url");
    const letter = fileURLToPath(own);
    const error = await failure(() => answer({ law: "load", path: letter }));
    hold(error.code === "E_ENGINE_LOAD", `JavaScript was loaded as a model: ${describe(error)}`);
    hold(error.at.file === letter, `the error is of ${error.at.file}, not of ${letter}`);
  });

  law("tokens are of the vocabulary, and spell the text", async () => {
    const { tokens, again, vocabulary } = await answer<Texts>({ law: "texts", path, text });
    hold(tokens.length > 1, `the text has ${tokens.length} tokens`);
    const strange = tokens.find((token) => token < 0 || token >= vocabulary);
    hold(strange === undefined, `token ${strange} is none of the ${vocabulary} of the vocabulary`);
    hold(again.trimStart() === text, `the text came back as ${JSON.stringify(again)}`);
  });

  law("logits do not depend on how tokens are put together", async () => {
    const found = await answer<Logits>({ law: "logits", path, text });
    const { length, vocabulary, oneByOne, otherSequence, afterClear, between } = found;
    hold(length === vocabulary, `${length} logits for a vocabulary of ${vocabulary}`);
    hold(between > 0, "the logits after two different tokens are the same");
    hold(afterClear === 0, `the same batch gives other logits after clear, by ${afterClear}`);
    for (const [name, distance] of Object.entries({
      "one by one": oneByOne,
      "as a second sequence": otherSequence,
    }))
      hold(
        distance <= TOLERANCE * between,
        `the logits of tokens given ${name} differ by ${distance} from those given at once`,
      );
  });

  law("an observer sees each input it wants, whole", async () => {
    const { tokens, asked, seen } = await answer<Observed>({ law: "observe", path, text });
    hold(seen.length > 0, "no input of a weight of the first layer was shown");
    hold(asked > seen.length, "inputs were shown of every product that was asked about");
    for (const { weight, columns, numbers, wantedColumns, finite, experts } of seen) {
      hold(weight.startsWith("blk.0."), `the input of ${weight} was shown, which was not wanted`);
      hold(columns === wantedColumns, `${weight} has ${wantedColumns} columns, and inputs of ${columns}`);
      hold(
        experts > 1 || numbers === tokens * columns,
        `${weight} was shown ${numbers / columns} vectors for ${tokens} tokens`,
      );
      hold(finite, `an input of ${weight} is not finite`);
    }
  });
}
