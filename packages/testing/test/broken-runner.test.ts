// Each broken runner fails exactly the law that names its fault.
import { FewbitError, inlineRunner, isFewbitError, type Job, type Receipt, type Runner } from "@fewbit/core";
import { nodeIo } from "@fewbit/core/node";
import { testRunner as testBuiltRunner } from "@fewbit/testing";
import { expect, test } from "vitest";
import { runnerPlugin, testRunner } from "../src/index.js";
import { failures, lawsOf } from "./collect.js";
import { threadRunner } from "./thread-runner.js";

const good = inlineRunner([runnerPlugin()], nodeIo());

/** `good`, with its jobs or its receipts changed on the way. */
const broken = (run: Runner["run"], over: Partial<Runner> = {}): Runner => ({ ...good, ...over, run });
const jobsAs = (change: (job: Job) => Job): Runner =>
  broken((jobs, context) =>
    good.run(
      (function* () {
        for (const job of jobs) yield change(job);
      })(),
      context,
    ),
  );
const receiptsAs = (change: (receipt: Receipt, nth: number) => Receipt[]): Runner =>
  broken(async function* (jobs, context) {
    let nth = 0;
    for await (const receipt of good.run(jobs, context)) yield* change(receipt, nth++);
  });
const errorsAs = (change: (thrown: unknown) => unknown): Runner =>
  broken(async function* (jobs, context) {
    try {
      yield* good.run(jobs, context);
    } catch (thrown) {
      const other = change(thrown);
      if (other !== undefined) throw other;
    }
  });
const withPlace = (error: FewbitError, change: Partial<FewbitError>): FewbitError => {
  const { code, message, at, remedy } = { ...error, message: error.message, ...change };
  return new FewbitError(code, message, at, remedy);
};
const onlyFor = (codes: string[], change: (error: FewbitError) => unknown) => (thrown: unknown) =>
  isFewbitError(thrown) && codes.includes(thrown.code) ? change(thrown) : thrown;

const receipts = "every job has exactly one receipt";
const bytes = "the same bytes for any number of threads";
const states = "what observers saw comes back with the receipts";
const inputs = "importance and parameters reach the codec";
const measures = "a measure pass holds one file against another";
const errors = "an error crosses with code, message, place and remedy";
const missing = "what is missing is named";
const jobList = "an error of the job list is its own";
const several = "no jobs, no receipts; two runs at once";
const lazy = "jobs are taken as they are needed, and leaving the loop stops the run";
const abort = "an abort ends the run with E_ABORTED";
const inline = "on the calling thread, as declared";
const isolated = "isolated, as declared: options cross, and a codec that ends its thread is E_WORKER_DIED";

