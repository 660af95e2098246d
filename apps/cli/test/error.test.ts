import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createRegistry, FewbitError } from "@fewbit/core";
import { openModel } from "@fewbit/core/node";
import formatGguf, { writeImportance } from "@fewbit/format-gguf";
import { beforeAll, describe, expect, test } from "vitest";
import { run } from "../src/program.js";
import { type Ended, fewbit, runHere } from "./command-line.js";
import { writeMatrix } from "./importance.js";
import { float32, weights, writeGguf, writeTinyModel } from "./model.js";
import { temporaryFolder } from "./temporary.js";

const folder = temporaryFolder();
const stories = fileURLToPath(new URL("../../../tooling/fixture/stories.gguf", import.meta.url));
// Paths on a command line are those of the process, and every test file has one of its own.
process.chdir(folder);
const here = (...args: string[]): Promise<Ended> => runHere(args, folder);

interface Figures {
  readonly count: number;
  readonly sqnr: number | "Infinity";
  readonly rmse: number;
  readonly weightedSqnr?: number;
}
interface Document {
  readonly total: Figures & { readonly tensors: number; readonly quantizedBitsPerWeight: number };
  readonly types: Readonly<Record<string, Figures & { readonly tensors: number }>>;
  readonly tensors: readonly (Figures & {
    readonly name: string;
    readonly quantized: { readonly dtype: string };
  })[];
  readonly missing: readonly string[];
  readonly seconds: number;
}

async function json(...args: string[]): Promise<Document> {
  const { status, stdout, stderr } = await here("error", ...args, "--json");
  if (status !== 0) throw new Error(stdout + stderr);
  return JSON.parse(stdout) as Document;
}

const recipes = ["Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K"] as const;

beforeAll(async () => {
  copyFileSync(stories, join(folder, "stories.gguf"));
  const { tensors } = await openModel(stories, createRegistry([formatGguf]));
  writeMatrix(join(folder, "stories.imatrix.gguf"), { tensors } as Parameters<typeof writeMatrix>[1]);
  for (const recipe of recipes) {
    const { status, stderr } = await here("quantize", "stories.gguf", `${recipe}.gguf`, "--type", recipe);
    if (status !== 0) throw new Error(stderr);
  }
  writeTinyModel(join(folder, "tiny.gguf"));
}, 120_000);

