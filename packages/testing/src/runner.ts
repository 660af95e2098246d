import {
  type FewbitError,
  isFewbitError,
  type Job,
  measure,
  type Receipt,
  type RunContext,
  type Runner,
} from "@fewbit/core";
import { describe, equal, hold, sameBytes, type TestFunction, thrownBy } from "./law.js";
import { normals } from "./random.js";
import runnerPlugin, { caller } from "./runner-plugin.js";

/** What `testRunner` is given. */
export interface RunnerTestOptions {
  /** The `test` of your test runner. */
  readonly test: TestFunction;
}

const ROWS = 96;
const COLUMNS = 32;
const CHUNK = 4;
const JOBS = ROWS / CHUNK;
const ROW_BYTES = 4 * COLUMNS;
const TENSOR = "blk.0.ffn_down.weight";
/** Jobs that a runner may have taken per thread before their receipts are read. */
const AHEAD = 8;

const wait = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** A temporary folder with a tensor of float32 rows, and room for an output. */
class Bench {
  readonly weights = normals(ROWS * COLUMNS, 42);
  constructor(
    readonly source: string,
    readonly output: string,
    private readonly fs: typeof import("node:fs/promises"),
  ) {}

  writeSource(weights: Float32Array): Promise<void> {
    return this.fs.writeFile(this.source, new Uint8Array(weights.buffer));
  }

  /** The whole output; its content is forgotten unless `keep` is given. */
  async take(keep = false): Promise<Uint8Array> {
    const bytes = new Uint8Array(await this.fs.readFile(this.output));
    if (!keep) await this.fs.writeFile(this.output, new Uint8Array(ROWS * ROW_BYTES));
    return bytes;
  }

  /** One job per chunk. Ids are neither dense nor from zero: a resumed run has such. */
  jobs(scheme: string | undefined, over: Partial<Job> = {}): Job[] {
    const rowBytes = scheme === undefined ? ROW_BYTES : scheme === "CONTRACT_ECHO" ? 4 : COLUMNS;
    return Array.from({ length: JOBS }, (_, i) => ({
      id: 100 + 3 * i,
      pass: scheme === undefined ? "copy" : "encode",
      tensor: TENSOR,
      ...(scheme === undefined ? {} : { scheme: { plugin: "@fewbit/testing", id: scheme } }),
      columns: COLUMNS,
      firstRow: i * CHUNK,
      rows: CHUNK,
      read: {
        from: { kind: "file", path: this.source },
        dtype: "F32",
        offset: i * CHUNK * ROW_BYTES,
        bytes: CHUNK * ROW_BYTES,
      },
      write: [
        {
          to: { kind: "file", path: this.output },
          offset: i * CHUNK * rowBytes,
          bytes: CHUNK * rowBytes,
        },
      ],
      ...over,
    }));
  }

  /** One job per chunk, to hold the source against an output of CONTRACT_FIXED. */
  comparisons(): Job[] {
    const scheme = { plugin: "@fewbit/testing", id: "CONTRACT_FIXED" };
    return this.jobs(undefined, { pass: "measure", write: [] }).map((job) => ({
      ...job,
      against: {
        from: { kind: "file", path: this.output },
        dtype: scheme.id,
        offset: job.firstRow * COLUMNS,
        bytes: CHUNK * COLUMNS,
        scheme,
      },
    }));
  }
}

async function withBench(run: (bench: Bench) => Promise<void>): Promise<void> {
  const [fs, { tmpdir }, { join }] = await Promise.all([
    import("node:fs/promises"),
    import("node:os"),
    import("node:path"),
  ]);
  const folder = await fs.mkdtemp(join(tmpdir(), "fewbit-runner-"));
  Object.defineProperty(globalThis, caller, { value: true, configurable: true });
  try {
    const bench = new Bench(join(folder, "source.f32"), join(folder, "output.bin"), fs);
    await bench.writeSource(bench.weights);
    await bench.take().catch(() => fs.writeFile(bench.output, new Uint8Array(ROWS * ROW_BYTES)));
    await run(bench);
  } finally {
    await fs.rm(folder, { recursive: true, force: true });
  }
}

/**
 * The contract every runner keeps: real files, and schemes of the contract's own plugin, `runnerPlugin`. What is
 * tested follows from what the runner declares: `isolated`.
 */
