// The oracle itself: whole files equal the hashes recorded from llama.cpp, and its death is an error of ours, not ours.
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { sharedFolder } from "../golden.js";
import { type LlamaFtype, oracleFolder, oracleProcess, oracleQuantizeFile } from "../oracle-file.js";

const golden = sharedFolder && `${sharedFolder}/golden-model`;
const model = golden && `${golden}/tiny-bf16.gguf`;
const reason = !oracleFolder
  ? " (skipped: no prebuilt llama.cpp for this platform)"
  : model && existsSync(model)
    ? ""
    : " (skipped: no ../shared/golden-model)";

const folder = mkdtempSync(join(tmpdir(), "fewbit-oracle-"));
afterAll(() => rmSync(folder, { recursive: true }));

describe.skipIf(reason !== "")(`llama.cpp on whole files${reason}`, () => {
  const output = join(folder, "out.gguf");

  test.each<LlamaFtype>(["F16", "Q8_0", "Q4_K_M"])("%s has the recorded hash", async (name) => {
    const { results } = JSON.parse(readFileSync(`${golden}/tiny-results.json`, "utf8")) as {
      results: { name: string; imatrix: number; file_sha256: string }[];
    };
    const recorded = results.find((result) => result.name === name && result.imatrix === 0)!;
    const { ok, log, peakMemory } = await oracleQuantizeFile(model!, output, name, { threads: 1 });
    expect(ok, log).toBe(true);
    expect(createHash("sha256").update(readFileSync(output)).digest("hex")).toBe(recorded.file_sha256);
    expect(peakMemory).toBeGreaterThan(1e7);
  });

  test("options arrive", async () => {
    const { ok, log } = await oracleQuantizeFile(model!, output, "Q4_K_M", {
      threads: 1,
      outputTensorType: "Q5_0",
      tokenEmbeddingType: "Q8_0",
      tensorTypes: [{ pattern: "blk\\.0\\.ffn_up", type: "Q3_K" }],
      pruneLayers: [1],
      keyValues: [
        { key: "a.string", string: "some text" },
        { key: "a.number", int: 7 },
      ],
    });
    expect(ok, log).toBe(true);
    expect(log).toMatch(/ output\.weight.*to q5_0/);
    expect(log).toMatch(/token_embd\.weight.*to q8_0/);
    expect(log).toMatch(/blk\.0\.ffn_up\.weight.*to q3_K/);
    expect(log).toContain("pruning tensor blk.1.attn_q.weight");
    const file = readFileSync(output, "latin1");
    expect(file).toContain("a.string");
    expect(file).toContain("some text");
    expect(file).toContain("a.number");
    expect(file).not.toContain("blk.1.");
  });

  test("an error of llama.cpp is a result", async () => {
    const { ok, log } = await oracleQuantizeFile(model!, output, "IQ2_XS");
    expect(ok).toBe(false);
    expect(log).toContain("this quantization requires an imatrix!");
  });

  test("an abort of llama.cpp is an error that says where", async () => {
    const run = oracleQuantizeFile(model!, output, "Q4_0", { tokenEmbeddingType: "IQ2_XXS" });
    await expect(run).rejects.toThrow(/llama\.cpp ended with .*tiny-bf16\.gguf:\n.*imatrix != NULL/s);
  });

  test("one process answers many requests in their order, and one that aborted is replaced", async () => {
    const oracle = oracleProcess();
    const lines = (log: string, type: string) => log.match(new RegExp(`to ${type}`, "g"))?.length ?? 0;
    const [a, b] = await Promise.all([
      oracle.quantize(model!, output, "Q4_0", { threads: 1, pure: true }),
      oracle.quantize(model!, output, "Q5_0", { threads: 1, pure: true }),
    ]);
    expect([lines(a.log, "q4_0"), lines(a.log, "q5_0")]).toEqual([16, 0]);
    expect([lines(b.log, "q4_0"), lines(b.log, "q5_0")]).toEqual([0, 16]);
    const dying = oracle.quantize(model!, output, "Q4_0", { tokenEmbeddingType: "IQ2_XXS" });
    await expect(dying).rejects.toThrow(/llama\.cpp ended with/);
    expect((await oracle.quantize(model!, output, "Q8_0", { threads: 1 })).ok).toBe(true);
    oracle.close();
  });
});