describe("a real model", () => {
  test("more bits, less error; and as much as the types are known for", async () => {
    const documents = await Promise.all(recipes.map((recipe) => json("stories.gguf", `${recipe}.gguf`)));
    const totals = documents.map(({ total }) => total.sqnr as number);
    for (const [i, sqnr] of totals.entries()) if (i > 0) expect(sqnr).toBeLessThan(totals[i - 1]! - 1.5);
    const [q8, q6, , q4, , q2] = documents;
    expect(q8!.types.Q8_0!.sqnr).toBeGreaterThan(40);
    expect(q6!.types.Q6_K!.sqnr).toBeGreaterThan(30);
    expect(q4!.total.quantizedBitsPerWeight).toBeCloseTo(5.096, 2);
    expect(q4!.types.Q4_K!.sqnr).toBeGreaterThan(20);
    expect(q4!.types.Q4_K!.sqnr).toBeLessThan(26);
    expect(q2!.types.Q2_K!.sqnr).toBeGreaterThan(7);
    expect(q2!.types.Q2_K!.sqnr).toBeLessThan(14);
    for (const { types, tensors, total } of documents) {
      expect(types.F32).toMatchObject({ tensors: 9, sqnr: "Infinity", rmse: 0 });
      expect(total).toMatchObject({ tensors: 38, count: tensors.reduce((sum, { count }) => sum + count, 0) });
    }
  });

  test("for people: every tensor, then types and totals", async () => {
    const { status, stdout, stderr } = await fewbit(["error", "stories.gguf", "Q4_K_M.gguf"], folder);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(
      /^stories\.gguf\nQ4_K_M\.gguf\n\nTENSOR +SHAPE +FROM +TO +BITS +RMSE +MAX ERROR +COSINE +SQNR \(dB\)\ntoken_embd/,
    );
    expect(stdout).toMatch(
      /^blk\.0\.attn_q\.weight +\[256, 256\] +F16 +Q4_K +4\.500 +\d\.\d\de-3 +\d\.\d\de-2 +0\.99\d{4} +2\d\.\d\d$/m,
    );
    expect(stdout).toMatch(/^output_norm\.weight +\[256\] +F32 +F32 +32\.000 +0 +0 +1\.000000 +exact$/m);
    expect(stdout).toMatch(/^all +38 +3\.74 M +2\.38 MB +5\.096 +\S+ +\S+ +0\.99\d{4} +2\d\.\d\d$/m);
    expect(stdout).toMatch(/^worst: blk\.\d\.\w+\.weight \(Q4_K, 2\d\.\d\d dB\), blk.*, blk[^,]*, [^,]*$/m);
    expect(stdout).toMatch(
      /\n3\.74 M weights, 16\.010 → 5\.096 bits per weight: SQNR 2\d\.\d\d dB; \S+ s\n$/,
    );
  });

  test("--sort puts the worst first", async () => {
    const names = async (...args: string[]): Promise<string[]> =>
      (await json("stories.gguf", "Q4_K_M.gguf", ...args)).tensors.map(({ name }) => name);
    const { tensors } = await json("stories.gguf", "Q4_K_M.gguf", "--sort", "sqnr");
    const values = tensors.map(({ sqnr }) => Number(sqnr));
    expect(values).toEqual([...values].sort((a, b) => a - b));
    // Equals in the order of the model: the vectors, of which nothing is lost.
    const model = await names();
    expect(tensors.slice(-9).map(({ name }) => name)).toEqual(model.filter((name) => name.includes("norm")));
    const byRmse = (await json("stories.gguf", "Q4_K_M.gguf", "--sort", "rmse")).tensors.map(
      ({ rmse }) => rmse,
    );
    expect(byRmse).toEqual([...byRmse].sort((a, b) => b - a));
    for (const figure of ["max-error", "cosine"]) {
      const sorted = await names("--sort", figure);
      expect(sorted).not.toEqual(model);
      expect([...sorted].sort()).toEqual([...model].sort());
    }
    const { stdout } = await here("error", "stories.gguf", "Q4_K_M.gguf", "--sort", "sqnr");
    expect(stdout.split("\n")[4]).toMatch(new RegExp(`^${tensors[0]!.name} `));
  });

  test("an importance matrix adds a figure, which quantizing with it improves", async () => {
    const imatrix = ["--imatrix", "stories.imatrix.gguf"];
    const made = await here("quantize", "stories.gguf", "with.gguf", "--type", "Q4_K_M", ...imatrix);
    expect(made.status).toBe(0);
    const [without, having] = await Promise.all([
      json("stories.gguf", "Q4_K_M.gguf", ...imatrix),
      json("stories.gguf", "with.gguf", ...imatrix),
    ]);
    expect(having.total.weightedSqnr!).toBeGreaterThan(without.total.weightedSqnr! + 0.1);
    expect(without.tensors.find(({ name }) => name === "token_embd.weight")).not.toHaveProperty(
      "weightedSqnr",
    );

    const { stdout } = await here(
      "error",
      "stories.gguf",
      "with.gguf",
      ...imatrix,
      "--sort",
      "weighted-sqnr",
    );
    expect(stdout).toMatch(/SQNR \(dB\) +WEIGHTED \(dB\)\nblk/);
    expect(stdout).toMatch(/^token_embd\.weight .* -$/m);
    expect(stdout).toMatch(/: SQNR \S+ dB, \S+ dB weighted by importance; /);
    // Without one, nothing is weighted.
    expect((await here("error", "stories.gguf", "with.gguf")).stdout).not.toMatch(/weighted/i);
  });

  test("a model is as good as itself, and threads change nothing but the time", async () => {
    const itself = await here("error", "Q4_K_M.gguf", "Q4_K_M.gguf");
    expect(itself.stdout).toMatch(/5\.096 → 5\.096 bits per weight: nothing was lost; \S+ s\n$/);
    expect(itself.stdout).not.toContain("worst:");
    const [one, three] = await Promise.all(
      ["1", "3"].map((threads) => json("stories.gguf", "Q2_K.gguf", "--threads", threads)),
    );
    expect({ ...one, seconds: 0 }).toEqual({ ...three, seconds: 0 });
  });

  test("between two quantized models", async () => {
    const { types } = await json("Q8_0.gguf", "Q6_K.gguf");
    expect(types.Q6_K!.sqnr).toBeGreaterThan(30);
  });
});

