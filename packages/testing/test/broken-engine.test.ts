// Each broken engine fails exactly the law that names its fault. None of them computes anything: they answer the
// contract's task as a good engine would, but for one thing.
import { spawnSync } from "node:child_process";
import { type Engine, type EngineOptions, FewbitError } from "@fewbit/core";
import { expect, test } from "vitest";
import type { Logits, Observed, Texts, Wanted } from "../src/engine-task.js";
import { testEngine } from "../src/index.js";
import { failures, lawsOf } from "./collect.js";

const TEXT = "a cat";
/** Of a process that has been. */
const past = spawnSync(process.execPath, ["--version"]).pid;

const texts: Texts = { tokens: Int32Array.of(3, 4), again: ` ${TEXT}`, vocabulary: 8 };
const logits: Logits = {
  ...{ length: 8, vocabulary: 8, oneByOne: 0.01, otherSequence: 0.01, afterClear: 0, between: 5 },
};
const input = {
  ...{ weight: "blk.0.attn_q.weight", columns: 4, wantedColumns: 4, numbers: 8, finite: true, experts: 1 },
};
const observed: Observed = { tokens: 2, asked: 3, seen: [input] };

interface Parts {
  readonly echo: (value: unknown) => unknown;
  readonly refusal: FewbitError;
  readonly pid: number;
  readonly abort: (signal: AbortSignal) => void;
  readonly died: unknown;
  readonly load: (path: string) => unknown;
  readonly texts: Texts;
  readonly logits: Logits;
  readonly observed: Observed;
}

const good: Parts = {
  echo: (value) => value,
  refusal: new FewbitError("E_TEXT", "The text is refused", { file: "a.txt", offset: 7 }, "Write another."),
  pid: past,
  abort(signal) {
    if (signal.aborted) throw new FewbitError("E_ABORTED", "The run was stopped.");
  },
  died: new FewbitError("E_ENGINE_DIED", "It died."),
  load(path) {
    throw new FewbitError("E_ENGINE_LOAD", "It is no model.", { file: path });
  },
  texts,
  logits,
  observed,
};

const engine = (change: Partial<Parts> = {}): Engine => {
  const parts = { ...good, ...change };
  return {
    id: "fake",
    summary: "an engine of a test",
    async *run<Output>(_: unknown, input: unknown, { signal }: EngineOptions = {}) {
      for await (const value of answers(parts, input as Wanted, signal)) yield value as Output;
    },
  };
};

async function* answers(parts: Parts, wanted: Wanted, signal?: AbortSignal): AsyncGenerator<unknown> {
  if (signal !== undefined) parts.abort(signal);
  switch (wanted.law) {
    case "echo":
      return yield parts.echo(wanted.value);
    case "refuse":
      throw parts.refusal;
    case "hang":
      yield parts.pid;
      if (signal !== undefined) parts.abort(signal);
      return;
    case "die":
      yield parts.pid;
      if (parts.died !== undefined) throw parts.died;
      return;
    case "load":
      return yield parts.load(wanted.path);
    case "texts":
      return yield parts.texts;
    case "logits":
      return yield parts.logits;
    case "observe":
      return yield parts.observed;
  }
}

const contract = (change?: Partial<Parts>) => (test: Parameters<typeof testEngine>[1]["test"]) =>
  testEngine(engine(change), { test, model: "model.gguf", text: TEXT });

const crossing = "what structured clone can carry crosses both ways";
const errors = "an error crosses with code, message, place and remedy";
const leaving = "a process of its own, ended by leaving the loop";
const signals = "the signal stops a task that never looks up";
const deaths = "a process that dies is an error";
const files = "a file that is no model is an error with its name";
const tokens = "tokens are of the vocabulary, and spell the text";
const numbers = "logits do not depend on how tokens are put together";
const inputs = "an observer sees each input it wants, whole";