export function testRunner(runner: Runner, { test }: RunnerTestOptions): void {
  const modules = { "@fewbit/testing": { url: runnerPlugin().module } };
  const law = (name: string, run: (bench: Bench) => Promise<void>) =>
    test(`${runner.id}: ${name}`, () => withBench(run));

  const receiptsOf = async (jobs: Iterable<Job>, context: Partial<RunContext> = {}): Promise<Receipt[]> => {
    const receipts: Receipt[] = [];
    for await (const receipt of runner.run(jobs, { modules, ...context })) receipts.push(receipt);
    return receipts;
  };
  /** The output of a run whose receipts are another law's matter. */
  const outputOf = async (bench: Bench, jobs: Iterable<Job>, context: Partial<RunContext> = {}) => {
    await receiptsOf(jobs, context);
    return bench.take();
  };
  const failureOf = async (jobs: Iterable<Job>, context: Partial<RunContext> = {}): Promise<FewbitError> => {
    const thrown = await thrownBy(() => receiptsOf(jobs, context));
    hold(isFewbitError(thrown), `the run must end with a FewbitError; ${describe(thrown)}`);
    return thrown;
  };

  law("every job has exactly one receipt", async (bench) => {
    const passes: [string, Job[], number][] = [
      ["encode", bench.jobs("CONTRACT_FIXED"), CHUNK * COLUMNS],
      ["copy", bench.jobs(undefined), CHUNK * ROW_BYTES],
      ["observe", bench.jobs("CONTRACT_OBSERVED", { pass: "observe", write: [] }), 0],
    ];
    for (const [pass, jobs, written] of passes) {
      const receipts = await receiptsOf(jobs, { threads: 2 });
      const ids = receipts.map((receipt) => receipt.job).sort((a, b) => a - b);
      const expected = jobs.map((job) => job.id);
      const missing = expected.filter((id) => !ids.includes(id));
      hold(missing.length === 0, `${pass}: no receipt for ${missing.length} of ${JOBS} jobs: ${missing}`);
      hold(equal(ids, expected), `${pass}: ${ids.length} receipts for ${JOBS} jobs: ${ids}`);
      for (const { tensor, rows, read, written: bytes, milliseconds } of receipts) {
        hold(
          tensor === TENSOR && rows === CHUNK && read === CHUNK * ROW_BYTES && bytes === written,
          `${pass}: a receipt says ${rows} rows of ${tensor}, ${read} bytes read, ${bytes} written; expected ${CHUNK} rows of ${TENSOR}, ${CHUNK * ROW_BYTES} read, ${written} written`,
        );
        hold(milliseconds >= 0, `${pass}: a receipt says ${milliseconds} milliseconds`);
      }
    }
  });

  law("the same bytes for any number of threads", async (bench) => {
    const [fixed] = runnerPlugin().schemes!;
    const expected = new Uint8Array(ROWS * COLUMNS);
    (await fixed!.load()).encode(bench.weights, [expected], { columns: COLUMNS });
    for (const threads of [1, 2, 3, undefined]) {
      const context = threads === undefined ? {} : { threads };
      const encoded = await outputOf(bench, bench.jobs("CONTRACT_FIXED"), context);
      hold(
        sameBytes(encoded.subarray(0, expected.length), expected),
        `with ${threads ?? "the default number of"} threads the encoded bytes are not the codec's`,
      );
      const copied = await outputOf(bench, bench.jobs(undefined), context);
      hold(
        sameBytes(copied, new Uint8Array(bench.weights.buffer)),
        `with ${threads ?? "the default number of"} threads the copied bytes are not the source's`,
      );
    }
  });

  law("what observers saw comes back with the receipts", async (bench) => {
    const jobs = bench.jobs("CONTRACT_OBSERVED", { pass: "observe", write: [] });
    const receipts = await receiptsOf(jobs, { threads: 2 });
    for (const { job, state } of receipts) {
      const first = ((job - 100) / 3) * CHUNK * COLUMNS;
      const rows = bench.weights.subarray(first, first + CHUNK * COLUMNS);
      const largest = rows.reduce((a, x) => Math.max(a, Math.abs(x)), 0);
      hold(equal(state, { largest }), `job ${job} observed ${JSON.stringify(state)}, not ${largest}`);
    }
  });

  law("importance and parameters reach the codec", async (bench) => {
    const importance = new Float32Array(COLUMNS).fill(5);
    const given = bench.jobs("CONTRACT_ECHO", { importance, parameters: { byte: 9 } });
    const [, , weight, parameter] = await outputOf(bench, given);
    hold(
      weight === 5 && parameter === 9,
      `importance 5 and parameters 9 arrived as ${weight} and ${parameter}`,
    );
    const [, , none, nothing] = await outputOf(bench, bench.jobs("CONTRACT_ECHO"));
    hold(none === 0 && nothing === 0, "importance or parameters arrived that no job has");
  });

  law("a measure pass holds one file against another", async (bench) => {
    const importance = Float32Array.from({ length: COLUMNS }, (_, i) => i + 1);
    await receiptsOf(bench.jobs("CONTRACT_FIXED"));
    const encoded = await bench.take(true);
    const jobs = bench.comparisons().map((job) => ({ ...job, importance }));
    const receipts = await receiptsOf(jobs, { threads: 2 });
    hold(receipts.length === JOBS, `${receipts.length} receipts for ${JOBS} jobs`);
    const codec = await runnerPlugin().schemes![0]!.load();
    for (const { job, state, read, written } of receipts) {
      const first = ((job - 100) / 3) * CHUNK * COLUMNS;
      const rows = bench.weights.subarray(first, first + CHUNK * COLUMNS);
      const decoded = new Float32Array(rows.length);
      codec.decode([encoded.subarray(first, first + rows.length)], decoded, { columns: COLUMNS });
      const sums = measure(rows, decoded, importance);
      hold(
        equal(state, sums),
        `job ${job} measured ${JSON.stringify(state)}, and the two files differ by ${JSON.stringify(sums)}`,
      );
      hold(
        read === CHUNK * (ROW_BYTES + COLUMNS) && written === 0,
        `a receipt says ${read} bytes read, ${written} written; expected ${CHUNK * (ROW_BYTES + COLUMNS)} of two files read, 0 written`,
      );
    }
    hold(sameBytes(await bench.take(), encoded), "a measure pass changed the file it reads");
  });

  law("an error crosses with code, message, place and remedy", async (bench) => {
    const spoilt = bench.weights.slice();
    spoilt[41 * COLUMNS + 5] = Number.NaN;
    await bench.writeSource(spoilt);
    const nan = await failureOf(bench.jobs("CONTRACT_FIXED"), { threads: 2 });
    hold(
      nan.code === "E_NONFINITE" && nan.at.tensor === TENSOR && nan.at.row === 41 && nan.at.column === 5,
      `a NaN at row 41, column 5 of ${TENSOR} is reported as ${describe(nan)} at ${JSON.stringify(nan.at)}`,
    );
    await bench.writeSource(bench.weights);

    const refused = await failureOf(bench.jobs("CONTRACT_REFUSES"), { threads: 2 });
    hold(
      refused.code === "E_SCALE_OVERFLOW" && refused.message.includes("this weight is too large"),
      `a codec's E_SCALE_OVERFLOW "this weight is too large" is reported as ${describe(refused)}`,
    );
    hold(
      refused.at.tensor === TENSOR && refused.at.row === 41 && refused.at.key === "planted",
      `what a codec knows of the place is lost: ${JSON.stringify(refused.at)}`,
    );
    hold(refused.remedy === "Plant a smaller one.", `a codec's remedy is lost: ${refused.remedy}`);

    const failed = await failureOf(bench.jobs("CONTRACT_THROWS"), { threads: 2 });
    hold(
      failed.code === "E_PLUGIN_FAILED" && failed.message.includes("a mistake of the plugin"),
      `a codec's TypeError "a mistake of the plugin" must be E_PLUGIN_FAILED; ${describe(failed)}`,
    );
  });

  law("what is missing is named", async (bench) => {
    const [job] = bench.jobs("CONTRACT_FIXED");
    const cases: [string, Job][] = [
      ["E_PLUGIN_NOT_FOUND", { ...job!, scheme: { plugin: "no-such-plugin", id: "CONTRACT_FIXED" } }],
      ["E_SCHEME_UNKNOWN", { ...job!, scheme: { plugin: "@fewbit/testing", id: "NO_SUCH_SCHEME" } }],
      ["E_IO", { ...job!, read: { ...job!.read, from: { kind: "file", path: `${bench.source}.absent` } } }],
      ["E_TRUNCATED", { ...job!, read: { ...job!.read, offset: ROWS * ROW_BYTES - 1 } }],
    ];
    for (const [code, broken] of cases) {
      const failure = await failureOf([broken]);
      hold(failure.code === code, `expected ${code}; ${describe(failure)}`);
    }
  });

  law("an error of the job list is its own", async (bench) => {
    const mine = new Error("no more jobs");
    function* failing(): Generator<Job> {
      yield* bench.jobs("CONTRACT_FIXED").slice(0, 3);
      throw mine;
    }
    const thrown = await thrownBy(() => receiptsOf(failing()));
    hold(thrown === mine, `the job list throws an error, and the run ends with another; ${describe(thrown)}`);
  });

  law("no jobs, no receipts; two runs at once", async (bench) => {
    hold((await receiptsOf([])).length === 0, "a run without jobs has receipts");
    const counts = await Promise.all(
      [1, 2].map(async (threads) => (await receiptsOf(bench.jobs("CONTRACT_FIXED"), { threads })).length),
    );
    hold(equal(counts, [JOBS, JOBS]), `two runs at once have ${counts} receipts for ${JOBS} jobs each`);
    const jobs = bench.comparisons();
    const alone = new Map((await receiptsOf(jobs)).map(({ job, state }) => [job, state]));
    for (const together of await Promise.all([receiptsOf(jobs), receiptsOf([...jobs].reverse())]))
      for (const { job, state } of together)
        hold(
          equal(state, alone.get(job)),
          `job ${job} measures ${JSON.stringify(alone.get(job))} alone, and beside another run ${JSON.stringify(state)}`,
        );
  });

  law("jobs are taken as they are needed, and leaving the loop stops the run", async (bench) => {
    let taken = 0;
    // The list again and again: many more jobs than may be taken ahead.
    function* counted(): Generator<Job> {
      for (let round = 0; round < 20; round++)
        for (const job of bench.jobs("CONTRACT_FIXED")) {
          taken++;
          yield { ...job, id: taken };
        }
    }
    const threads = 2;
    for await (const _ of runner.run(counted(), { modules, threads })) break;
    hold(
      taken <= AHEAD * threads,
      `${taken} jobs were taken before the first receipt was read; ${AHEAD * threads} are the most for ${threads} threads`,
    );
    const [before, bytes] = [taken, await bench.take()];
    hold(bytes.length === ROWS * ROW_BYTES, `the output has ${bytes.length} bytes`);
    await wait(50);
    hold(taken === before, `${taken - before} more jobs were taken after the loop was left`);
    hold(
      (await bench.take()).every((byte) => byte === 0),
      "bytes were written after the loop was left",
    );
  });

  law("an abort ends the run with E_ABORTED", async (bench) => {
    const stop = new AbortController();
    let receipts = 0;
    const during = await thrownBy(async () => {
      for await (const _ of runner.run(bench.jobs("CONTRACT_FIXED"), {
        modules,
        threads: 1,
        signal: stop.signal,
      })) {
        receipts++;
        stop.abort();
      }
    });
    hold(
      isFewbitError(during, "E_ABORTED"),
      `an abort after the first receipt must throw E_ABORTED; ${describe(during)}`,
    );
    hold(receipts <= AHEAD, `${receipts} receipts came after the abort`);
    await bench.take();
    const before = await thrownBy(() =>
      receiptsOf(bench.jobs("CONTRACT_FIXED"), { signal: AbortSignal.abort() }),
    );
    hold(
      isFewbitError(before, "E_ABORTED"),
      `a signal that was aborted beforehand must throw E_ABORTED; ${describe(before)}`,
    );
    hold(
      (await bench.take()).every((byte) => byte === 0),
      "bytes were written although the signal was aborted beforehand",
    );
  });

  if (runner.isolated)
    law(
      "isolated, as declared: options cross, and a codec that ends its thread is E_WORKER_DIED",
      async (bench) => {
        const withOptions = { "@fewbit/testing": { ...modules["@fewbit/testing"], options: { byte: 77 } } };
        const [here, byte] = await outputOf(bench, bench.jobs("CONTRACT_ECHO"), { modules: withOptions });
        hold(here === 0, "jobs run on the calling thread, though the runner declares itself isolated");
        hold(byte === 77, `the plugin's option is 77 and arrives as ${byte}`);
        const died = await failureOf(bench.jobs("CONTRACT_DIES"), { threads: 2 });
        hold(
          died.code === "E_WORKER_DIED" && died.at.tensor === TENSOR && died.at.row !== undefined,
          `a codec that ends its thread must be E_WORKER_DIED with tensor and row; ${describe(died)} at ${JSON.stringify(died.at)}`,
        );
        hold(
          died.message.includes("@fewbit/testing") && died.message.includes("CONTRACT_DIES"),
          `the message does not say whose codec it was: ${died.message}`,
        );
        const after = await receiptsOf(bench.jobs("CONTRACT_FIXED"), { threads: 2 });
        hold(after.length === JOBS, `the next run has ${after.length} receipts for ${JOBS} jobs`);
      },
    );
  else
    law("on the calling thread, as declared", async (bench) => {
      const [here] = await outputOf(bench, bench.jobs("CONTRACT_ECHO"));
      hold(here === 1, "jobs run on other threads: declare isolated: true, and a death of one is tested too");
    });
}
