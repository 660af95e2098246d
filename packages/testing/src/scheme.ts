import { type About, compareTensors, isFewbitError, type Scheme, type Unfit } from "@fewbit/core";
import { describe, equal, hold, sameBytes, type TestFunction, thrownBy } from "./law.js";
import { normals, randomBytes, skewedImportance } from "./random.js";
import { guarded, partsOf, Trial } from "./trial.js";

/** Rows and the bytes they must become: a scheme's identity with another implementation. */
export interface Vector {
  readonly name: string;
  readonly columns: number;
  readonly rows: Float32Array;
  readonly importance?: Float32Array;
  /** Bytes of every part with `per: "row"`, in layout order. */
  readonly parts: readonly Uint8Array[];
}

/** What `testScheme` is given. */
export interface SchemeTestOptions {
  /** The `test` of your test runner. */
  readonly test: TestFunction;
  /** Known results, where there are any. */
  readonly vectors?: readonly Vector[];
}

const ROWS = 7;
const WIDTHS = [32, 64, 128, 256, 512, 1024, 2048, 4096];

/**
 * The contract every scheme keeps. What is tested follows from what the scheme declares: importance, passes,
 * minSqnr, and the optional members of its codec. A law that does not suit you is changed by declaring something
 * else, where users can see it.
 */