const mutants: [fault: string, runner: Runner, law: string, claim: RegExp][] = [
  [
    "loses a receipt",
    receiptsAs((receipt) => (receipt.job === 109 && receipt.written === receipt.read ? [] : [receipt])),
    receipts,
    /copy: no receipt for 1 of 24 jobs: 109/,
  ],
  [
    "gives a receipt twice",
    receiptsAs((receipt) =>
      receipt.job === 109 && receipt.written === receipt.read ? [receipt, receipt] : [receipt],
    ),
    receipts,
    /copy: 25 receipts for 24 jobs/,
  ],
  ["counts no rows", receiptsAs((receipt) => [{ ...receipt, rows: 0 }]), receipts, /a receipt says 0 rows/],
  [
    "skips a job where there are three threads",
    broken(async function* (jobs, context) {
      for (const job of jobs)
        if (context.threads === 3 && job.firstRow === 8)
          yield { job: job.id, tensor: job.tensor, rows: job.rows, read: 0, written: 0, milliseconds: 0 };
        else yield* good.run([job], context);
    }),
    bytes,
    /with 3 threads the encoded bytes are not the codec's/,
  ],
  [
    "drops what observers saw",
    receiptsAs(({ state, ...receipt }) => [
      (state as object | undefined) && "largest" in (state as object) ? receipt : { ...receipt, state },
    ]),
    states,
    /job 100 observed undefined/,
  ],
  [
    "drops what was measured",
    receiptsAs(({ state, ...receipt }) => [
      (state as object | undefined) && "noise" in (state as object) ? receipt : { ...receipt, state },
    ]),
    measures,
    /job 100 measured undefined, and the two files differ by \{"count":128/,
  ],
  [
    "measures a file against itself",
    jobsAs((job) => (job.against ? { ...job, against: job.read } : job)),
    measures,
    /job 100 measured .*"noise":0,.* and the two files differ by/,
  ],
  [
    "counts what it reads of one file",
    receiptsAs((receipt) => [receipt.read === 640 ? { ...receipt, read: 512 } : receipt]),
    measures,
    /512 bytes read, 0 written; expected 640 of two files read/,
  ],
  [
    "drops importance",
    jobsAs(({ importance, ...job }) => (job.against && importance ? { ...job, importance } : job)),
    inputs,
    /arrived as 0 and 9/,
  ],
  [
    "measures without importance",
    jobsAs(({ importance, ...job }) => (job.against || !importance ? job : { ...job, importance })),
    measures,
    /job 100 measured .*\d\}, and the two files differ by .*"weighted"/,
  ],
  ["drops parameters", jobsAs(({ parameters: _, ...job }) => job), inputs, /arrived as 5 and 0/],
  [
    "wraps errors in its own",
    errorsAs(onlyFor(["E_NONFINITE", "E_SCALE_OVERFLOW", "E_PLUGIN_FAILED"], (e) => new Error(e.message))),
    errors,
    /must end with a FewbitError; Error: blk/,
  ],
  [
    "swallows a plugin's error",
    errorsAs(onlyFor(["E_PLUGIN_FAILED"], () => undefined)),
    errors,
    /must end with a FewbitError; nothing was thrown/,
  ],
  [
    "drops the place",
    errorsAs(onlyFor(["E_NONFINITE"], (e) => withPlace(e, { at: {} }))),
    errors,
    /is reported as E_NONFINITE: .* at \{\}/,
  ],
  [
    "drops what the codec knew of the place",
    errorsAs(onlyFor(["E_SCALE_OVERFLOW"], (e) => withPlace(e, { at: { tensor: e.at.tensor!, row: 0 } }))),
    errors,
    /what a codec knows of the place is lost/,
  ],
  [
    "drops the remedy",
    errorsAs(onlyFor(["E_SCALE_OVERFLOW"], ({ code, message, at }) => new FewbitError(code, message, at))),
    errors,
    /remedy is lost: undefined/,
  ],
  [
    "calls a plugin's mistake its own",
    errorsAs(onlyFor(["E_PLUGIN_FAILED"], (e) => withPlace(e, { code: "E_INTERNAL" }))),
    errors,
    /must be E_PLUGIN_FAILED; E_INTERNAL/,
  ],
  [
    "does not say which plugin is missing",
    errorsAs(onlyFor(["E_PLUGIN_NOT_FOUND"], (e) => withPlace(e, { code: "E_PLUGIN_FAILED" }))),
    missing,
    /expected E_PLUGIN_NOT_FOUND; E_PLUGIN_FAILED/,
  ],
  [
    "takes the end of a file for zeros",
    errorsAs(onlyFor(["E_TRUNCATED"], () => undefined)),
    missing,
    /nothing was thrown/,
  ],
  [
    "hides an error of the job list",
    errorsAs((thrown) => (isFewbitError(thrown) ? thrown : new FewbitError("E_INTERNAL", String(thrown)))),
    jobList,
    /ends with another; E_INTERNAL: Error: no more jobs/,
  ],
  [
    "runs one at a time and refuses the second",
    (() => {
      let running = false;
      return broken(async function* (jobs, context) {
        if (running) throw new FewbitError("E_BUSY", "One run at a time.");
        running = true;
        try {
          yield* good.run(jobs, context);
        } finally {
          running = false;
        }
      });
    })(),
    several,
    /One run at a time/,
  ],
  [
    "mixes up two runs at once",
    (() => {
      let running = 0;
      return broken(async function* (jobs, context) {
        running++;
        try {
          for await (const { state, ...receipt } of good.run(jobs, context))
            yield running > 1 ? receipt : { ...receipt, state };
        } finally {
          running--;
        }
      });
    })(),
    several,
    /job \d+ measures \{.*\} alone, and beside another run undefined/,
  ],
  [
    "makes a receipt of nothing",
    broken(async function* (jobs, context) {
      const list = jobs[Symbol.iterator]();
      const first = list.next();
      if (first.done) yield { job: 0, tensor: "", rows: 0, read: 0, written: 0, milliseconds: 0 };
      else {
        yield* good.run([first.value], context);
        yield* good.run({ [Symbol.iterator]: () => list }, context);
      }
    }),
    several,
    /a run without jobs has receipts/,
  ],
  [
    "takes all jobs at once",
    broken((jobs, context) =>
      good.run(
        (function* () {
          yield* context.signal ? jobs : [...jobs];
        })(),
        context,
      ),
    ),
    lazy,
    /480 jobs were taken before the first receipt was read; 16 are the most for 2 threads/,
  ],
  [
    "goes on after the loop is left",
    broken(async function* (jobs, context) {
      const list = jobs[Symbol.iterator]();
      const rest = { [Symbol.iterator]: () => ({ next: () => list.next() }) };
      const run = good.run(rest, context)[Symbol.asyncIterator]();
      try {
        for (let next = await run.next(); !next.done; next = await run.next()) yield next.value;
      } finally {
        setTimeout(() => run.next(), 10);
      }
    }),
    lazy,
    /after the loop was left/,
  ],
  [
    "ignores the signal",
    broken((jobs, { signal: _, ...context }) => good.run(jobs, context)),
    abort,
    /must throw E_ABORTED; nothing was thrown/,
  ],
  [
    "ends quietly on an abort",
    errorsAs(onlyFor(["E_ABORTED"], () => undefined)),
    abort,
    /must throw E_ABORTED; nothing was thrown/,
  ],
  [
    "looks at the signal only after a job",
    broken(async function* (jobs, { signal, ...context }) {
      for await (const receipt of good.run(jobs, context)) {
        if (signal?.aborted) throw new FewbitError("E_ABORTED", "The run was stopped.");
        yield receipt;
      }
    }),
    abort,
    /bytes were written although the signal was aborted beforehand/,
  ],
  [
    "claims to be isolated",
    { ...good, isolated: true },
    isolated,
    /jobs run on the calling thread, though the runner declares itself isolated/,
  ],
];

