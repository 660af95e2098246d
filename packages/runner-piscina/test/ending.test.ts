import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Job } from "@fewbit/core";
import plugin from "@fewbit/runner-piscina";
import { afterAll, expect, test } from "vitest";

const folder = mkdtempSync(join(tmpdir(), "fewbit-piscina-"));
afterAll(() => rmSync(folder, { recursive: true }));
const [runner] = plugin.runners!;
const ROWS = 64;

/** Copies of one row each; the source ends before the row `bad`. */
function* jobs(bad: number): Generator<Job> {
  writeFileSync(join(folder, "source"), new Uint8Array(ROWS * 4));
  writeFileSync(join(folder, "output"), "");
  for (let row = 0; row < ROWS; row++)
    yield {
      id: row,
      pass: "copy",
      tensor: "w",
      columns: 1,
      firstRow: row,
      rows: 1,
      read: {
        from: { kind: "file", path: join(folder, "source") },
        dtype: "F32",
        offset: row === bad ? ROWS * 4 : row * 4,
        bytes: 4,
      },
      write: [{ to: { kind: "file", path: join(folder, "output") }, offset: row * 4, bytes: 4 }],
    };
}

// What arrives from a thread that is being ended has no receiver any more; left to the pool it is an uncaught
// exception, which would end the program in place of the error. Vitest reports such a one as a failure.
test("an error that ends a run is the only one, whatever other threads are just answering", async () => {
  for (let i = 0; i < 16; i++) {
    const receipts = runner!.run(jobs(20 + i), { modules: {}, threads: 2 });
    await expect(async () => {
      for await (const _ of receipts);
    }).rejects.toMatchObject({ code: "E_TRUNCATED", at: { tensor: "w", row: 20 + i } });
  }
});

test("so is an abort", async () => {
  for (let i = 0; i < 16; i++) {
    const controller = new AbortController();
    const receipts = runner!.run(jobs(-1), { modules: {}, threads: 2, signal: controller.signal });
    await expect(async () => {
      for await (const { job } of receipts) if (job === 20 + i) controller.abort();
    }).rejects.toMatchObject({ code: "E_ABORTED" });
  }
});