export function testScheme(scheme: Scheme, { test, vectors = [] }: SchemeTestOptions): void {
  const columns = WIDTHS.find((width) => fits(scheme, [ROWS, width]));
  const law = (name: string, run: (trial: Trial, columns: number) => void | Promise<void>) =>
    test(`${scheme.id}: ${name}`, async () => {
      hold(columns !== undefined, `layout accepts no row of ${WIDTHS.join(", ")} columns`);
      await run(new Trial(scheme, await scheme.load(), columns), columns);
    });

  law("declares itself in the interface's words", () => {
    hold(/^[^\s:]+$/.test(scheme.id), `the id "${scheme.id}" must be one word without a colon`);
    hold(scheme.summary.trim() !== "", "the summary is empty");
    const oneOf = (member: string, value: unknown, words: readonly unknown[]) =>
      hold(words.includes(value), `${member} is ${value}; it must be ${words.join(" or ")}`);
    oneOf("symmetry", scheme.symmetry, ["symmetric", "asymmetric", "none"]);
    oneOf("granularity", scheme.granularity, ["tensor", "channel", "group", "block"]);
    oneOf("importance", scheme.importance, ["ignored", "used", "required"]);
    oneOf("passes", scheme.passes, [1, 2]);
    hold(Number.isFinite(scheme.minSqnr), `minSqnr is ${scheme.minSqnr}; it must be a number of decibels`);
  });

  law("layout answers every shape, with parts or a sentence why not", (_, width) => {
    for (const shape of [
      [],
      [1],
      [width],
      [3, 1],
      [3, 7],
      [ROWS, width + 1],
      [2, 3, width],
      [1, 2, 3, width],
    ]) {
      const answer = scheme.layout(Object.freeze(shape));
      hold(
        !("unfit" in answer) || (answer as Unfit).unfit.trim() !== "",
        `layout of [${shape}] says no without a reason`,
      );
    }
  });

  law("layout is pure, whole and plain data", (_, width) => {
    const parts = partsOf(scheme, [ROWS, width]);
    hold(equal(parts, partsOf(scheme, [ROWS, width])), "layout gave two answers for one shape");
    hold(equal(parts, JSON.parse(JSON.stringify(parts))), "the parts are not plain JSON");
    hold(new Set(parts.map((part) => part.name)).size === parts.length, "two parts have one name");
    hold(
      parts.some((part) => part.per === "row"),
      "no part belongs to the rows",
    );
    for (const { name, per, bytes } of parts) {
      hold(Number.isSafeInteger(bytes) && bytes >= 0, `part "${name}" has ${bytes} bytes`);
      if (per === "tensor") continue;
      hold(bytes % ROWS === 0, `part "${name}" is per row, but ${bytes} bytes do not divide by ${ROWS} rows`);
      for (const [shape, rows] of [
        [[1, width], 1],
        [[2 * ROWS, width], 2 * ROWS],
      ] as const) {
        const found = partsOf(scheme, shape).find((part) => part.name === name)?.bytes;
        hold(
          found === (bytes / ROWS) * rows,
          `part "${name}" is per row, but [${shape}] has ${found} bytes and [${ROWS},${width}] has ${bytes}`,
        );
      }
    }
  });

  law("declares its passes", ({ codec }) =>
    hold(
      (scheme.passes === 2) === (codec.observer !== undefined),
      `declares ${scheme.passes} pass(es) but ${codec.observer ? "has" : "lacks"} an observer`,
    ),
  );

  law("encode fills every byte", (trial) => {
    const rows = weights(trial);
    const about = trial.about(rows);
    const [a, b] = [0xaa, 0x55].map((fill) => trial.encode(rows, about, { fill }));
    hold(equal(a, b), "the bytes depend on what the memory held before: some are not written");
  });

  law("encode keeps nothing between calls", async (trial) => {
    const rows = weights(trial);
    const about = trial.about(rows);
    const first = trial.encode(rows, about);
    const large = rows.map((x) => x * 1000);
    trial.encode(large, trial.about(large));
    hold(equal(first, trial.encode(rows, about)), "the same rows give other bytes after a different call");
    const second = new Trial(scheme, await scheme.load(), trial.columns);
    hold(equal(first, second.encode(rows, about)), "a codec loaded again gives other bytes");
  });

  law("encode reads nothing but its rows", (trial) => {
    const rows = weights(trial);
    const about = trial.about(rows);
    const among = (surroundings: number) => {
      const outer = new Float32Array(rows.length + 2 * trial.columns).fill(surroundings);
      outer.set(rows, trial.columns);
      return trial.encode(outer.subarray(trial.columns, trial.columns + rows.length), about);
    };
    hold(equal(among(0), among(1e3)), "the bytes depend on numbers beside the rows");
  });

  law("encode writes nothing outside its bytes", (trial) => {
    const rows = weights(trial);
    const about = trial.about(rows);
    for (const fill of [0, 0xaa]) {
      const out = trial.room(ROWS, { fill });
      trial.codec.encode(
        rows,
        out.map((guard) => guard.inner),
        about,
      );
      hold(
        out.every((guard) => guard.intact()),
        "encode wrote outside the bytes it was given",
      );
    }
  });

  law("encode and decode leave their input alone", (trial) => {
    const rows = weights(trial);
    const importance = scheme.importance === "ignored" ? undefined : skewedImportance(trial.columns, 7);
    const about = trial.about(rows, importance);
    const before = structuredClone({ rows, about });
    const parts = trial.room(ROWS).map((guard) => guard.inner);
    trial.codec.encode(rows, parts, about);
    hold(equal(rows, before.rows), "encode changed the weights");
    hold(equal(about, before.about), "encode changed the importance or the parameters");
    const bytes = structuredClone(parts);
    trial.codec.decode(parts, new Float32Array(rows.length), about);
    hold(equal(parts, bytes), "decode changed the bytes");
    hold(equal(about, before.about), "decode changed the importance or the parameters");
  });

  law("any split of rows gives the same bytes", (trial) => {
    const rows = weights(trial);
    for (const importance of matrices(scheme, trial.columns)) {
      const about = trial.about(rows, importance);
      const whole = trial.encode(rows, about);
      const decoded = trial.decode(whole, about, rows.length);
      for (const cut of [1, 3, ROWS - 1]) {
        const at = cut * trial.columns;
        const head = trial.encode(rows.slice(0, at), about);
        const tail = trial.encode(rows.slice(at), about);
        hold(
          whole.every((part, i) => sameBytes(part, Uint8Array.from([...head[i]!, ...tail[i]!]))),
          `the bytes change when the rows are split at ${cut}`,
        );
        const rest = trial.decode(tail, about, rows.length - at);
        hold(equal(rest, decoded.slice(at)), `the decoded weights change when the rows are split at ${cut}`);
      }
    }
  });

  law("unaligned bytes are as good", (trial) => {
    const rows = weights(trial);
    const about = trial.about(rows);
    const aligned = trial.encode(rows, about);
    const decoded = trial.decode(aligned, about, rows.length);
    for (const shift of [1, 2, 3]) {
      const shifted = trial.encode(rows, about, { shift });
      hold(equal(aligned, shifted), `encode gives other bytes at byte offset ${shift}`);
      hold(
        equal(decoded, trial.decode(shifted, about, rows.length)),
        `decode gives other weights from byte offset ${shift}`,
      );
    }
  });

  law("borrowed memory gives the same bytes", (trial) => {
    if (!trial.codec.borrow) return;
    const rows = weights(trial);
    for (const importance of matrices(scheme, trial.columns)) {
      const about = trial.about(rows, importance);
      const own = trial.encode(rows, about);
      const lent = trial.codec.borrow(ROWS, trial.columns);
      hold(lent.rows.length === rows.length, `${lent.rows.length} weights were lent for ${rows.length}`);
      hold(
        equal(
          lent.out.map((part) => part.length),
          own.map((part) => part.length),
        ),
        "the lent bytes are not as long as the parts",
      );
      lent.rows.set(rows);
      trial.codec.encode(lent.rows, lent.out, about);
      hold(
        equal(
          lent.out.map((part) => part.slice()),
          own,
        ),
        "encode from borrowed memory gives other bytes",
      );
    }
  });

  law("decode comes back within the declared error", async ({ codec }, width) => {
    for (const trial of [new Trial(scheme, codec, width), new Trial(scheme, codec, 3 * width)]) {
      // Enough weights that the figure hardly depends on the sample.
      const rows = normals(Math.ceil(16384 / trial.columns) * trial.columns, 42);
      const { sqnr } = compareTensors(rows, trial.roundTrip(rows));
      hold(
        sqnr >= scheme.minSqnr,
        `SQNR ${sqnr.toFixed(2)} dB of N(0,1) in rows of ${trial.columns} is below the declared ${scheme.minSqnr} dB`,
      );
    }
  });

  law("extreme rows decode to finite numbers, or are refused", async (trial) => {
    for (const [name, value] of Object.entries(extremes)) {
      const rows = Float32Array.from({ length: 2 * trial.columns }, (_, i) => value(i));
      for (const importance of matrices(scheme, trial.columns)) {
        let parts: Uint8Array[] = [];
        let about: About = { columns: trial.columns };
        const thrown = await thrownBy(() => {
          about = trial.about(rows, importance);
          parts = trial.encode(rows, about);
        });
        if (thrown !== undefined) {
          hold(isFewbitError(thrown), `rows of ${name} throw ${describe(thrown)}: refuse with a FewbitError`);
          continue;
        }
        const bad = trial.decode(parts, about, rows.length).findIndex((x) => !Number.isFinite(x));
        if (bad < 0) continue;
        const reported = trial.codec.invalid?.(parts, about) ?? -1;
        hold(
          reported >= 0 && reported <= bad,
          `rows of ${name} decode to something not finite at weight ${bad}, and ${
            trial.codec.invalid ? `invalid() answers ${reported}` : "there is no invalid() to say so"
          }`,
        );
      }
    }
  });

  law("decode takes any bytes", (trial) => {
    const about = trial.about(weights(trial));
    for (let seed = 1; seed <= 5; seed++) {
      const decoded = [0x00, 0xff].map((fill) => {
        const parts = trial.room(ROWS, { fill }).map(({ inner }, i) => {
          inner.set(randomBytes(inner.length, 100 * seed + i));
          return inner;
        });
        const out = guarded(4 * ROWS * trial.columns, fill);
        const floats = new Float32Array(out.inner.buffer, out.inner.byteOffset, ROWS * trial.columns);
        trial.codec.decode(parts, floats, about);
        hold(out.intact(), "decode wrote outside the weights it was given");
        trial.codec.invalid?.(parts, about);
        return floats;
      });
      hold(
        decoded[0]!.every((x, i) => Object.is(x, decoded[1]![i])), // by value: a NaN may have many patterns
        "the weights depend on memory beside the bytes, or some weights are not written",
      );
    }
  });

  law("invalid finds a planted NaN scale", (trial) => {
    // 0xff in every byte is NaN in every floating-point type, wherever a block keeps its scales.
    const PLANTED = 3;
    const rows = weights(trial);
    const about = trial.about(rows);
    const parts = trial.encode(rows, about);
    const { invalid } = trial.codec;
    if (invalid) {
      const found = trial.codec.invalid!(parts, about);
      hold(found === -1, `invalid() answers ${found} for good bytes`);
    }
    for (const part of parts) {
      const perRow = part.length / ROWS;
      part.fill(0xff, PLANTED * perRow, (PLANTED + 1) * perRow);
    }
    const start = PLANTED * trial.columns;
    const decoded = trial.decode(parts, about, rows.length).subarray(start, start + trial.columns);
    if (decoded.every(Number.isFinite)) return; // no scale in these bytes can be NaN
    hold(invalid, "bytes of 0xff decode to NaN or infinity, and there is no invalid() to find them");
    const found = trial.codec.invalid!(parts, about);
    hold(found === start, `a NaN scale at weight ${start} is reported at ${found}`);
  });

  if (scheme.importance === "ignored")
    law("importance is ignored, as declared", (trial) => {
      const rows = weights(trial);
      const about = trial.about(rows);
      const importance = skewedImportance(trial.columns, 7);
      hold(
        equal(trial.encode(rows, about), trial.encode(rows, { ...about, importance })),
        "the bytes change with an importance matrix, though it is declared ignored",
      );
    });
  else
    law("importance lowers the error of what matters", ({ codec }, width) => {
      const trial = new Trial(scheme, codec, width * Math.ceil(256 / width));
      const rows = normals(64 * trial.columns, 43);
      const importance = skewedImportance(trial.columns, 7);
      const weightedError = (matrix: Float32Array | undefined): number =>
        trial
          .roundTrip(rows, trial.about(rows, matrix))
          .reduce((sum, y, i) => sum + importance[i % trial.columns]! * (rows[i]! - y) ** 2, 0);
      const without = weightedError(undefined);
      const within = weightedError(importance);
      hold(
        within < without,
        `the weighted error is ${within.toPrecision(4)} with a skewed matrix and ${without.toPrecision(4)} without`,
      );
    });

  if (scheme.importance === "required")
    law("importance is required, as declared", async (trial) => {
      const rows = weights(trial);
      const { importance: _, ...about } = trial.about(rows);
      const thrown = await thrownBy(() => trial.encode(rows, about));
      hold(
        isFewbitError(thrown, "E_IMPORTANCE_MISSING"),
        `encode without importance must throw E_IMPORTANCE_MISSING; ${describe(thrown)}`,
      );
    });

  if (scheme.passes === 2) {
    law("the observer gives plain data and the bytes of its parts", (trial) => {
      const rows = weights(trial);
      const { observer } = trial.codec;
      hold(observer, "there is no observer");
      const about: About = { columns: trial.columns };
      const state = observer.observe(rows, about);
      hold(equal(state, structuredClone(state)), "the observer's state does not survive structuredClone");
      const end = observer.finish(structuredClone(state));
      hold(
        equal(end.parameters, structuredClone(end.parameters)),
        "the parameters do not survive structuredClone",
      );
      hold(equal(end, observer.finish(state)), "finish gives other parameters from a cloned state");
      const expected = partsOf(scheme, [ROWS, trial.columns]).filter((part) => part.per === "tensor");
      hold(
        equal(
          end.parts.map((part) => part.length),
          expected.map((part) => part.bytes),
        ),
        `finish gives parts of ${end.parts.map((part) => part.length)} bytes; layout promises ${expected.map((part) => part.bytes)}`,
      );
    });
    law("chunks may be observed in any order, and nothing is lost in merging", (trial) => {
      const { observer } = trial.codec;
      hold(observer, "there is no observer");
      const about: About = { columns: trial.columns };
      // Every row twice as large as the one before: whoever forgets a chunk at either end clips or wastes range.
      for (const grow of [2, 0.5]) {
        const rows = weights(trial).map((x, i) => x * grow ** Math.floor(i / trial.columns));
        const chunk = (row: number) =>
          structuredClone(
            observer.observe(rows.slice(row * trial.columns, (row + 1) * trial.columns), about),
          );
        const order = Array.from({ length: ROWS }, (_, row) => row);
        const forwards = order.map(chunk);
        const backwards = order.toReversed().map(chunk).toReversed();
        const merged = forwards.reduce((a, b) => observer.merge(a, b));
        const again = backwards.reduce((a, b) => observer.merge(a, b));
        const finished = observer.finish(merged);
        hold(
          equal(finished, observer.finish(again)),
          "the parameters depend on the order in which chunks were observed",
        );
        const noise = (parameters: unknown) =>
          compareTensors(rows, trial.roundTrip(rows, { ...about, parameters })).mse;
        const whole = noise(observer.finish(observer.observe(rows, about)).parameters);
        const chunked = noise(finished.parameters);
        hold(
          chunked <= whole * 1.1 + Number.EPSILON,
          `observed in chunks the mean squared error is ${chunked.toPrecision(4)}; observed whole, ${whole.toPrecision(4)}`,
        );
      }
    });
  }

  if (vectors.length > 0)
    law("equals its vectors", ({ codec }) => {
      for (const { name, columns: width, rows, importance, parts } of vectors) {
        const trial = new Trial(scheme, codec, width);
        const ours = trial.encode(rows, trial.about(rows, importance));
        ours.forEach((part, i) => {
          const theirs = parts[i] ?? new Uint8Array();
          const at = part.findIndex((byte, j) => byte !== theirs[j]);
          hold(
            at < 0 && part.length === theirs.length,
            `${name}: part ${i} differs at byte ${at}: ${part[at]} where the vector has ${theirs[at]}`,
          );
        });
      }
    });
}