for (const [fault, runner, law, claim] of mutants)
  test(`the contract refuses a runner that ${fault}`, async () => {
    const failed = await failures((collect) => testRunner(runner, { test: collect }));
    expect([...failed.keys()]).toEqual([law]);
    expect(failed.get(law)).toMatch(claim);
  });

const apart: typeof mutants = [
  [
    "hides that it is isolated",
    { id: threadRunner.id, run: threadRunner.run },
    inline,
    /jobs run on other threads: declare isolated: true/,
  ],
  [
    "loses a plugin's options",
    {
      ...threadRunner,
      run: (jobs, context) =>
        threadRunner.run(jobs, {
          ...context,
          modules: Object.fromEntries(
            Object.entries(context.modules).map(([name, { url }]) => [name, { url }]),
          ),
        }),
    },
    isolated,
    /the plugin's option is 77 and arrives as 0/,
  ],
  [
    "calls a death a mistake of its own",
    {
      ...threadRunner,
      async *run(jobs, context) {
        try {
          yield* threadRunner.run(jobs, context);
        } catch (thrown) {
          throw isFewbitError(thrown, "E_WORKER_DIED") ? withPlace(thrown, { code: "E_INTERNAL" }) : thrown;
        }
      },
    },
    isolated,
    /must be E_WORKER_DIED with tensor and row; E_INTERNAL/,
  ],
];

for (const [fault, runner, law, claim] of apart)
  test(`the contract refuses a runner with threads that ${fault}`, async () => {
    const failed = await failures((collect) => testBuiltRunner(runner, { test: collect }));
    expect([...failed.keys()]).toEqual([law]);
    expect(failed.get(law)).toMatch(claim);
  });

test("every law has a runner that breaks it", () => {
  const laws = [good, threadRunner].flatMap((runner) =>
    lawsOf((collect) => testRunner(runner, { test: collect })),
  );
  expect(laws.filter((law) => ![...mutants, ...apart].some(([, , broken]) => broken === law))).toEqual([]);
});
