import { copyFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { arch, platform } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { type Tensor, writeGguf } from "../../../tooling/fixture/gguf.js";
import { sharedFolder } from "../../../tooling/golden.js";
import { oracleFolder } from "../../../tooling/oracle.js";
import { type Ended, runHere } from "./command-line.js";
import { temporaryFolder } from "./temporary.js";

const folder = temporaryFolder();
process.chdir(folder);
const fixture = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
copyFileSync(fixture("../../../tooling/fixture/stories.gguf"), join(folder, "stories.gguf"));
copyFileSync(fixture("./story.txt"), join(folder, "story.txt"));

if (oracleFolder === undefined)
  console.warn("Skipped: there is no build of llama.cpp for this machine, so no text can be read.");

/** The figures below were printed by llama-perplexity with the build that every x64 machine runs. */
const sameBuild = arch() === "x64" && platform() !== "darwin";
if (sameBuild) process.env.FEWBIT_LLAMA_CPU = "x64";

const perplexity = (...args: string[]): Promise<Ended> =>
  runHere(["perplexity", ...args, "--threads", "1"], folder);

interface Document {
  readonly model: Readonly<Record<string, unknown>>;
  readonly text: Readonly<Record<string, unknown>>;
  readonly perplexity: { readonly value: number; readonly error: number };
  readonly chunks: readonly { readonly loss: number; readonly perplexity: number }[];
}

async function json(...args: string[]): Promise<Document> {
  const { status, stdout, stderr } = await perplexity(...args, "--json");
  if (status !== 0) throw new Error(stdout + stderr);
  return JSON.parse(stdout) as Document;
}

/** `[1]62.1980,[2]64.0486,`: of all chunks so far, after each. */
const printedRow = (row: string): number[] => row.split(",").map((each) => Number(each.split("]")[1]));

function expectPrinted(found: number, printed: number, digits: number): void {
  expect(Math.abs(found - printed)).toBeLessThan(sameBuild ? 0.6 * 10 ** -digits : printed / 100);
}

describe.skipIf(oracleFolder === undefined)("fewbit perplexity", () => {
  test("prints what llama-perplexity prints, chunk by chunk", async () => {
    const { perplexity, chunks, text, model } = await json(
      ...["stories.gguf", "--data", "story.txt", "--ctx-size", "64"],
    );
    const printed = printedRow(
      "[1]62.1980,[2]64.0486,[3]46.7487,[4]51.4517,[5]52.6749,[6]43.6024,[7]44.3561,[8]49.2439,[9]46.9627,[10]44.5029,[11]41.9380",
    );
    expect(chunks).toHaveLength(printed.length);
    for (const [i, value] of printed.entries()) expectPrinted(chunks[i]!.perplexity, value, 4);
    expectPrinted(perplexity.value, 41.938, 4);
    expectPrinted(perplexity.error, 6.4894, 5);
    expect(text).toEqual({ name: "story.txt", tokens: 341, context: 64, chunks: 11, allTokens: 707 });
    expect(model).toMatchObject({ name: "fewbit stories", file: "stories.gguf", type: "F16" });
  });

  test("takes windows that overlap, as llama-perplexity does with --ppl-stride", async () => {
    const { perplexity, chunks, text } = await json(
      ...["stories.gguf", "--data", "story.txt", "--ctx-size", "64", "--stride", "32", "--chunks", "6"],
    );
    const printed = printedRow("[1]70.0005,[2]47.2120,[3]49.4674,[4]50.7523,[5]39.6478,[6]38.9861");
    expect(chunks).toHaveLength(printed.length);
    for (const [i, value] of printed.entries()) expectPrinted(chunks[i]!.perplexity, value, 4);
    expectPrinted(perplexity.value, 38.9861, 4);
    expect(text).toMatchObject({ context: 256, stride: 32 });
  });

  test("speaks to people as llama-perplexity does", async () => {
    const { status, stdout } = await perplexity("stories.gguf", "--data", "story.txt", "--ctx-size", "64");
    expect(status).toBe(0);
    const lines = stdout.trimEnd().split("\n");
    expect(lines.slice(0, 2)).toEqual([
      "stories.gguf: llama ?B F16, 3.74 M weights, 7.54 MB",
      "story.txt: 707 tokens, 11 chunks of 64, 341 scored",
    ]);
    expect(lines.at(-1)).toMatch(
      sameBuild
        ? /^Final estimate: PPL = 41\.9380 \+\/- 6\.4894\d$/
        : /^Final estimate: PPL = 4\d\.\d{4} \+\/- 6\.\d{5}$/,
    );
  });

  test("warns of contexts that the model was not made for", async () => {
    writeFileSync("long.txt", "Once upon a time there was a cat. ".repeat(400));
    const { status, stderr } = await perplexity(
      ...["stories.gguf", "--data", "long.txt", "--ctx-size", "600", "--chunks", "1"],
    );
    expect(status).toBe(0);
    expect(stderr).toContain(
      "warning: the model was trained on contexts of 512 tokens, and chunks have 600\n",
    );
  });

  const models = sharedFolder && `${sharedFolder}/models`;
  test.skipIf(models === undefined || !existsSync(models))(
    "prints what llama-perplexity prints for other models (needs the shared folder)",
    async () => {
      const first = await json(
        ...[`${models}/stories260K-f16.gguf`, "--data", `${sharedFolder}/texts/tinystories_valid_30k.txt`],
        ...["--ctx-size", "128", "--chunks", "10"],
      );
      expectPrinted(first.perplexity.value, 5.3356, 4);
      expectPrinted(first.perplexity.error, 0.43084, 5);
      const second = await json(
        ...[`${models}/TinyStories-656K-w256-f16.gguf`, "--data", "story.txt", "--ctx-size", "128"],
      );
      expectPrinted(second.perplexity.value, 46.292, 4);
      expectPrinted(second.perplexity.error, 6.36671, 5);
    },
  );

  test("refuses a model that only encodes", async () => {
    writeBert("bert.gguf");
    const { status, stderr } = await perplexity("bert.gguf", "--data", "story.txt", "--ctx-size", "32");
    expect(stderr).toBe(
      "error[E_FORMAT_UNSUPPORTED] bert.gguf: The model only encodes: its attention goes to both sides, and it " +
        "continues no text. Give a model that generates text.\n",
    );
    expect(status).toBe(3);
  });

  test("says what a vocabulary without bytes cannot spell", async () => {
    const bytes = readFileSync("stories.gguf");
    // Tokens of the same length that are no longer bytes.
    for (let byte = 0; byte < 256; byte++) {
      const spelling = `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
      bytes.write(spelling.replace("0x", "zz"), bytes.indexOf(spelling));
    }
    const kinds = bytes.indexOf("tokenizer.ggml.token_type") + "tokenizer.ggml.token_type".length + 4 + 4 + 8;
    for (let token = 0; token < 2304; token++)
      if (bytes.readInt32LE(kinds + 4 * token) === 6) bytes.writeInt32LE(1, kinds + 4 * token);
    writeFileSync("no-bytes.gguf", bytes);
    writeFileSync("accent.txt", "The café was closed. ".repeat(60));
    const text = ["--data", "accent.txt", "--ctx-size", "32"];
    for (const command of [
      ["perplexity", "no-bytes.gguf"],
      ["compare", "no-bytes.gguf", "stories.gguf"],
      ["calibrate", "no-bytes.gguf"],
    ]) {
      const { status, stderr } = await runHere([...command, ...text, "--threads", "1"], folder);
      expect(stderr).toBe(
        "error[E_TEXT] accent.txt: The engine ended while it read the text: the vocabulary of no-bytes.gguf has no " +
          "tokens for the bytes of characters that it lacks. Take accents, typographic quotes and the like out of the " +
          "text, or convert the model again with all of its vocabulary.\n",
      );
      expect(status).toBe(3);
    }
  });

  test("refuses what the engine cannot run", async () => {
    const error = async (...args: string[]): Promise<string> => (await perplexity(...args)).stderr;
    expect(await error("story.txt", "--data", "story.txt")).toMatch(
      /^error\[E_FORMAT_UNKNOWN\] story\.txt: /,
    );
    expect(await error("stories.gguf", "--data", "story.txt", "--stride", "512")).toBe(
      "error[E_USAGE] A stride of 512 leaves out tokens between windows of 512. Give a stride smaller than the context.\n",
    );
    expect(await error("stories.gguf", "--data", "story.txt", "--ctx-size", "two")).toBe(
      'error[E_USAGE] --ctx-size cannot be "two". Write a whole number from 4.\n',
    );
  });
});

/** One layer of BERT, with attention to both sides. */
function writeBert(path: string): void {
  const [vocabulary, columns, hidden] = [40, 32, 64];
  const linear = (name: string, rows: number, from: number): [string, number[]][] => [
    [`${name}.weight`, [rows, from]],
    [`${name}.bias`, [rows]],
  ];
  const norm = (name: string): [string, number[]][] => [
    [`${name}.weight`, [columns]],
    [`${name}.bias`, [columns]],
  ];
  const shapes: [string, number[]][] = [
    ["token_embd.weight", [vocabulary, columns]],
    ["position_embd.weight", [64, columns]],
    ["token_types.weight", [2, columns]],
    ...norm("token_embd_norm"),
    ...["q", "k", "v", "output"].flatMap((part) => linear(`blk.0.attn_${part}`, columns, columns)),
    ...norm("blk.0.attn_output_norm"),
    ...linear("blk.0.ffn_up", hidden, columns),
    ...linear("blk.0.ffn_down", columns, hidden),
    ...norm("blk.0.layer_output_norm"),
  ];
  const tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
  for (let i = 0; tokens.length < vocabulary; i++)
    tokens.push(`▁${"abcdefghijklmnopqrstuvwxyz0123456789"[i]}`);
  writeGguf(
    path,
    {
      "general.architecture": { string: "bert" },
      "bert.context_length": { u32: 64 },
      "bert.embedding_length": { u32: columns },
      "bert.block_count": { u32: 1 },
      "bert.feed_forward_length": { u32: hidden },
      "bert.attention.head_count": { u32: 2 },
      "bert.attention.layer_norm_epsilon": { f32: 1e-5 },
      "bert.attention.causal": { bool: false },
      "tokenizer.ggml.model": { string: "bert" },
      "tokenizer.ggml.token_type_count": { u32: 2 },
      "tokenizer.ggml.tokens": { strings: tokens },
      "tokenizer.ggml.token_type": { i32s: tokens.map((_, i) => (i < 5 ? 3 : 1)) },
      "tokenizer.ggml.bos_token_id": { u32: 2 },
      "tokenizer.ggml.seperator_token_id": { u32: 3 },
      "tokenizer.ggml.unknown_token_id": { u32: 1 },
      "tokenizer.ggml.padding_token_id": { u32: 0 },
    },
    shapes.map(
      ([name, shape]): Tensor => ({
        ...{ name, shape, type: "f32" },
        data: Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => Math.sin(i)),
      }),
    ),
  );
}
