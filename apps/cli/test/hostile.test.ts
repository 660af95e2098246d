// The malformed and odd model files that may lie beside the project, run through the built program. They are
// skipped, with a message, where they are absent.
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { sharedFolder } from "../../../tooling/golden.js";
import { fewbit } from "./command-line.js";
import { temporaryFolder } from "./temporary.js";

interface Case {
  readonly file: string;
  readonly format: string;
  readonly expected: "accept" | "reject";
  readonly stage: "parse" | "quantize";
  readonly wrong: string;
  readonly error_code?: string;
  readonly offset?: number;
  readonly alternative_ok?: "accept" | "reject";
  readonly check?: string;
  readonly target?: string;
  readonly model?: string;
}

const corpus = sharedFolder === undefined ? undefined : join(sharedFolder, "hostile");
const manifest = corpus === undefined ? undefined : join(corpus, "manifest.json");
const cases: readonly Case[] =
  manifest !== undefined && existsSync(manifest) ? JSON.parse(readFileSync(manifest, "utf8")).cases : [];
const why = cases.length > 0 ? "" : " (skipped: no ../shared/hostile)";
const work = temporaryFolder();

/** No byte that acts on a terminal may be printed, whatever the file says. */
const raw = /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/;

function expectRefusal(ended: { status: number | null; stdout: string; stderr: string }, each: Case): void {
  expect(ended.status).toBe(3);
  expect(ended.stderr).toMatch(/^(warning: .*\n)*error\[E_\w+\] [^\n]+\n$/);
  expect(ended.stderr).not.toContain("E_INTERNAL");
  if (each.error_code !== undefined) expect(ended.stderr).toContain(`error[${each.error_code}]`);
  if (each.offset !== undefined) expect(ended.stderr).toContain(`at byte ${each.offset}`);
}

const verdictOf = (status: number | null): "accept" | "reject" => (status === 0 ? "accept" : "reject");

describe.skipIf(cases.length === 0)(`hostile files${why}`, () => {
  const parsed = cases.filter(
    (each) => each.stage === "parse" && /^(gguf|safetensors|index)/.test(each.format),
  );
  test.each(parsed)("inspect $file: $expected ($wrong)", async (each) => {
    const file = join(corpus!, each.file);
    const ended = await fewbit(["inspect", basename(file)], dirname(file));
    expect(ended.stdout + ended.stderr).not.toMatch(raw);
    const verdict = verdictOf(ended.status);
    expect([each.expected, each.alternative_ok]).toContain(verdict);
    if (verdict === "reject") expectRefusal(ended, each.expected === "reject" ? each : withoutCode(each));
    else {
      const json = await fewbit(["inspect", basename(file), "--json"], dirname(file));
      expect(json.stdout).not.toMatch(raw);
      expect(JSON.parse(json.stdout).format).toBe(each.format.startsWith("gguf") ? "gguf" : "safetensors");
    }
  });

  const quantized = cases
    .filter(
      (each) =>
        (each.stage === "quantize" && /^gguf|^imatrix/.test(each.format)) || /^imatrix/.test(each.format),
    )
    .flatMap((each) => (each.target ?? "q8_0").split(/[\s,]+/).map((target) => ({ ...each, target })));
  test.each(quantized)("quantize $file as $target: $expected ($wrong)", async (each) => {
    const folder = join(work, `${each.file}-${each.target}`);
    mkdirSync(folder);
    const imatrix = each.format.startsWith("imatrix");
    const model = imatrix ? (each.model ?? "g00-model-32.gguf") : each.file;
    for (const name of new Set([model, each.file])) copyFileSync(join(corpus!, name), join(folder, name));
    // A type that uses importance, and whose block fits the model's rows.
    const type = imatrix ? "q4_0" : each.target;
    const before = readdirSync(folder);
    const ended = await fewbit(
      ["quantize", model, "out.gguf", "--type", type, ...(imatrix ? ["--imatrix", each.file] : [])],
      folder,
    );
    expect(ended.stdout + ended.stderr).not.toMatch(raw);
    const verdict = verdictOf(ended.status);
    if (verdict === "accept" && /f32\/bf16 output is fine/.test(each.check ?? "")) {
      // A tensor of a single row counts as a vector, and vectors are kept: nothing overflowed.
      const { tensors } = JSON.parse((await fewbit(["inspect", "out.gguf", "--json"], folder)).stdout);
      expect(tensors.map(({ dtype }: { dtype: string }) => dtype)).toEqual(["F32"]);
      return;
    }
    expect([each.expected, each.alternative_ok]).toContain(verdict);
    if (verdict === "reject") {
      expectRefusal(ended, each.expected === "reject" ? each : withoutCode(each));
      expect(readdirSync(folder)).toEqual(before);
    } else expect(readdirSync(folder)).toEqual([...before, "out.gguf"].sort());
  });

  test("legal files can be copied through, tensor by tensor", async () => {
    const legal = parsed.filter((each) => each.expected === "accept" && /^g00-.*\.gguf$/.test(each.file));
    expect(legal.length).toBeGreaterThan(3);
    for (const each of legal) {
      const folder = join(work, `copy-${each.file}`);
      mkdirSync(folder);
      const ended = await fewbit(
        ["quantize", join(corpus!, each.file), join(folder, "out.gguf"), "--type", "COPY"],
        folder,
      );
      expect(`${each.file} ${ended.status} ${ended.stderr}`).toBe(`${each.file} 0 `);
    }
  });
});

const withoutCode = ({ error_code: _, offset: __, ...rest }: Case): Case => rest;