function fits(scheme: Scheme, shape: readonly number[]): boolean {
  try {
    return !("unfit" in scheme.layout(shape));
  } catch {
    return false; // a law of its own reports it
  }
}

const weights = ({ columns }: Trial): Float32Array => normals(ROWS * columns, 42);

/** The importance matrices a law has to hold for: none (or all ones, where it is required), and a skewed one. */
const matrices = (scheme: Scheme, columns: number): (Float32Array | undefined)[] =>
  scheme.importance === "ignored" ? [undefined] : [undefined, skewedImportance(columns, 7)];

/** Finite weights that have broken quantizers. */
const extremes: Readonly<Record<string, (i: number) => number>> = {
  zeros: () => 0,
  "negative zeros": () => -0,
  ones: () => 1,
  "minus ones": () => -1,
  denormals: (i) => (i % 3) * 1e-42,
  "tiny numbers": (i) => (i % 2 ? -1 : 1) * 1e-30,
  "huge numbers": (i) => (i % 2 ? -1 : 1) * 1e30,
  "numbers near the largest": (i) => (i % 2 ? -1 : 1) * 1e38,
  "one outlier": (i) => (i === 17 ? 1e6 : 1e-3),
  "one huge outlier": (i) => (i === 17 ? -1e38 : 1e-3),
};
