// Checkpoints from the command line: what is written, and what is said of those that cannot be.
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createEngine, type Engine } from "../../../tooling/engine.js";
import { sharedFolder } from "../../../tooling/golden.js";
import { type CheckpointOptions, files, tensors, writeCheckpoint } from "./checkpoint.js";
import { fewbit, runHere } from "./command-line.js";
import { temporaryFolder } from "./temporary.js";

const folder = temporaryFolder();
// In this process: what counts here is what is said and written, and a start-up takes longer than a run.
process.chdir(folder);
const sha256 = (file: string): string =>
  createHash("sha256")
    .update(readFileSync(join(folder, file)))
    .digest("hex");
/** Checks against llama.cpp have tests of their own, and take their time. */
const run = (...args: string[]) => runHere(args[0] === "convert" ? [...args, "--no-check"] : args, folder);
const done = { status: 0, stderr: "" };

interface Inspected {
  readonly metadata: readonly { readonly key: string; readonly value: unknown }[];
  readonly tensors: readonly { readonly name: string; readonly dtype: string }[];
}
async function inspect(file: string): Promise<Inspected> {
  return JSON.parse((await run("inspect", file, "--json")).stdout);
}

beforeAll(() => writeCheckpoint(join(folder, "small-llama")));

describe("convert", () => {
  test("writes the half that the weights are in, beside the folder, and says what it did", async () => {
    const { status, stdout, stderr } = await fewbit(["convert", "small-llama", "--no-check"], folder);
    expect({ status, stderr }).toEqual(done);
    expect(stdout).toContain("small-llama-BF16.gguf\nBF16, 1.33 M weights, ");
    expect(stdout).toContain("16 × BF16 (");
    const { metadata, tensors } = await inspect("small-llama-BF16.gguf");
    const value = (wanted: string) => metadata.find(({ key }) => key === wanted)?.value;
    expect(value("general.architecture")).toBe("llama");
    expect(value("general.name")).toBe("Small Llama");
    expect(value("general.license")).toBe("mit");
    expect(value("general.file_type")).toBe(32);
    expect(value("tokenizer.ggml.model")).toBe("llama");
    expect((value("tokenizer.ggml.tokens") as string[]).slice(-2)).toEqual(
      ["[PAD298]", "[PAD299]"].slice(-2),
    );
    expect(tensors[0]).toMatchObject({ name: "output.weight", dtype: "BF16" });
    expect(tensors.at(-1)).toMatchObject({ name: "output_norm.weight", dtype: "F32" });
  });

  test.each([
    ["f32", "F32", 0],
    ["f16", "F16", 1],
    ["q8_0", "Q8_0", 7],
    ["Q5_K_S", "Q5_K", 16],
  ])("--outtype %s", async (outtype, dtype, fileType) => {
    expect(await run("convert", "small-llama", "-o", `${outtype}.gguf`, "--outtype", outtype)).toMatchObject(
      done,
    );
    const { metadata, tensors } = await inspect(`${outtype}.gguf`);
    expect(tensors.find(({ name }) => name === "blk.1.attn_q.weight")!.dtype).toBe(dtype);
    expect(tensors.find(({ name }) => name === "blk.1.attn_norm.weight")!.dtype).toBe("F32");
    expect(metadata.find(({ key }) => key === "general.file_type")!.value).toBe(fileType);
  });

  test("shards give the same bytes as one file, with any number of threads", async () => {
    writeCheckpoint(join(folder, "shards", "small-llama"), { shards: 3 });
    expect(await run("convert", "shards/small-llama", "-o", "sharded.gguf", "--threads", "3")).toMatchObject(
      done,
    );
    const order = async (file: string) => (await inspect(file)).tensors.map(({ name }) => name);
    await run("convert", "small-llama", "-o", "whole.gguf", "--threads", "1");
    expect((await order("sharded.gguf")).toSorted()).toEqual((await order("whole.gguf")).toSorted());
    for (const file of ["sharded", "whole"])
      expect(await run("quantize", `${file}.gguf`, `${file}-q.gguf`, "Q4_K_M")).toMatchObject(done);
    expect(sha256("sharded-q.gguf")).toBe(sha256("whole-q.gguf"));
  });

  test("--dry-run prints where every tensor comes from, and writes nothing", async () => {
    const before = readdirSync(folder);
    const { status, stdout } = await run("convert", "small-llama", "--outtype", "f16", "--dry-run");
    expect(status).toBe(0);
    expect(stdout).toMatch(/blk\.0\.attn_q\.weight +\[256, 256\] +BF16 +F16 .* F16 throughout\n/);
    expect(stdout).toMatch(
      /blk\.0\.attn_norm\.weight +\[256\] +F32 +F32 .* llama\.cpp computes with it in F32\n/,
    );
    expect(stdout).toContain("small-llama-F16.gguf would be written: F16, 1.33 M weights");
    expect(readdirSync(folder)).toEqual(before);
  });

  test("--json prints one document", async () => {
    const { status, stdout, stderr } = await run("convert", "small-llama", "-o", "json.gguf", "--json");
    expect({ status, stderr }).toEqual(done);
    expect(JSON.parse(stdout)).toMatchObject({
      output: [join(folder, "json.gguf")],
      recipe: "BF16",
      summary: { types: { BF16: { tensors: 16 }, F32: { tensors: 5 } } },
    });
  });

  test("--split-max-tensors writes several files that merge into the one", async () => {
    const split = await run("convert", "small-llama", "-o", "parts.gguf", "--split-max-tensors", "9");
    expect(split).toMatchObject(done);
    expect(await run("merge", "parts-00001-of-00003.gguf", "-o", "merged.gguf")).toMatchObject(done);
    await run("convert", "small-llama", "-o", "single.gguf");
    expect(sha256("merged.gguf")).toBe(sha256("single.gguf"));
  });

  test("compares what the model says with its checkpoint, whatever its weights become", async () => {
    const check = ["convert", "small-llama", "-o", "checked.gguf", "--outtype", "Q4_K_M", "--force"];
    expect((await runHere(check, folder)).stdout).toMatch(
      /^logits: the same but for rounding after 64 tokens of 2 texts; difference at most \S+e-\d+, which is \S+e-(7|8) of their range, RMS \S+; perplexity /m,
    );
    const { check: found } = JSON.parse((await runHere([...check, "--json"], folder)).stdout);
    expect(found.logits).toMatchObject({ checked: true, compared: "logits", agrees: true });
    expect((await run(...check)).stdout).not.toContain("logits");
  });
});

