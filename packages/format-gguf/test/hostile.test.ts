import { existsSync, readFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { type FewbitError, isFewbitError, type Model, type Source } from "@fewbit/core";
import { openFile } from "@fewbit/core/node";
import { describe, expect, test } from "vitest";
import { openGguf } from "../src/reader.js";
import { writer } from "../src/writer.js";
import { missing, shared } from "./shared.js";

interface Case {
  file: string;
  format: string;
  wrong: string;
  expected: "accept" | "reject";
  alternative_ok?: string;
  stage: string;
  error_code?: string;
  offset?: number;
}

const absent = missing("hostile/manifest.json");
const cases: Case[] =
  absent === undefined ? JSON.parse(readFileSync(shared("hostile/manifest.json"), "utf8")).cases : [];

async function open(file: string): Promise<Model> {
  const path = shared(`hostile/${file}`);
  const source = await openFile(path);
  const sibling = async (name: string): Promise<Source> => {
    expect(name).toBe(basename(name));
    return openFile(`${dirname(path)}/${name}`);
  };
  try {
    return await openGguf(source, sibling);
  } finally {
    await source.close();
  }
}

/** Policies we decided: refused although another verdict would pass. */
const refusedByChoice = new Set(["g04-v1.gguf", "g18-bool-2.gguf", "g37-hole.gguf", "g37-order.gguf"]);

describe.skipIf(absent !== undefined)(`hostile files${absent === undefined ? "" : ` (${absent})`}`, () => {
  const own = cases.filter(({ format }) => format === "gguf" || format === "gguf-split");

  test.each(own.map((c) => [c.file, c.wrong, c] as const))("%s: %s", async (file, _, c) => {
    const refused = c.stage === "parse" && (c.expected === "reject" || refusedByChoice.has(file));
    const outcome = await open(file).catch((error: unknown) => error);
    if (!refused) {
      if (outcome instanceof Error) throw outcome;
      return;
    }
    if (!isFewbitError(outcome)) throw new Error(`accepted, or another error: ${String(outcome)}`);
    expect(outcome.code).toBe(c.error_code);
    if (c.offset !== undefined) expect(outcome.at.offset).toBe(c.offset);
    expect(outcome.at.file).toContain(dirname(file) === "." ? file : "-of-00002.gguf");
    expect(outcome.at.key).toBeTruthy();
    expect(outcome.remedy).toBeTruthy();
  });

  test("every case of the formats was run", () => expect(own.length).toBeGreaterThan(80));

  test("accepted files are rewritten without loss", async () => {
    let identical = 0;
    for (const { file, format } of own) {
      if (format !== "gguf") continue;
      const model = await open(file).catch(() => undefined);
      if (model === undefined || model.warnings.some((w) => w.includes("big-endian"))) continue;
      const output = writer.layout({
        metadata: model.metadata,
        files: 1,
        tensors: model.tensors.map((t) => ({
          name: t.name,
          dtype: t.dtype,
          shape: t.shape,
          parts: [{ name: "", dtype: t.dtype, shape: t.shape, bytes: t.bytes, per: "tensor" as const }],
          file: 0,
        })),
      });
      // Trailing dimensions of 1 are dropped, as ggml drops them.
      if (model.tensors.some((t) => t.shape.length > 1 && t.shape[0] === 1)) continue;
      const before = new Uint8Array(readFileSync(shared(`hostile/${file}`)));
      const after = output.files[0]!.header;
      before[4] = 3; // A version 2 file becomes version 3.
      const common = Math.min(before.length, after.length);
      expect([...after.subarray(0, common)], file).toEqual([...before.subarray(0, common)]);
      // A file without tensors may end without padding.
      expect([...after.subarray(common)].every((byte) => byte === 0)).toBe(true);
      expect(output.places.map((place) => place.offset)).toEqual(model.tensors.map((t) => t.offset));
      identical++;
    }
    expect(identical).toBeGreaterThan(20);
  });

  test("what the messages say", async () => {
    const said = async (file: string): Promise<string> => {
      const error = await open(file).catch((thrown: unknown) => thrown);
      if (!(error instanceof Error)) throw new Error(`${file} was accepted`);
      return `${error.message} ${(error as FewbitError).remedy}`;
    };
    expect(await said("g02-zero-header.gguf")).toContain("looks like an interrupted write");
    expect(await said("g02-ggml.gguf")).toContain("old GGML file");
    expect(await said("g38-half.gguf")).toMatch(/lies at bytes 448 to 704; the file has 548 bytes.*again/);
    expect(await said("g60-missing/m-00001-of-00002.gguf")).toContain("m-00002-of-00002.gguf");
    expect(await said("g36-overlap.gguf")).toMatch(/The data of ".*" and of ".*" overlap/);
    expect(await said("g12-dup-same-type.gguf")).toMatch(/at byte \d+ and at byte 107/);
    expect(await said("g34-type-removed-31.gguf")).toContain("Q4_0_4_4");
  });

  test("odd but legal content", async () => {
    const proto = await open("g21-proto-key.gguf");
    expect(proto.metadata.map((entry) => entry.key)).toEqual(
      expect.arrayContaining(["__proto__", "constructor", "toString"]),
    );
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    const extremes = await open("g00-all-kv-types.gguf");
    expect(extremes.metadata.map((entry) => entry.value)).toEqual(
      expect.arrayContaining([18446744073709551615n, -9223372036854775808n]),
    );
    const bom = await open("g13-token-bom.gguf");
    const tokens = bom.metadata.find((entry) => Array.isArray(entry.value))!.value as string[];
    expect(new Set(tokens).size).toBe(3);
    expect((await open("g30-name-64.gguf")).warnings.join()).toContain("64 bytes long");
    expect((await open("g39-zip-tail.gguf")).warnings.join()).toMatch(/\d+ bytes follow the last tensor/);
    const big = await open("g05-be-v3.gguf");
    expect(big.warnings.join()).toContain("big-endian");
    expect(big.tensors[0]!.dtype).toBe("F32 (big-endian)");
    expect(writer.accepts("F32 (big-endian)")).toContain("big-endian");
    expect(existsSync(shared("hostile/g05-be-v3.gguf"))).toBe(true);
  });
});