describe("models that differ", () => {
  test("what one lacks is said and listed", async () => {
    await here("quantize", "stories.gguf", "pruned.gguf", "--type", "Q8_0", "--prune-layers", "3");
    const { status, stderr } = await here("error", "stories.gguf", "pruned.gguf");
    expect(status).toBe(0);
    expect(stderr).toBe(
      "warning: the quantized model lacks 9 tensors: blk.3.attn_norm.weight, blk.3.attn_q.weight, blk.3.attn_k.weight, blk.3.attn_v.weight, blk.3.attn_output.weight, blk.3.ffn_norm.weight, blk.3.ffn_gate.weight, blk.3.ffn_up.weight and 1 more\n",
    );
    expect((await json("stories.gguf", "pruned.gguf")).missing).toHaveLength(9);
    const turned = await here("error", "pruned.gguf", "stories.gguf");
    expect(turned.stderr).toMatch(/^warning: the original lacks 9 tensors: blk\.3/);
    expect((await here("error", "stories.gguf", "pruned.gguf", "--quiet")).stderr).toBe("");
  });

  test("another model is an error", async () => {
    expect(await here("error", "stories.gguf", "tiny.gguf")).toEqual({
      status: 3,
      stdout: "",
      stderr:
        "error[E_MODEL_MISMATCH] tiny.gguf: token_embd.weight is [64, 256] here and [2304, 256] in stories.gguf; 10 more of 20 differ in shape. Give the model that it was made from.\n",
    });
  });

  test("an importance matrix of another model is an error, and one that lacks or has too much is not", async () => {
    const matrix = (name: string, entries: Record<string, number>): void =>
      writeFileSync(
        join(folder, name),
        writeImportance({
          entries: new Map(
            Object.entries(entries).map(([tensor, columns]) => [
              tensor,
              { sums: new Float32Array(columns).fill(1), counts: Float32Array.of(1) },
            ]),
          ),
          datasets: [],
          chunks: 1,
          chunkSize: 512,
        }),
      );
    const args = ["error", "stories.gguf", "Q4_K_M.gguf", "--imatrix"];
    matrix("other.gguf", { "blk.0.attn_q.weight": 64 });
    const other = await here(...args, "other.gguf");
    expect(other).toMatchObject({ status: 3, stdout: "" });
    expect(other.stderr).toMatch(
      /^error\[E_IMATRIX_SHAPE\] .*The importance of "?blk\.0\.attn_q\.weight"? has 64 values; its rows need 256\. The matrix was collected from another model/,
    );
    matrix("foreign.gguf", { "h.0.attn.weight": 64 });
    const foreign = await here(...args, "foreign.gguf");
    expect(foreign.status).toBe(3);
    expect(foreign.stderr).toMatch(
      /has no entry for any tensor of the model\. The matrix was collected from/,
    );
    matrix("partly.gguf", { "blk.0.attn_q.weight": 256, "blk.7.attn_q.weight": 256 });
    const partly = await here(...args, "partly.gguf");
    expect(partly.status).toBe(0);
    expect(partly.stderr).toMatch(
      /^warning: the importance matrix has no entry for 27 tensors: blk\.0\.attn_k\.weight, .* and 19 more\nwarning: the importance matrix has entries for what is no tensor here: blk\.7\.attn_q\.weight\n$/,
    );
  });

  test("a weight that is no number", async () => {
    const values = weights(32, 1);
    const tensor = { name: "w", shape: [32], bytes: float32(values) };
    const metadata = [{ key: "general.architecture", type: "string", value: "llama" }];
    writeGguf(join(folder, "good.gguf"), metadata, [tensor]);
    writeGguf(join(folder, "spoilt.gguf"), metadata, [
      { ...tensor, bytes: float32(values.with(3, Number.NaN)) },
    ]);
    const { status, stderr } = await here("error", "good.gguf", "spoilt.gguf");
    expect(status).toBe(3);
    expect(stderr).toMatch(
      /^error\[E_NONFINITE\] spoilt\.gguf: w has NaN at row 0, column 3 \(element 3\), at byte \d+\. /,
    );
    const zero = await here("error", "good.gguf", "spoilt.gguf", "--nonfinite", "zero");
    expect(zero).toMatchObject({
      status: 0,
      stderr: "warning: 1 weight was NaN or infinite and taken for zero\n",
    });
  });
});

