import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { createRegistry } from "@fewbit/core";
import { openModel } from "@fewbit/core/node";
import formatGguf from "@fewbit/format-gguf";
import { chromium as driver } from "playwright-core";
import { beforeAll, describe, expect, test } from "vitest";
import { chromium, chromiumArguments, inBrowser } from "../../../tooling/chromium.js";
import { fewbit, runHere } from "./command-line.js";
import { writeMatrix } from "./importance.js";
import { temporaryFolder } from "./temporary.js";

const folder = temporaryFolder();
const stories = fileURLToPath(new URL("../../../tooling/fixture/stories.gguf", import.meta.url));
// Paths on a command line are those of the process, and every test file has one of its own.
process.chdir(folder);
const here = (...args: string[]) => runHere(args, folder);
const read = (file: string): string => readFileSync(join(folder, file), "utf8");
const types = ["Q4_K_M", "IQ2_XXS"] as const;

beforeAll(async () => {
  copyFileSync(stories, join(folder, "stories.gguf"));
  const { tensors } = await openModel(stories, createRegistry([formatGguf]));
  writeMatrix(join(folder, "m.gguf"), { tensors } as Parameters<typeof writeMatrix>[1]);
  for (const type of types) {
    const quantized = await here(
      "quantize",
      "stories.gguf",
      `${type}.gguf`,
      "--type",
      type,
      "--imatrix",
      "m.gguf",
    );
    if (quantized.status !== 0) throw new Error(quantized.stderr);
    const { status, stdout, stderr } = await here(
      "error",
      "stories.gguf",
      `${type}.gguf`,
      "--json",
      "--quiet",
    );
    if (status !== 0) throw new Error(stderr);
    writeFileSync(join(folder, `${type}.json`), stdout);
  }
}, 120_000);

/** What the page's script knows. */
function islandOf(page: string): {
  names: string[];
  candidates: { label: string; rows: (number | string)[][] }[];
} {
  const [, json] = /<script type="application\/json" id="data">(.*?)<\/script>/s.exec(page)!;
  return JSON.parse(json!);
}

describe("fewbit error --report", () => {
  test("writes a page with the same figures as --json, the commands and a picture of the worst tensor", async () => {
    const { status, stderr } = await here(
      "error",
      "stories.gguf",
      "IQ2_XXS.gguf",
      "--report",
      "error.html",
      "--json",
    );
    expect(status).toBe(0);
    expect(stderr).toBe("report: error.html\n");
    const page = read("error.html");
    expect(page).toContain("fewbit error stories.gguf IQ2_XXS.gguf --report error.html --json");
    const { tensors } = JSON.parse(read("IQ2_XXS.json")) as {
      tensors: { name: string; sqnr: number | string }[];
    };
    const { names, candidates } = islandOf(page);
    expect(names).toEqual(tensors.map(({ name }) => name));
    for (const [i, { sqnr }] of tensors.entries()) {
      const shown = candidates[0]!.rows[i]![3];
      if (sqnr === "Infinity") expect(shown).toBe("Infinity");
      else expect(shown).toBeCloseTo(sqnr as number, 2);
    }
    const lossy = tensors.filter(({ sqnr }) => sqnr !== "Infinity");
    const worst = lossy.reduce((a, b) => (a.sqnr <= b.sqnr ? a : b));
    expect(page).toContain(`<h3><bdi>${worst.name}</bdi>`);
    expect(page).toContain("entries of a codebook of 8 weights each: 2");
    expect(readdirSync(folder).filter((name) => name.endsWith(".partial"))).toEqual([]);
  });
  test("shows the tensor that is named", async () => {
    const name = "blk.1.ffn_down.weight";
    const { status } = await here(
      "error",
      "stories.gguf",
      "Q4_K_M.gguf",
      "--report",
      "named.html",
      "--tensor",
      name,
    );
    expect(status).toBe(0);
    expect(read("named.html")).toContain(`<h3><bdi>${name}</bdi>`);
  });
  test("prints one document where the tensor that is named is not there", async () => {
    const { status, stdout } = await here(
      ...["error", "stories.gguf", "Q4_K_M.gguf", "--report", "none.html", "--tensor", "x", "--json"],
    );
    expect(status).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: "E_USAGE", file: "Q4_K_M.gguf" } });
  });
  test.each([
    [
      ["--tensor", "x"],
      2,
      "error[E_USAGE] --tensor says what a report shows, and there is none to be written. Add --report <file>, or leave --tensor out.",
    ],
    [
      ["--tensor", "x", "--report", "none.html"],
      2,
      "error[E_USAGE] Q4_K_M.gguf: There is no tensor x that both models have and that can be decoded. See fewbit inspect for the names of tensors.",
    ],
    [
      ["--report", "stories.gguf"],
      2,
      "error[E_OUTPUT_EXISTS] stories.gguf: There is a file, and it is no report of fewbit. Choose another name for the report, or remove what is there.",
    ],
    [
      ["--report", "."],
      2,
      "error[E_OUTPUT_EXISTS] .: There is something that is not a regular file. Choose another name for the report, or remove what is there.",
    ],
    [
      ["--report", "nowhere/a.html"],
      4,
      "error[E_IO] nowhere/a.html: writing failed: there is no such file or folder (ENOENT). Check the path and your permissions.",
    ],
  ])("%j", async (options, exit, message) => {
    const before = readFileSync(join(folder, "stories.gguf")).length;
    const { status, stderr } = await here("error", "stories.gguf", "Q4_K_M.gguf", ...options);
    expect(stderr).toBe(`${message}\n`);
    expect(status).toBe(exit);
    expect(readFileSync(join(folder, "stories.gguf")).length).toBe(before);
    expect(existsSync(join(folder, "none.html"))).toBe(false);
  });
});

