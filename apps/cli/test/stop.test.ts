import { once } from "node:events";
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { start } from "./command-line.js";
import { writeTinyModel } from "./model.js";
import { temporaryFolder } from "./temporary.js";

const folder = temporaryFolder();

beforeAll(() => {
  writeTinyModel(join(folder, "tiny.gguf"));
  // A scheme so slow that a run of it can be stopped at leisure.
  writeFileSync(
    join(folder, "slow.mjs"),
    `
export default {
  api: 1, name: "slow", version: "1.0.0", module: import.meta.url,
  schemes: [{
    id: "Q8_0", summary: "slow", symmetry: "symmetric", granularity: "block", importance: "ignored", passes: 1, minSqnr: 0,
    layout: (shape) => shape.at(-1) % 32 === 0 && shape.length > 1
      ? [{ name: "", dtype: "Q8_0", shape, bytes: (shape.reduce((a, b) => a * b, 1) / 32) * 34, per: "row" }]
      : { unfit: "no" },
    load: async () => ({
      encode: (rows, [out]) => { Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60_000); },
      decode: () => {},
    }),
  }],
};
`,
  );
});

const partials = (): string[] =>
  readdirSync(folder).filter((name) => !["tiny.gguf", "slow.mjs"].includes(name));

async function untilPartial(): Promise<void> {
  for (let i = 0; partials().length === 0; i++) {
    if (i > 600) throw new Error("the run never began to write");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describe("a run that is stopped leaves nothing behind", () => {
  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 143],
  ] as const)("%s", async (signal, status) => {
    const running = start(
      ["quantize", "tiny.gguf", "out.gguf", "--plugin", "./slow.mjs", "--type", "slow:Q8_0"],
      folder,
    );
    await untilPartial();
    running.child.kill(signal);
    const ended = await running.ended;
    expect(ended.status).toBe(status);
    expect(ended.stderr).toBe(
      `error[E_ABORTED] Stopped by ${signal}; nothing unfinished has the name of an output.\n`,
    );
    expect(partials()).toEqual([]);
  });
});

test("what a killed run left behind is no hindrance to the next, which replaces it", async () => {
  const slow = start(
    ["quantize", "tiny.gguf", "out.gguf", "--plugin=./slow.mjs", "--type=slow:Q8_0"],
    folder,
  );
  await untilPartial();
  const second = await start(["quantize", "tiny.gguf", "out.gguf", "--type=Q4_0", "--force"], folder).ended;
  expect(second).toMatchObject({
    status: 5,
    stderr: `error[E_BUSY] ${join(folder, "out.gguf.partial")}: process ${slow.child.pid} is writing this output. Wait for it; if that process is not fewbit, delete this file.\n`,
  });
  slow.child.kill("SIGKILL");
  await expect(slow.ended).rejects.toThrow("SIGKILL");
  expect(partials()).toEqual(["out.gguf.partial"]);

  const third = await start(["quantize", "tiny.gguf", "out.gguf", "--type=Q4_0"], folder).ended;
  expect(third).toMatchObject({ status: 0, stderr: "" });
  expect(partials()).toEqual(["out.gguf"]);
  rmSync(join(folder, "out.gguf"));
});

test("a request that hangs does not keep a stopped program alive", async () => {
  const server = createServer(() => {}); // Never answers.
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const asked = once(server, "request");
  const running = start(
    ["inspect", `http://127.0.0.1:${(server.address() as AddressInfo).port}/x.gguf`],
    folder,
  );
  await asked;
  running.child.kill("SIGINT");
  expect(await running.ended).toMatchObject({ status: 130 });
  server.closeAllConnections();
  server.close();
});
