// A model some tensors of which are computed from stored ones, from plan to file.
import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { nodeIo, openFile } from "../src/files.js";
import { inlineRunner } from "../src/inline-runner.js";
import { makePlan, splitJobs } from "../src/plan.js";
import { createRegistry } from "../src/registry.js";
import type { Model, StoredLocator } from "../src/types.js";
import { concat, float32, rows, stack, stored, transpose, type View } from "../src/view.js";
import { writeModel } from "../src/write-model.js";
import plugin, { everything, flatWriter } from "./top16.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "fewbit-core-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const ROWS = 40;
const COLUMNS = 24;

/** Two files of one matrix each; its first weight is at byte 16. */
async function files(edit: (values: Float32Array) => void = () => {}): Promise<[View, View]> {
  const views = [];
  for (const [i, name] of ["a", "b"].entries()) {
    const values = Float32Array.from({ length: ROWS * COLUMNS }, (_, at) => at + i * 1000);
    if (name === "b") edit(values);
    const path = join(folder, `${name}.raw`);
    writeFileSync(path, Buffer.concat([Buffer.alloc(16), Buffer.from(values.buffer)]));
    const source = await openFile(path);
    await source.close();
    const at = {
      from: source.at,
      dtype: "F32",
      shape: [ROWS, COLUMNS],
      offset: 16,
      bytes: values.byteLength,
    };
    views.push(stored({ name: `layer.${name}`, ...at }));
  }
  return views as [View, View];
}

const modelOf = (views: Readonly<Record<string, View>>): Model => ({
  format: "flat",
  metadata: [],
  warnings: [],
  tensors: Object.entries(views).map(([name, { dtype, shape, bytes }], file) => ({
    name,
    dtype,
    shape,
    bytes,
    file,
    offset: 0,
  })),
  files: Object.values(views).map((view) => ({ kind: "view", view })),
});

const registry = createRegistry([plugin]);
const planOf = (model: Model, scheme: string) =>
  makePlan({ model, recipe: everything(scheme), context: { options: {} }, registry, writer: flatWriter });

async function write(model: Model, scheme: string, more: object = {}): Promise<Buffer> {
  const path = join(folder, "out.flat");
  const runner = inlineRunner([plugin], nodeIo());
  const run = writeModel({
    ...planOf(model, scheme),
    model,
    registry,
    writer: flatWriter,
    runner,
    path,
    ...more,
  });
  for await (const _ of run) {
    // Until it is complete.
  }
  return readFileSync(path).subarray(8);
}

test("is copied and encoded like any other", async () => {
  const [a, b] = await files();
  const model = modelOf({ turned: transpose(a), both: concat([rows(b, 3, 5), a]) });
  const copied = new Float32Array(Uint8Array.from(await write(model, "keep")).buffer);
  for (const [at, value] of [
    [0, 0],
    [1, COLUMNS],
    [ROWS, 1],
    [ROWS * COLUMNS, 1000 + 3 * COLUMNS],
    [ROWS * COLUMNS + 5 * COLUMNS, 0],
  ] as const)
    expect(copied[at]).toBe(value);
  const encoded = await write(model, "TOP16", { force: true });
  expect(encoded.readUInt16LE(2)).toBe(new Uint32Array(Float32Array.of(COLUMNS).buffer)[0]! >>> 16);
});

test("a job carries what it needs of a join, and the file itself where that is all", async () => {
  const [a, b] = await files();
  const model = modelOf({ experts: stack([a, float32(b, 1)]) });
  const { plan } = planOf(model, "TOP16");
  const to: StoredLocator[] = [{ kind: "file", path: "out" }];
  const jobs = [...splitJobs({ plan, from: model.files, to, pass: "encode" })];
  expect(jobs.map(({ read }) => [read.from.kind, read.offset])).toEqual([
    ["file", 16],
    ["view", 0],
  ]);
  expect(jobs[0]!.read.from).toEqual((a as { from: StoredLocator }).from);
  expect(jobs[1]!.read.from).toEqual({ kind: "view", view: float32(b, 1) });
});

test("a weight that is no number is told by the file and the tensor that it is in", async () => {
  const [a, b] = await files((values) => {
    values[7 * COLUMNS + 2] = Number.NaN;
  });
  const model = modelOf({ turned: transpose(concat([a, b])) });
  const at = {
    file: join(folder, "b.raw"),
    tensor: "turned",
    row: 2,
    column: ROWS + 7,
    offset: 16 + (7 * COLUMNS + 2) * 4,
    key: "layer.b",
  };
  for (const scheme of ["TOP16", "keep"])
    await expect(write(model, scheme)).rejects.toMatchObject({
      code: "E_NONFINITE",
      message: "turned has NaN at row 2, column 47 (element 207)",
      at,
    });
  expect((await write(model, "TOP16", { nonfinite: "zero" })).readUInt16LE((2 * 80 + 47) * 2)).toBe(0);
});

test("files under it are inputs: changed ones are refused, and so is replacing one", async () => {
  const [a, b] = await files();
  const model = modelOf({ both: concat([a, b]) });
  await expect(write(model, "keep", { path: join(folder, "a.raw"), force: true })).rejects.toMatchObject({
    code: "E_OUTPUT_IS_INPUT",
  });
  utimesSync(join(folder, "b.raw"), 1, 1);
  await expect(write(model, "keep")).rejects.toMatchObject({
    code: "E_INPUT_CHANGED",
    at: { file: join(folder, "b.raw") },
  });
  expect(readdirSync(folder).sort()).toEqual(["a.raw", "b.raw"]);
});