describe("fewbit compare --report", () => {
  test("shows divergences and weights, and what --json and fewbit report know is the same", async () => {
    const text =
      "Once upon a time there was a little dog who liked to play in the park with his friends. ".repeat(60);
    writeFileSync(join(folder, "text.txt"), text);
    const files = ["stories.gguf", ...types.map((type) => `${type}.gguf`)];
    const options = ["--data", "text.txt", "--ctx-size", "128", "--chunks", "2", "--threads", "1"];
    const compared = await here("compare", ...files, ...options, "--report", "compare.html", "--json");
    expect(compared.status).toBe(0);
    const document = JSON.parse(compared.stdout);
    const page = read("compare.html");
    for (const { file, kld, sameTop, tensors } of document.candidates) {
      expect(page).toContain(file);
      expect(page).toContain(`data-value="${kld.mean}"`);
      expect(page).toContain(`data-value="${sameTop.value}"`);
      expect(tensors).toHaveLength(38);
    }
    expect(page).toContain("fewbit compare stories.gguf Q4_K_M.gguf IQ2_XXS.gguf --data text.txt");
    expect(page).toContain(`<bdi>${document.versions.engine}</bdi>`);
    expect(document.distributions).toHaveLength(1);
    expect(document.distributions[0].candidates).toHaveLength(2);

    writeFileSync(join(folder, "compare.json"), compared.stdout);
    expect((await here("report", "compare.json", "-o", "compare-again.html")).status).toBe(0);
    expect(read("compare-again.html")).toBe(page);
  });
});