describe("quantize", () => {
  test.each(["Q4_K_M", "Q8_0", "IQ4_XS", "COPY"])(
    "a checkpoint as %s is what its BF16 file becomes, byte for byte",
    async (type) => {
      await run("convert", "small-llama", "-o", "bf16.gguf", "--force");
      expect(await run("quantize", "bf16.gguf", `by-file-${type}.gguf`, type)).toMatchObject(done);
      expect(await run("quantize", "small-llama", `by-stream-${type}.gguf`, type)).toMatchObject(done);
      expect(sha256(`by-stream-${type}.gguf`)).toBe(sha256(`by-file-${type}.gguf`));
    },
  );

  test("weights in F32 are quantized from F32, not by way of a half", async () => {
    writeCheckpoint(join(folder, "single", "small-llama"), { dtype: "F32" });
    await run("convert", "single/small-llama", "-o", "single-f32.gguf", "--outtype", "f32");
    expect(await run("quantize", "single-f32.gguf", "f32-by-file.gguf", "Q4_K_M")).toMatchObject(done);
    expect(await run("quantize", "single/small-llama", "f32-by-stream.gguf", "Q4_K_M")).toMatchObject(done);
    expect(sha256("f32-by-stream.gguf")).toBe(sha256("f32-by-file.gguf"));
  });

  test("without a name the output is called after the folder, however that is written", async () => {
    for (const given of ["small-llama", "./small-llama/", "small-llama/model.safetensors"]) {
      expect(await run("quantize", given, "--type", "Q8_0")).toMatchObject(done);
      rmSync(join(folder, "small-llama-Q8_0.gguf"));
    }
    const { status } = await fewbit(["quantize", ".", "--type", "Q8_0"], join(folder, "small-llama"));
    expect(status).toBe(0);
    rmSync(join(folder, "small-llama-Q8_0.gguf"));
  });

  test("--check compares the conversion on the way; of a file there is nothing to compare", async () => {
    const type = ["--type", "Q4_K_M", "--check"];
    const { stdout } = await run("quantize", "small-llama", "-o", "checked-q.gguf", ...type);
    expect(stdout).toMatch(/^tokens: .*\n(.*\n)*logits: the same but for rounding/m);
    expect(
      (await run("quantize", "small-llama", "-o", "quiet-q.gguf", "--type", "Q4_K_M")).stdout,
    ).not.toMatch(/^(tokens|logits):/m);
    const refused = await run("quantize", "quiet-q.gguf", "-o", "again.gguf", ...type);
    expect(refused).toMatchObject({ status: 2 });
    expect(refused.stderr).toMatch(/^error\[E_USAGE\] quiet-q\.gguf: --check compares what was converted/m);
  });

  test("layers are pruned, and types chosen, by the names they have in GGUF", async () => {
    const args = ["--type", "Q4_K_S", "--prune-layers", "0", "--tensor-type", "blk.0.ffn_up=Q6_K", "--json"];
    expect(await run("quantize", "small-llama", "pruned.gguf", ...args)).toMatchObject(done);
    const { tensors } = await inspect("pruned.gguf");
    expect(tensors.filter(({ name }) => name.startsWith("blk.1."))).toEqual([]);
    expect(tensors.find(({ name }) => name === "blk.0.ffn_up.weight")!.dtype).toBe("Q6_K");
  });
});

