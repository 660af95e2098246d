import { spawnSync } from "node:child_process";
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { isFewbitError } from "../src/error.js";
import { nodeIo, openFile } from "../src/files.js";
import { inlineRunner } from "../src/inline-runner.js";
import type { Progress } from "../src/pipeline.js";
import { makePlan } from "../src/plan.js";
import { createRegistry } from "../src/registry.js";
import type { Model, Plugin } from "../src/types.js";
import { type WriteRequest, writeModel } from "../src/write-model.js";
import plugin, { everything, flatWriter, modelOf, topScheme } from "./top16.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "fewbit-core-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const weights = Float32Array.from({ length: 300 * 4096 }, (_, i) => Math.sin(i) * (i % 7));

/** A model of two tensors: one of several chunks, one a vector. */
function model(values = weights): Model {
  const path = join(folder, "in.raw");
  writeFileSync(path, new Uint8Array(values.buffer));
  return modelOf(path, [
    { name: "w", shape: [299, 4096], bytes: 299 * 4096 * 4 },
    { name: "v", shape: [4096], bytes: 4096 * 4 },
  ]);
}

const registry = createRegistry([plugin]);

function request(from: Model, more: Partial<WriteRequest> & { scheme?: string } = {}): WriteRequest {
  const planned = makePlan({
    model: from,
    recipe: everything(more.scheme ?? "TOP16"),
    context: { options: {} },
    registry,
    writer: flatWriter,
  });
  return {
    ...planned,
    model: from,
    registry,
    writer: flatWriter,
    runner: inlineRunner([plugin], nodeIo()),
    path: join(folder, "out.flat"),
    ...more,
  };
}

async function write(from: WriteRequest): Promise<Progress[]> {
  const seen: Progress[] = [];
  for await (const progress of writeModel(from)) seen.push(progress);
  return seen;
}

const failure = (from: WriteRequest): Promise<unknown> =>
  write(from).then(
    () => undefined,
    (e: unknown) => e,
  );
const listing = (): string[] => readdirSync(folder).sort();

