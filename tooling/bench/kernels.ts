// Every scheme that llama.cpp knows too, its kernel against llama.cpp's, in one thread of one process.
import { existsSync, readdirSync } from "node:fs";
import type { Codec, Plugin, Scheme } from "@fewbit/core";
import { makeImportance, makeRows } from "../cases.js";
import { type GgmlType, ggmlTypes, oracleKernel } from "../oracle.js";
import { type Comparison, compare } from "./timing.js";

export interface KernelResult extends Comparison {
  readonly scheme: string;
  readonly operation: "encode" | "encode, importance" | "decode";
  /** Weights of one slice. */
  readonly weights: number;
  /** Whether both gave the same bytes for the first slice. */
  readonly same: boolean;
}

const COLUMNS = 4096;
/** Slices that take turns, so that branch predictors cannot learn one by heart. */
const SETS = 12;
/** Slices should last about this long for llama.cpp: long beside the clock's grain, short beside the scheduler's. */
const SLICE_MILLISECONDS = 4;

const packages = new URL("../../packages/", import.meta.url);

/** Of all built packages whose name begins with "scheme-". */
export async function comparableSchemes(filter: RegExp): Promise<Scheme[]> {
  const built = readdirSync(packages)
    .filter((name) => name.startsWith("scheme-"))
    .map((name) => new URL(`${name}/dist/index.js`, packages))
    .filter((url) => existsSync(url));
  const plugins = await Promise.all(
    built.map(async ({ href }) => ((await import(href)) as { default: Plugin }).default),
  );
  return plugins
    .flatMap((plugin) => plugin.schemes ?? [])
    .filter(({ id }) => id in ggmlTypes && filter.test(id));
}

/** `pairs`: slices of each side. */
export async function* benchScheme(scheme: Scheme, pairs: number): AsyncGenerator<KernelResult> {
  const codec = await scheme.load();
  const kernel = oracleKernel(scheme.id as GgmlType);
  const importance = makeImportance("skewed", COLUMNS);
  const plain = scheme.importance !== "required";

  const trial = makeRows("bfloat", 4, COLUMNS);
  const out = new Uint8Array(bytesOf(scheme, 4));
  const start = performance.now();
  for (let i = 0; i < 2; i++) kernel.encode(trial, COLUMNS, out, plain ? undefined : importance);
  const perRow = (performance.now() - start) / 8;
  const rows = Math.min(64, Math.max(4, Math.round(SLICE_MILLISECONDS / perRow)));

  const bench = new Bench(scheme, codec, rows);
  if (plain) yield bench.encode(pairs);
  if (scheme.importance !== "ignored") yield bench.encode(pairs, importance);
  yield bench.decode(pairs);
}

function bytesOf(scheme: Scheme, rows: number): number {
  const parts = scheme.layout([rows, COLUMNS]);
  if ("unfit" in parts) throw new Error(`${scheme.id}: ${parts.unfit}`);
  return parts[0]!.bytes;
}

/** One scheme and its rows. Ours works in the codec's own memory, as in a run: filling it is not timed. */
class Bench {
  private readonly weights: number;
  private readonly sets: readonly Float32Array[];
  private readonly encoded: Uint8Array;
  private readonly decoded: Float32Array;
  private lent: { readonly rows: Float32Array; readonly out: readonly Uint8Array[] };

  constructor(
    private readonly scheme: Scheme,
    private readonly codec: Codec,
    private readonly rows: number,
  ) {
    this.weights = rows * COLUMNS;
    this.sets = Array.from({ length: SETS }, (_, i) => makeRows("bfloat", rows, COLUMNS, i + 1));
    this.encoded = new Uint8Array(bytesOf(scheme, rows));
    this.decoded = new Float32Array(this.weights);
    this.lent = this.borrow();
  }

  private borrow() {
    return (
      this.codec.borrow?.(this.rows, COLUMNS) ?? {
        rows: new Float32Array(this.weights),
        out: [new Uint8Array(this.encoded.length)],
      }
    );
  }

  encode(pairs: number, importance?: Float32Array): KernelResult {
    const kernel = oracleKernel(this.scheme.id as GgmlType);
    const about = importance ? { columns: COLUMNS, importance } : { columns: COLUMNS };
    const set = (i: number) => this.sets[i % SETS]!;
    const ours = {
      prepare: (i: number) => {
        this.lent = this.borrow();
        this.lent.rows.set(set(i));
      },
      run: () => this.codec.encode(this.lent.rows, this.lent.out, about),
    };
    const theirs = { run: (i: number) => kernel.encode(set(i), COLUMNS, this.encoded, importance) };
    ours.prepare(0);
    ours.run();
    theirs.run(0);
    const same = Buffer.compare(this.encoded, this.lent.out[0]!) === 0;
    return this.result(importance ? "encode, importance" : "encode", same, compare(pairs, theirs, ours));
  }

  decode(pairs: number): KernelResult {
    const kernel = oracleKernel(this.scheme.id as GgmlType);
    const importance = makeImportance("skewed", COLUMNS);
    const blocks = this.sets.map((rows) => {
      const bytes = new Uint8Array(this.encoded.length);
      kernel.encode(rows, COLUMNS, bytes, this.scheme.importance === "required" ? importance : undefined);
      return bytes;
    });
    const ours = {
      prepare: (i: number) => {
        this.lent = this.borrow();
        this.lent.out[0]!.set(blocks[i % SETS]!);
      },
      run: () => this.codec.decode(this.lent.out, this.lent.rows, { columns: COLUMNS }),
    };
    const theirs = { run: (i: number) => kernel.decode(blocks[i % SETS]!, this.decoded) };
    ours.prepare(0);
    ours.run();
    theirs.run(0);
    const same =
      Buffer.compare(new Uint8Array(this.decoded.buffer), new Uint8Array(this.lent.rows.slice().buffer)) ===
      0;
    return this.result("decode", same, compare(pairs, theirs, ours));
  }

  private result(operation: KernelResult["operation"], same: boolean, comparison: Comparison): KernelResult {
    return { scheme: this.scheme.id, operation, weights: this.weights, same, ...comparison };
  }
}