test("fewbit error compares a checkpoint with what became of it", async () => {
  await run("quantize", "small-llama", "compared.gguf", "Q8_0", "--force");
  const { status, stdout } = await run("error", "small-llama", "compared.gguf", "--json");
  expect(status).toBe(0);
  const { tensors, missing, added } = JSON.parse(stdout);
  expect({ tensors: tensors.length, missing, added }).toEqual({ tensors: 21, missing: [], added: [] });
  // Turned rows are held against turned rows: anything else would be noise.
  for (const { sqnr } of tensors) expect(Number(sqnr)).toBeGreaterThan(40);
});

test("a plugin brings an architecture of its own", async () => {
  writeCheckpoint(join(folder, "mine"), { config: { architectures: ["MineForCausalLM"] } });
  const rules = tensors.map(([name]) => ({ from: name, to: `${name.replace(/\.weight$/, "")}.weight` }));
  const plugin = {
    api: 1,
    name: "mine",
    version: "1.0.0",
    architectures: [{ id: "mine", summary: "mine", classes: ["MineForCausalLM"] }],
  };
  writeFileSync(
    join(folder, "mine.mjs"),
    `const plugin = { ...${JSON.stringify(plugin)}, module: import.meta.url };
plugin.architectures[0].tensors = () => ${JSON.stringify(rules)};
export default plugin;\n`,
  );
  const ended = await run("convert", "mine", "-o", "mine.gguf", "--plugin", "./mine.mjs");
  expect(ended.status).toBe(0);
  const inspected = await inspect("mine.gguf");
  expect(inspected.metadata).toContainEqual({ key: "mine.block_count", type: "u32", value: 2 });
  expect(inspected.tensors.map(({ name }) => name)).toEqual(tensors.map(([name]) => name));
});