describe("fewbit report", () => {
  test("puts results together, replaces an older page, and says the same with --json", async () => {
    const files = types.map((type) => `${type}.json`);
    for (let i = 0; i < 2; i++)
      expect(await here("report", ...files, "--title", "Both & <more>")).toEqual({
        status: 0,
        stdout: "",
        stderr: "report: report.html\n",
      });
    const page = read("report.html");
    expect(page).toContain("<title>Both &amp; &lt;more&gt;</title>");
    expect(islandOf(page).candidates).toHaveLength(2);

    const { stdout } = await here("report", ...files, "--json");
    writeFileSync(join(folder, "merged.json"), stdout);
    expect((await here("report", "merged.json", "-o", "again.html", "--title", "Both & <more>")).status).toBe(
      0,
    );
    expect(read("again.html")).toBe(page);
  });
  test("with --json alone writes no page", async () => {
    mkdirSync(join(folder, "empty"), { recursive: true });
    const { status, stdout } = await runHere(["report", "../Q4_K_M.json", "--json"], join(folder, "empty"));
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      reference: { file: "stories.gguf", parameters: 3_737_856 },
      candidates: [{ file: "Q4_K_M.gguf", type: "Q4_K" }],
    });
    expect(readdirSync(join(folder, "empty"))).toEqual([]);
  });
  test("names the file and the place of what it cannot read", async () => {
    writeFileSync(join(folder, "cut.json"), '{"reference": {');
    writeFileSync(join(folder, "wrong.json"), '{"reference": {"name": 3}, "candidates": []}');
    writeFileSync(join(folder, "other.json"), '{"tensors": []}');
    const remedy = "Give a file with what fewbit compare, error or bench prints with --json.";
    expect((await here("report", "cut.json")).stderr).toMatch(
      /^error\[E_RESULT_FORMAT\] cut\.json: It is no JSON: /,
    );
    expect(await here("report", "wrong.json")).toEqual({
      status: 3,
      stdout: "",
      stderr: `error[E_RESULT_FORMAT] wrong.json: reference.name is 3; it should be a text. ${remedy}\n`,
    });
    expect((await here("report", "other.json")).stderr).toContain(
      'It has neither "reference" and "candidates"',
    );
    expect((await here("report", "none.json")).stderr).toBe(
      "error[E_IO] none.json: reading failed: there is no such file or folder (ENOENT). Check the path and your permissions.\n",
    );
    const other = JSON.stringify({ ...JSON.parse(read("Q4_K_M.json")), original: ["another.gguf"] });
    writeFileSync(join(folder, "another.json"), other);
    expect((await here("report", "Q4_K_M.json", "another.json")).stderr).toContain(
      "another.json: Its reference is another.gguf, and that of the results before is stories.gguf.",
    );
  });
  test("adds the speeds of fewbit bench, in any order", async () => {
    const test = (kind: string, mean: number) => ({
      kind,
      depth: 0,
      tokensPerSecond: { mean, deviation: 6, samples: [1, 2, 3, 4] },
    });
    const bench = (model: string) =>
      JSON.stringify({
        engine: "x",
        models: [{ model, tests: [test("prompt", 512), test("generate", 99)] }],
      });
    writeFileSync(join(folder, "bench.json"), bench("some/folder/Q4_K_M.gguf"));
    writeFileSync(join(folder, "strange.json"), bench("strange.gguf"));
    const { stdout, status } = await here("report", "bench.json", "Q4_K_M.json", "--json");
    expect(status).toBe(0);
    expect(JSON.parse(stdout).candidates[0].speed).toEqual({
      prompt: { value: 512, error: 3 },
      generate: { value: 99, error: 3 },
    });
    expect((await here("report", "Q4_K_M.json", "strange.json")).stderr).toContain(
      "strange.json: Its models are strange.gguf, and none of them is in the other results.",
    );
    expect((await here("report", "bench.json")).stderr).toContain("error[E_USAGE] There are only speeds");
  });
  test("as users run it", async () => {
    const { status, stderr } = await fewbit(["report", "Q4_K_M.json", "-o", "built.html"], folder);
    expect(stderr).toBe("report: built.html\n");
    expect(status).toBe(0);
  });
});

describe.skipIf(chromium === undefined)(inBrowser, () => {
  test("the page of a real model opens, sorts and shows its tensors without a word on the console", async () => {
    expect((await here("report", ...types.map((type) => `${type}.json`), "-o", "open.html")).status).toBe(0);
    const browser = await driver.launch({ executablePath: chromium!, args: [...chromiumArguments] });
    try {
      const page = await browser.newPage();
      const trouble: string[] = [];
      page.on("console", (message) => trouble.push(message.text()));
      page.on("pageerror", (error) => trouble.push(String(error)));
      await page.goto(pathToFileURL(join(folder, "open.html")).href);
      await page.getByRole("columnheader", { name: "Size" }).getByRole("button").click();
      expect(await page.locator("#candidates tbody.rows tr").first().textContent()).toContain("IQ2_XXS");
      await page.getByText("All tensors of").click();
      await page.locator("#all tbody tr").first().waitFor();
      expect(await page.locator("#all tbody tr").count()).toBe(38);
      expect(trouble).toEqual([]);
    } finally {
      await browser.close();
    }
  });
});

test("other commands do not load what draws", async () => {
  const { stdout } = await here("recipes", "--json");
  expect(stdout).not.toBe("");
  const source = fileURLToPath(new URL("../src/", import.meta.url));
  const importing = readdirSync(source, { recursive: true, encoding: "utf8" }).filter(
    (file) =>
      file.endsWith(".ts") &&
      /^import (?!type)[^;]*"@fewbit\/report"/m.test(readFileSync(join(source, file), "utf8")),
  );
  expect(importing).toEqual([]);
});