const { code, message, at, remedy } = good.refusal;
const mutants: [fault: string, change: Partial<Parts>, laws: string[], claim: RegExp][] = [
  ["flattens what it carries", { echo: (value) => JSON.parse(JSON.stringify(value, (_, x) => (typeof x === "bigint" ? 1 : x))) }, [crossing], /another one/], // biome-ignore format: a table
  ["loses the remedy", { refusal: new FewbitError(code, message, at) }, [errors], /arrived as/],
  ["loses the place", { refusal: new FewbitError(code, message, {}, remedy) }, [errors], /arrived as/],
  ["runs where its caller does", { pid: process.pid }, [leaving, signals], /the caller's process/],
  ["leaves its process behind", { pid: process.ppid }, [leaving, signals], /still there/],
  ["does not hear the signal", { abort: () => {} }, [signals], /nothing was thrown/],
  [
    "has an abort of its own",
    {
      abort(signal) {
        if (signal.aborted) throw new FewbitError("E_ENGINE_DIED", "killed");
      },
    },
    [signals],
    /ended with E_ENGINE_DIED, not E_ABORTED/,
  ],
  ["takes a death for the end", { died: undefined }, [deaths], /nothing was thrown/],
  ["has no word for death", { died: new FewbitError("E_INTERNAL", "?") }, [deaths], /not with E_ENGINE_DIED/],
  ["loads anything", { load: () => 0 }, [files], /nothing was thrown/],
  [
    "does not name the file",
    {
      load() {
        throw new FewbitError("E_ENGINE_LOAD", "It is no model.");
      },
    },
    [files],
    /the error is of undefined/,
  ],
  [
    "invents tokens",
    { texts: { ...texts, tokens: Int32Array.of(3, 8) } },
    [tokens],
    /token 8 is none of the 8/,
  ],
  ["spells otherwise", { texts: { ...texts, again: "a dog" } }, [tokens], /came back as "a dog"/],
  ["cuts logits short", { logits: { ...logits, length: 7 } }, [numbers], /7 logits for a vocabulary of 8/],
  ["has one answer to all", { logits: { ...logits, between: 0 } }, [numbers], /are the same/],
  ["remembers what was cleared", { logits: { ...logits, afterClear: 1e-6 } }, [numbers], /after clear/],
  ["counts positions wrongly", { logits: { ...logits, oneByOne: 1 } }, [numbers], /one by one differ by 1/],
  ["mixes sequences", { logits: { ...logits, otherSequence: 1 } }, [numbers], /as a second sequence differ/],
  ["shows nothing", { observed: { ...observed, seen: [] } }, [inputs], /no input/],
  ["shows everything", { observed: { ...observed, asked: 1 } }, [inputs], /of every product/],
  [
    "shows what nobody wants",
    { observed: { ...observed, seen: [{ ...input, weight: "output.weight" }] } },
    [inputs],
    /output\.weight was shown, which was not wanted/,
  ],
  [
    "loses vectors",
    { observed: { ...observed, seen: [{ ...input, numbers: 4 }] } },
    [inputs],
    /shown 1 vectors for 2 tokens/,
  ],
  [
    "shows vectors of another length",
    { observed: { ...observed, seen: [{ ...input, columns: 2, numbers: 4 }] } },
    [inputs],
    /has 4 columns, and inputs of 2/,
  ],
  [
    "shows memory before it is computed",
    { observed: { ...observed, seen: [{ ...input, finite: false }] } },
    [inputs],
    /not finite/,
  ],
];

test("a good engine keeps every law", async () => {
  expect(await failures(contract())).toEqual(new Map());
});

test.each(mutants)("an engine that %s", async (_, change, laws, claim) => {
  const failed = await failures(contract(change));
  expect([...failed.keys()]).toEqual(laws);
  expect(failed.get(laws[0]!)).toMatch(claim);
});

test("every law has an engine that breaks it", () => {
  expect(new Set(mutants.flatMap(([, , laws]) => laws))).toEqual(new Set(lawsOf(contract())));
});