describe("refused, with the file, the place and a remedy", () => {
  let count = 0;
  const refusal = async (options: CheckpointOptions, prepare?: (path: string) => void) => {
    const name = `broken-${count++}`;
    const path = join(folder, name);
    writeCheckpoint(path, options);
    prepare?.(path);
    const before = readdirSync(folder);
    const ended = await run("convert", name);
    expect(readdirSync(folder)).toEqual(before);
    expect(ended.stdout).toBe("");
    expect(ended.status).toBe(3);
    return ended.stderr.replaceAll(`${name}/`, "").trimEnd();
  };

  test.each<[string, CheckpointOptions]>([
    [
      "error[E_CHECKPOINT] config.json: The checkpoint has no config.json. Download all files of the model, not only its weights.",
      { files: { "config.json": undefined } },
    ],
    [
      "error[E_CHECKPOINT] config.json: config.json does not say which architecture the model has (architectures). Download the checkpoint again, or correct its config.json.",
      { config: { architectures: [] } },
    ],
    ["error[E_CHECKPOINT] config.json: The file is not JSON: ", { files: { "config.json": "{" } }],
    [
      'error[E_ARCHITECTURE] config.json: No registered plugin knows the architecture "LlamaForCausalLMX". Known: LlamaForCausalLM, ',
      { config: { architectures: ["LlamaForCausalLMX"] } },
    ],
    [
      'error[E_CHECKPOINT] config.json: hidden_size is "256", not a whole number from 0 to 4294967295 (hidden_size). ',
      { config: { hidden_size: "256" } },
    ],
    [
      "error[E_CHECKPOINT] model.safetensors: model.embed_tokens.weight gives token_embd.weight the shape [300 × 256]; the settings ask for [300 × 512]. config.json and the weights belong to different models: download both from the same place.",
      { config: { hidden_size: 512 } },
    ],
    [
      "error[E_CHECKPOINT] model.safetensors: The checkpoint lacks a tensor that its 2 layers need: model.layers.1.mlp.up_proj.weight. Download all files of the checkpoint; if they are there, config.json belongs to another model.",
      { edit: (name) => (name === "model.layers.1.mlp.up_proj.weight" ? false : undefined) },
    ],
    [
      "error[E_CHECKPOINT] model.safetensors: The checkpoint holds 9 tensors that llama has no place for: ",
      { config: { num_hidden_layers: 1 } },
    ],
    [
      "error[E_CHECKPOINT] config.json: The settings ask for 1000000000 layers, and the checkpoint has 21 tensors in all (num_hidden_layers). ",
      { config: { num_hidden_layers: 1e9 } },
    ],
    [
      "error[E_CHECKPOINT] config.json: The checkpoint is quantized by gptq already, which cannot be undone here (quantization_config.quant_method). ",
      { config: { quantization_config: { quant_method: "gptq" } } },
    ],
    ["error[E_TOKENIZER] ", { files: { "tokenizer.json": undefined } }],
    ["error[E_TOKENIZER] tokenizer.json", { files: { "tokenizer.json": '{"model":' } }],
    ["error[E_TOKENIZER] tokenizer.json", { files: { "tokenizer.json": `${"[".repeat(1e5)}` } }],
  ])("%s", async (message, options) => {
    expect((await refusal(options)).startsWith(message)).toBe(true);
  });

  test("a checkpoint of PyTorch's pickles", async () => {
    const stderr = await refusal({}, (path) =>
      renameSync(join(path, "model.safetensors"), join(path, "pytorch_model.bin")),
    );
    expect(stderr).toMatch(
      /^error\[E_FORMAT_UNSUPPORTED\] \S+: The checkpoint's weights are in pytorch_model\.bin, a PyTorch file\. /,
    );
  });

  test("a shard that is missing", async () => {
    const stderr = await refusal({ shards: 3 }, (path) =>
      rmSync(join(path, "model-00002-of-00003.safetensors")),
    );
    expect(stderr).toMatch(/^error\[E_INDEX_MISSING\] model\.safetensors\.index\.json: /);
  });

  test("files that are links to elsewhere", async () => {
    const stderr = await refusal({ files: { "tokenizer.json": undefined } }, (path) =>
      symlinkSync("/etc/hostname", join(path, "tokenizer.json")),
    );
    expect(stderr).toMatch(/^error\[E_LINK\] tokenizer\.json: /);
  });

  test("a weight that is no number, by the names of the checkpoint", async () => {
    const edit = (name: string, values: Float32Array): undefined => {
      // The third row of the second half of a head: the sixth of the file that is written.
      if (name === "model.layers.0.self_attn.q_proj.weight") values[(32 + 2) * 256 + 7] = Number.NaN;
    };
    expect(await refusal({ edit })).toMatch(
      /^error\[E_NONFINITE\] model\.safetensors: blk\.0\.attn_q\.weight has NaN at row 5, column 7 \(element 1287\), at byte \d+ \(model\.layers\.0\.self_attn\.q_proj\.weight\)\. /,
    );
    const ended = await run("convert", `broken-${count - 1}`, "-o", "zeroed.gguf", "--nonfinite", "zero");
    expect(ended).toMatchObject(done);
    expect(ended.stdout).toContain("1 weight was NaN or infinite and became zero");
  });

  test.each([
    [
      ["quantize", "small-llama", "--type", "Q8_0", "--keep-split"],
      "error[E_USAGE] small-llama: --keep-split keeps the files of a GGUF model, and this is a checkpoint.",
      2,
    ],
    [
      ["convert", "small-llama", "--outtype", "q9"],
      'error[E_RECIPE_UNKNOWN] No registered plugin brings a recipe "q9"',
      2,
    ],
    [["convert", "plain.gguf"], "error[E_FORMAT_UNSUPPORTED] plain.gguf: The model is GGUF already.", 3],
    [["convert", "small-llama", "-o", "small-llama/config.json", "--force"], "error[E_OUTPUT_IS_INPUT] ", 2],
    [
      ["convert", "small-llama", "-o", "small-llama/tokenizer.json", "--force"],
      "error[E_OUTPUT_IS_INPUT] ",
      2,
    ],
  ])("fewbit %j", async (args, message, status) => {
    await run("convert", "small-llama", "-o", "plain.gguf");
    const ended = await run(...args);
    expect(ended.stderr.startsWith(message)).toBe(true);
    expect(ended.status).toBe(status);
    expect(readFileSync(join(folder, "small-llama", "tokenizer.json"), "utf8")).toBe(files["tokenizer.json"]);
  });
});