describe("writing a model", () => {
  test("writes the header, every row where the plan says, and counts", async () => {
    const seen = await write(request(model()));
    const out = readFileSync(join(folder, "out.flat"));
    expect(out.subarray(0, 8).toString()).toBe("FLATFILE");
    expect(out.length).toBe(8 + weights.length * 2);
    const bits = new Uint32Array(weights.buffer);
    for (const i of [0, 1, 4095, 4096, 1_000_000, weights.length - 1])
      expect(out.readUInt16LE(8 + 2 * i)).toBe(bits[i]! >>> 16);
    expect(seen.length).toBeGreaterThan(2);
    expect(seen.at(-1)).toMatchObject({ weights: weights.length, totalWeights: weights.length, zeroed: 0 });
    expect(listing()).toEqual(["in.raw", "out.flat"]);
  });

  test("a scheme of two passes sees the whole tensor first; what does not fit falls back", async () => {
    const from = request(model(), { scheme: "TENSOR8" });
    expect(from.plan.tensors[1]!.to.dtype).toBe("TOP16");
    expect(from.plan.tensors[1]!.reason).toBe(
      "TENSOR8 does not fit: a vector is too short to be worth it; TOP16 instead; asked for",
    );
    await write(from);
    const out = readFileSync(join(folder, "out.flat"));
    const matrix = weights.subarray(0, 299 * 4096);
    const scale = Math.fround(matrix.reduce((m, x) => Math.max(m, Math.abs(x)), 0) / 127);
    expect(out.readFloatLE(8 + matrix.length)).toBe(scale);
    for (const i of [0, 5, 1_100_000]) expect(out.readInt8(8 + i)).toBe(Math.round(matrix[i]! / scale));
  });

  test("refuses to replace anything unless forced, and then keeps the old file until the end", async () => {
    writeFileSync(join(folder, "out.flat"), "old");
    const thrown = await failure(request(model()));
    expect(isFewbitError(thrown, "E_OUTPUT_EXISTS")).toBe(true);
    const bad = weights.slice();
    bad[1_200_000] = Number.NaN;
    expect(isFewbitError(await failure(request(model(bad), { force: true })), "E_NONFINITE")).toBe(true);
    expect(readFileSync(join(folder, "out.flat"), "utf8")).toBe("old");
    await write(request(model(), { force: true }));
    expect(readFileSync(join(folder, "out.flat"), "utf8").slice(0, 8)).toBe("FLATFILE");
  });

  test.each(["the same path", "a hard link", "a symbolic link"])(
    "refuses an output that is the input: %s",
    async (kind) => {
      const from = model();
      const input = join(folder, "in.raw");
      const path = kind === "the same path" ? join(folder, ".", "in.raw") : join(folder, "link");
      if (kind === "a hard link") linkSync(input, path);
      if (kind === "a symbolic link") symlinkSync(input, path);
      const thrown = await failure(request(from, { path, force: true }));
      expect(isFewbitError(thrown, "E_OUTPUT_IS_INPUT")).toBe(true);
      expect(readFileSync(input).length).toBe(weights.byteLength);
    },
  );

  test("names tensor, row, column and byte of a NaN, and leaves nothing behind", async () => {
    const bad = weights.slice();
    bad[4096 * 260 + 17] = Number.NaN;
    const thrown = await failure(request(model(bad)));
    expect(thrown).toMatchObject({
      code: "E_NONFINITE",
      message: `w has NaN at row 260, column 17 (element ${4096 * 260 + 17})`,
      at: { file: join(folder, "in.raw"), tensor: "w", row: 260, column: 17, offset: (4096 * 260 + 17) * 4 },
    });
    expect(listing()).toEqual(["in.raw"]);
  });

  test("does so in a row that is copied in pieces, too", async () => {
    const path = join(folder, "in.raw");
    const columns = 3 << 19; // 6 MiB: the second piece of 4 MiB begins within the first row
    const values = new Float32Array(2 * columns);
    writeFileSync(path, new Uint8Array(values.buffer));
    const long = modelOf(path, [{ name: "w", shape: [2, columns], bytes: values.byteLength }]);
    const seen = await write(request(long, { scheme: "keep" }));
    expect(seen.map(({ weights }) => weights)).toEqual([1 << 20, 2 << 20, 2 * columns]);
    for (const element of [5, 1_234_567, columns, columns + 1_400_000]) {
      values.fill(0).fill(Number.NaN, element, element + 1);
      writeFileSync(path, new Uint8Array(values.buffer));
      const [row, column] = [Math.floor(element / columns), element % columns];
      expect(await failure(request(long, { scheme: "keep", force: true }))).toMatchObject({
        message: `w has NaN at row ${row}, column ${column} (element ${element})`,
        at: { row, column, offset: element * 4 },
      });
    }
  });

  test("a tensor without rows is nothing to observe or to write", async () => {
    writeFileSync(join(folder, "in.raw"), new Uint8Array(16));
    const empty = modelOf(join(folder, "in.raw"), [
      { name: "none", shape: [0, 4], bytes: 0 },
      { name: "narrow", shape: [4, 0], bytes: 0 },
      { name: "v", shape: [4], bytes: 16 },
    ]);
    const seen = await write(request(empty, { scheme: "TENSOR8" }));
    expect(seen.at(-1)).toMatchObject({ weights: 4, totalWeights: 4 });
    expect(readFileSync(join(folder, "out.flat")).length).toBe(8 + 4 + 4 + 8);
  });

  test("a codec that fails is told by name, with its own stack", async () => {
    const broken: Plugin = {
      ...plugin,
      schemes: [
        {
          ...topScheme,
          load: async () => ({
            encode: () => {
              throw new TypeError("oops");
            },
            decode: () => {},
          }),
        },
      ],
    };
    const thrown = await failure(request(model(), { runner: inlineRunner([broken], nodeIo()) }));
    expect(thrown).toMatchObject({
      code: "E_PLUGIN_FAILED",
      message: "top16:TOP16 failed on w, row 0 and after: oops",
      at: { tensor: "w", row: 0 },
      remedy: "Try fewer --threads if memory is short; otherwise report it to the authors of top16.",
      stack: expect.stringMatching(/^TypeError: oops\n/),
    });
    expect(listing()).toEqual(["in.raw"]);
  });

  test("zeroes such weights when asked, and counts them", async () => {
    const bad = weights.slice();
    bad[3] = Number.NaN;
    bad[4096 * 260] = Number.POSITIVE_INFINITY;
    const seen = await write(request(model(bad), { nonfinite: "zero" }));
    expect(seen.at(-1)!.zeroed).toBe(2);
    const out = readFileSync(join(folder, "out.flat"));
    expect(out.readUInt16LE(8 + 6)).toBe(0);
    expect(out.readUInt16LE(8 + 2 * 4096 * 260)).toBe(0);
  });

  test("an abort leaves nothing behind", async () => {
    const controller = new AbortController();
    const run = async () => {
      for await (const _ of writeModel(request(model(), { signal: controller.signal }))) controller.abort();
    };
    await expect(run()).rejects.toMatchObject({ code: "E_ABORTED" });
    expect(listing()).toEqual(["in.raw"]);
  });

  test("leaving the loop leaves nothing behind", async () => {
    for await (const _ of writeModel(request(model()))) break;
    expect(listing()).toEqual(["in.raw"]);
  });

  test("notices an input that changed", async () => {
    const run = async () => {
      for await (const _ of writeModel(request(model()))) utimesSync(join(folder, "in.raw"), 1, 1);
    };
    await expect(run()).rejects.toMatchObject({ code: "E_INPUT_CHANGED" });
    expect(listing()).toEqual(["in.raw"]);
  });

  test("notices an input that changed after it was opened, before anything is written", async () => {
    const from = model();
    const source = await openFile(join(folder, "in.raw"));
    await source.close();
    const opened = { ...from, files: [source.at] };
    utimesSync(join(folder, "in.raw"), 1, 1);
    const steps = writeModel(request(opened));
    await expect(steps.next()).rejects.toMatchObject({
      code: "E_INPUT_CHANGED",
      message: "the file changed while it was being read",
      at: { file: join(folder, "in.raw") },
    });
    expect(listing()).toEqual(["in.raw"]);
  });

  test("notices an input that was shortened", async () => {
    const from = request(model());
    writeFileSync(join(folder, "in.raw"), "short");
    expect(await failure(from)).toMatchObject({ code: "E_TRUNCATED" });
    expect(listing()).toEqual(["in.raw"]);
  });

  test("says that an input changed, rather than what came of it", async () => {
    const run = async () => {
      for await (const _ of writeModel(request(model()))) truncateSync(join(folder, "in.raw"), 4096);
    };
    await expect(run()).rejects.toMatchObject({ code: "E_INPUT_CHANGED", cause: { code: "E_TRUNCATED" } });
    expect(listing()).toEqual(["in.raw"]);
  });

  test.each([false, true])("a partial file of nobody knows whom is respected; forced: %s", async (force) => {
    writeFileSync(join(folder, "out.flat.partial"), "theirs");
    expect(await failure(request(model(), { force }))).toMatchObject({
      code: "E_BUSY",
      message: "another run is writing this output, or has left this file behind",
      remedy: "Wait for it; if nothing is running, delete this file.",
    });
    expect(readFileSync(join(folder, "out.flat.partial"), "utf8")).toBe("theirs");
  });

  test("a second run to the same output is refused, forced or not, and harms neither", async () => {
    const from = model();
    const first = writeModel(request(from));
    await first.next();
    for (const force of [false, true])
      expect(await failure(request(from, { scheme: "TENSOR8", force }))).toMatchObject({
        code: "E_BUSY",
        message: `process ${process.pid} is writing this output`,
        at: { file: join(folder, "out.flat.partial") },
      });
    for await (const _ of first);
    const whole = readFileSync(join(folder, "out.flat"));
    await write(request(from, { path: join(folder, "alone.flat") }));
    expect(whole.equals(readFileSync(join(folder, "alone.flat")))).toBe(true);
    expect(listing()).toEqual(["alone.flat", "in.raw", "out.flat"]);
  });

  test("what a dead process of this machine left is replaced, what another machine left is not", async () => {
    const { pid } = spawnSync(process.execPath, ["--version"]);
    const partial = join(folder, "out.flat.partial");
    writeFileSync(partial, `half of it fewbit ${pid} another-machine\n`);
    expect(await failure(request(model()))).toMatchObject({
      code: "E_BUSY",
      message: `process ${pid} on another-machine is writing this output`,
    });
    writeFileSync(partial, `half of it fewbit ${pid} ${hostname()}\n`);
    await write(request(model()));
    expect(listing()).toEqual(["in.raw", "out.flat"]);
  });

  test("an input is not taken for a partial file", async () => {
    const from = model();
    const path = join(folder, "out.flat");
    renameSync(join(folder, "in.raw"), `${path}.partial`);
    const input = { ...from, files: [{ kind: "file" as const, path: `${path}.partial` }] };
    expect(await failure(request(input, { path, force: true }))).toMatchObject({
      code: "E_OUTPUT_IS_INPUT",
      message: `the output would be written by way of the input ${path}.partial`,
    });
    expect(readFileSync(`${path}.partial`).length).toBe(weights.byteLength);
  });

  test("nothing is written through a link that has the name of the partial file", async () => {
    writeFileSync(join(folder, "precious"), "precious");
    symlinkSync("precious", join(folder, "out.flat.partial"));
    expect(await failure(request(model(), { force: true }))).toMatchObject({ code: "E_BUSY" });
    expect(readFileSync(join(folder, "precious"), "utf8")).toBe("precious");
  });

  test("an output that is a link is written where it leads; to nowhere is refused", async () => {
    const path = join(folder, "link");
    symlinkSync("target", path);
    expect(await failure(request(model(), { path }))).toMatchObject({
      code: "E_IO",
      message: "the output is a symbolic link that leads nowhere",
      remedy: "Remove the link, or give the output another name.",
    });
    writeFileSync(join(folder, "target"), "old");
    await write(request(model(), { path, force: true }));
    expect(lstatSync(path).isSymbolicLink()).toBe(true);
    expect(readFileSync(join(folder, "target"), "utf8").slice(0, 8)).toBe("FLATFILE");
    expect(listing()).toEqual(["in.raw", "link", "target"]);
  });

  test("what appears under the output's name during the run is kept", async () => {
    const path = join(folder, "out.flat");
    const run = async () => {
      for await (const _ of writeModel(request(model()))) writeFileSync(path, "theirs");
    };
    await expect(run()).rejects.toMatchObject({ code: "E_OUTPUT_EXISTS" });
    expect(readFileSync(path, "utf8")).toBe("theirs");
    expect(listing()).toEqual(["in.raw", "out.flat"]);
  });

  test("an output that cannot fit is refused before anything is written", async () => {
    const huge = modelOf(join(folder, "in.raw"), [{ name: "w", shape: [1, 4], bytes: 16 }]);
    writeFileSync(join(folder, "in.raw"), new Uint8Array(16));
    const from = request(huge);
    const thrown = await failure({ ...from, plan: { ...from.plan, files: [2 ** 52] } });
    expect(isFewbitError(thrown, "E_SPACE")).toBe(true);
    expect(listing()).toEqual(["in.raw"]);
  });

  test("a missing folder is an error that names it", async () => {
    const path = join(folder, "none", "out.flat");
    expect(await failure(request(model(), { path }))).toMatchObject({
      code: "E_IO",
      at: { file: join(folder, "none") },
    });
    expect(existsSync(path)).toBe(false);
  });
});