test("usage", async () => {
  const usage = async (...args: string[]): Promise<string> => {
    const { status, stderr } = await here("error", ...args);
    expect(status).toBe(2);
    return stderr;
  };
  expect(await usage("stories.gguf")).toMatch(/^error\[E_USAGE\] Missing required argument 'quantized'/);
  expect(await usage("stories.gguf", "Q8_0.gguf", "--sort", "luck")).toMatch(
    /^error\[E_USAGE\] .*'luck' is invalid\. Allowed choices are sqnr, weighted-sqnr, rmse, max-error, cosine\./,
  );
  expect(await usage("stories.gguf", "Q8_0.gguf", "--sort", "weighted-sqnr")).toBe(
    "error[E_USAGE] --sort weighted-sqnr needs an importance matrix, and there is none. Add --imatrix <file>, or sort by sqnr.\n",
  );
});

test("a configuration beside either model is left alone", async () => {
  const place = join(folder, "download");
  mkdirSync(place);
  copyFileSync(join(folder, "tiny.gguf"), join(place, "tiny.gguf"));
  writeFileSync(join(place, "fewbit.config.mjs"), 'throw new Error("this code came with a download");');
  for (const args of [
    ["../tiny.gguf", "tiny.gguf"],
    ["tiny.gguf", "../tiny.gguf"],
  ])
    expect(await fewbit(["error", ...args], place)).toMatchObject({
      status: 0,
      stderr: expect.stringMatching(/^note: fewbit\.config\.mjs lies beside the model and was not loaded/),
    });
});

test("names cannot act on the terminal", async () => {
  const metadata = [{ key: "general.architecture", type: "string", value: "llama" }];
  const tensor = { name: "a\x1b[8m\nb", shape: [4], bytes: float32(weights(4, 1)) };
  const more = { name: "c\x1b[2J", shape: [4], bytes: float32(weights(4, 2)) };
  writeGguf(join(folder, "hostile.gguf"), metadata, [tensor, more]);
  writeGguf(join(folder, "changed.gguf"), metadata, [{ ...tensor, bytes: float32(weights(4, 3)) }]);
  const { status, stdout, stderr } = await here("error", "hostile.gguf", "changed.gguf");
  expect(status).toBe(0);
  expect(stdout + stderr).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f]/);
  expect(stdout).toMatch(/^a\\x1b\[8m\\x0ab +\[4\]/m);
  expect(stdout).toMatch(/^worst: a\\x1b\[8m\\x0ab \(F32, /m);
  expect(stderr).toBe("warning: the quantized model lacks one tensor: c\\x1b[2J\n");
});

test("a run that was stopped says so", async () => {
  let printed = "";
  const stream = {
    write: (text: string) => {
      printed += text;
    },
  };
  const signal = AbortSignal.abort(new FewbitError("E_ABORTED", "Stopped."));
  const status = await run(["error", "stories.gguf", "Q8_0.gguf"], {
    stdout: stream,
    stderr: stream,
    cwd: folder,
    signal,
  });
  expect(status).toBe(130);
  expect(printed).toBe("error[E_ABORTED] Stopped.\n");
});