const hostile = sharedFolder === undefined ? undefined : join(sharedFolder, "hostile", "c01-type.json");
test.skipIf(hostile === undefined || !existsSync(hostile))(
  `a config.json that asks for a billion layers of text${hostile === undefined ? " (skipped: no ../shared/hostile)" : ""}`,
  async () => {
    writeCheckpoint(join(folder, "hostile"));
    copyFileSync(hostile!, join(folder, "hostile", "config.json"));
    const { status, stderr } = await run("convert", "hostile");
    expect(status).toBe(3);
    expect(stderr).toMatch(/^error\[E_(CHECKPOINT|ARCHITECTURE)\] /);
  },
);

const models = sharedFolder === undefined ? undefined : join(sharedFolder, "models");
describe.skipIf(models === undefined || !existsSync(models))(
  `stories of trained models${models === undefined ? " (skipped: no ../shared/models)" : ""}`,
  () => {
    let engine: Engine;
    beforeAll(async () => {
      engine = await createEngine();
      mkdirSync(join(folder, "stories"));
    });
    afterAll(() => engine?.dispose());

    test.each(["TinyStories-656K", "TinyStories-656K-sharded", "stories260K"])("%s", async (name) => {
      const output = join(folder, "stories", `${name}.gguf`);
      const ended = await run("quantize", join(models!, name), output, "--type", "Q4_K_M");
      expect(ended.status).toBe(0);
      const { text } = await engine.generate(output, "Once upon a time, there was a little girl", 40);
      expect(text).toMatch(/^ ?[\w ,.'"!?\n-]+$/);
      expect(text).toMatch(/\b(She|He|They|she|he|they)\b/);
      expect(new Set(text.split(/\W+/)).size).toBeGreaterThan(12);
    });
  },
);
