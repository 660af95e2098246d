import { createHash } from "node:crypto";
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { openModel } from "@fewbit/core/node";
import { beforeAll, describe, expect, test } from "vitest";
import { loadRegistry } from "../src/plugins.js";
import { fewbit, runHere } from "./command-line.js";
import { chunks, datasets, writeMatrix } from "./importance.js";
import { bfloat16, float32, weights, writeGguf, writeTinyModel } from "./model.js";
import { temporaryFolder } from "./temporary.js";

const folder = temporaryFolder();
const sha256 = (file: string): string =>
  createHash("sha256")
    .update(readFileSync(join(folder, file)))
    .digest("hex");
// In this process: what counts here is what is said and written, and a start-up takes longer than a run.
process.chdir(folder);
const quantize = (...args: string[]) => runHere(["quantize", ...args], folder);

beforeAll(async () => {
  writeTinyModel(join(folder, "tiny.gguf"));
  const registry = await loadRegistry(folder, [], undefined);
  writeMatrix(join(folder, "tiny.imatrix.gguf"), await openModel(join(folder, "tiny.gguf"), registry));
});

test("writes a file called after the model and the type, and says what it did", async () => {
  const { status, stdout, stderr } = await fewbit(["quantize", "tiny.gguf", "--type", "q4_k_m"], folder);
  expect(stderr).toBe("");
  expect(status).toBe(0);
  expect(stdout).toContain("tiny-Q4_K_M.gguf\nQ4_K_M, 1.34 M weights, ");
  expect(stdout).toMatch(/ bits per weight; [\d.]+ kB with the header\n\d+ × Q\w+ \([\d.]+ kB\)/);
  expect(stdout).toMatch(/weights\/s\n$/);
  const document = JSON.parse((await fewbit(["inspect", "tiny-Q4_K_M.gguf", "--json"], folder)).stdout);
  const types = Object.fromEntries(
    document.tensors.map(({ name, dtype }: { name: string; dtype: string }) => [name, dtype]),
  );
  expect(types["blk.0.attn_q.weight"]).toBe("Q4_K");
  expect(types["blk.0.attn_norm.weight"]).toBe("F32");
  expect(types["output.weight"]).toBe("Q6_K");
});

test("any number of threads writes the same bytes", async () => {
  for (const threads of ["1", "3"]) {
    const ended = await quantize("tiny.gguf", `threads-${threads}.gguf`, "Q5_K_M", threads);
    expect(ended).toMatchObject({ status: 0, stderr: "" });
  }
  expect(sha256("threads-1.gguf")).toBe(sha256("threads-3.gguf"));
});

test("--json prints one document", async () => {
  const { status, stdout, stderr } = await quantize("tiny.gguf", "json.gguf", "--type", "Q8_0", "--json");
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  const document = JSON.parse(stdout);
  expect(document).toMatchObject({
    output: [join(folder, "json.gguf")],
    recipe: "Q8_0",
    zeroed: 0,
    summary: { types: { Q8_0: { tensors: 16 }, F32: { tensors: 5 } } },
  });
  expect(document.summary.fileBytes).toBe(readFileSync(join(folder, "json.gguf")).length);
});

describe("--dry-run", () => {
  test("prints a line for every tensor, and writes nothing", async () => {
    const before = readdirSync(folder);
    const { status, stdout } = await quantize("tiny.gguf", "--type", "Q4_K_S", "--dry-run");
    expect(status).toBe(0);
    const line = stdout.split("\n").find((text) => text.startsWith("blk.1.ffn_down.weight"));
    expect(line).toMatch(/\[256, 512\] +BF16 +Q4_K +73\.73 kB +4\.500 +\S/);
    expect(stdout).toContain("tiny-Q4_K_S.gguf would be written: Q4_K_S, 1.34 M weights");
    expect(readdirSync(folder)).toEqual(before);
  });

  test("foretells the size to the byte", async () => {
    const { stdout } = await quantize("tiny.gguf", "--type", "Q6_K", "--dry-run", "--json");
    const { plan } = JSON.parse(stdout);
    expect((await quantize("tiny.gguf", "foretold.gguf", "Q6_K")).status).toBe(0);
    expect(readFileSync(join(folder, "foretold.gguf")).length).toBe(plan.files[0]);
  });

  test("the plan names no path of this machine", async () => {
    const { stdout } = await quantize("tiny.gguf", "--type", "Q6_K", "--dry-run", "--json");
    expect(JSON.stringify(JSON.parse(stdout).plan)).not.toContain(folder);
  });
});

describe("choices", () => {
  const typesOf = async (...args: string[]): Promise<Record<string, string>> => {
    const { stdout, stderr, status } = await quantize("tiny.gguf", ...args, "--dry-run", "--json");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    return Object.fromEntries(
      JSON.parse(stdout).plan.tensors.map((tensor: { name: string; to: { dtype: string } }) => [
        tensor.name,
        tensor.to.dtype,
      ]),
    );
  };

  test("the first matching --tensor-type wins", async () => {
    const types = await typesOf(
      "--type=Q4_K_M",
      "--tensor-type",
      "blk\\.0\\.ffn_down=q8_0",
      "--tensor-type",
      "ffn_down=Q5_K",
      "--tensor-type",
      "FFN_UP=Q2_K",
    );
    expect(types["blk.0.ffn_down.weight"]).toBe("Q8_0");
    expect(types["blk.1.ffn_down.weight"]).toBe("Q5_K");
    // Case counts, as in tensor names.
    expect(types["blk.1.ffn_up.weight"]).toBe("Q4_K");
  });

  test("--tensor-type-file holds more of them", async () => {
    writeFileSync(join(folder, "types.txt"), "attn_q=Q8_0\nattn_k=Q5_K  attn_v=q6_k\n");
    const types = await typesOf("--type=Q4_K_S", "--tensor-type-file", "types.txt");
    expect([
      types["blk.0.attn_q.weight"],
      types["blk.0.attn_k.weight"],
      types["blk.0.attn_v.weight"],
    ]).toEqual(["Q8_0", "Q5_K", "Q6_K"]);
  });

  test("output, embedding, leaving the output, pure", async () => {
    expect(
      await typesOf("--type=Q4_K_M", "--output-tensor-type", "q8_0", "--token-embedding-type", "Q5_K"),
    ).toMatchObject({ "output.weight": "Q8_0", "token_embd.weight": "Q5_K" });
    expect(await typesOf("--type=Q4_K_M", "--leave-output-tensor")).toMatchObject({
      "output.weight": "BF16",
    });
    const pure = await typesOf("--type=Q4_K_M", "--pure");
    expect(pure["blk.1.attn_v.weight"]).toBe("Q4_K");
    expect(pure["blk.1.ffn_down.weight"]).toBe("Q4_K");
  });

  test("a scheme may be a type: every tensor gets it", async () => {
    const types = await typesOf("--type", "@fewbit/scheme-asymmetric:q4_k");
    expect(new Set(Object.values(types))).toEqual(new Set(["F32", "Q4_K"]));
  });

  test("--prune-layers leaves out layers and renumbers the rest", async () => {
    const types = await typesOf("--type=Q8_0", "--prune-layers", "0");
    expect(Object.keys(types).filter((name) => name.startsWith("blk."))).toHaveLength(9);
    expect(types["blk.0.ffn_up.weight"]).toBe("Q8_0");
  });

  test("--override-kv sets metadata", async () => {
    const ended = await quantize(
      "tiny.gguf",
      "overridden.gguf",
      "--type=Q8_0",
      "--override-kv",
      "general.name=str:small one",
      "--override-kv",
      "my.answer=int:42",
    );
    expect(ended).toMatchObject({ status: 0, stderr: "" });
    const { metadata } = JSON.parse((await fewbit(["inspect", "overridden.gguf", "--json"], folder)).stdout);
    expect(metadata).toContainEqual({ key: "general.name", type: "string", value: "small one" });
    expect(metadata).toContainEqual({ key: "my.answer", type: "u32", value: 42 });
  });
});

describe("--imatrix", () => {
  test("is used, recorded and told where it has gaps", async () => {
    const ended = await quantize("tiny.gguf", "weighted.gguf", "Q4_K_M", "--imatrix", "tiny.imatrix.gguf");
    expect(ended).toMatchObject({ status: 0, stderr: "" });
    expect((await quantize("tiny.gguf", "plain.gguf", "Q4_K_M")).status).toBe(0);
    const read = async (file: string) =>
      JSON.parse((await fewbit(["inspect", file, "--json"], folder)).stdout);
    const [weighted, plain] = [await read("weighted.gguf"), await read("plain.gguf")];
    expect(weighted.metadata.slice(plain.metadata.length)).toEqual([
      { key: "quantize.imatrix.file", type: "string", value: "tiny.imatrix.gguf" },
      { key: "quantize.imatrix.dataset", type: "string", value: datasets[0] },
      { key: "quantize.imatrix.entries_count", type: "u32", value: 15 },
      { key: "quantize.imatrix.chunks_count", type: "u32", value: chunks },
    ]);
    const bytes = (
      file: string,
      { tensors }: { tensors: { name: string; offset: number; bytes: number }[] },
    ) => {
      const { offset, bytes: length } = tensors.find(({ name }) => name === "blk.0.ffn_up.weight")!;
      return readFileSync(join(folder, file)).subarray(offset, offset + length);
    };
    expect(bytes("weighted.gguf", weighted).equals(bytes("plain.gguf", plain))).toBe(false);

    const gaps = await quantize(
      "tiny.gguf",
      "gaps.gguf",
      "Q4_K_M",
      "--imatrix",
      "tiny.imatrix.gguf",
      "--exclude-weights",
      "ffn_up",
    );
    expect(gaps).toMatchObject({
      status: 0,
      stderr:
        "warning: the importance matrix has no entry for 2 tensors, which are quantized without: " +
        "blk.0.ffn_up.weight, blk.1.ffn_up.weight\n",
    });
  });

  test("makes possible what is refused without it", async () => {
    const without = await quantize("tiny.gguf", "q2.gguf", "Q2_K_S");
    expect(without.status).toBe(3);
    expect(without.stderr).toMatch(/^error\[E_IMPORTANCE_MISSING\] blk\.0\..* --imatrix/);
    expect((await quantize("tiny.gguf", "q2.gguf", "Q2_K_S", "--imatrix", "tiny.imatrix.gguf")).status).toBe(
      0,
    );
  });

  test("can be used for some tensors or without some, not both", async () => {
    const both = ["--include-weights", "a", "--exclude-weights", "b"];
    const ended = await quantize("tiny.gguf", "--type=Q8_0", "--imatrix", "tiny.imatrix.gguf", ...both);
    expect(ended.status).toBe(2);
    expect(ended.stderr).toMatch(/^error\[E_USAGE\] .*included or excluded, not both/);
  });
});

describe("refused, with nothing changed", () => {
  const refused = async (args: string[], status: number, line: string | RegExp): Promise<void> => {
    const before = readdirSync(folder).map((name) => [name, sha256(name)]);
    const ended = await quantize(...args);
    if (typeof line === "string") expect(ended.stderr).toBe(`${line}\n`);
    else expect(ended.stderr).toMatch(line);
    expect(ended.status).toBe(status);
    expect(readdirSync(folder).map((name) => [name, sha256(name)])).toEqual(before);
  };

  test("an output that exists", async () => {
    writeFileSync(join(folder, "taken.gguf"), "precious");
    await refused(
      ["tiny.gguf", "taken.gguf", "Q8_0"],
      2,
      `error[E_OUTPUT_EXISTS] ${join(folder, "taken.gguf")}: the output exists already. Pass --force to replace it, or give another name.`,
    );
    expect((await quantize("tiny.gguf", "taken.gguf", "Q8_0", "--force")).status).toBe(0);
    expect(readFileSync(join(folder, "taken.gguf")).subarray(0, 4).toString()).toBe("GGUF");
  });

  test("an output that is the input, however it is called", async () => {
    linkSync(join(folder, "tiny.gguf"), join(folder, "hard.gguf"));
    symlinkSync("tiny.gguf", join(folder, "soft.gguf"));
    for (const name of ["tiny.gguf", "./tiny.gguf", "hard.gguf", "soft.gguf"])
      await refused(
        ["tiny.gguf", name, "Q8_0", "--force"],
        2,
        /^error\[E_OUTPUT_IS_INPUT\] .*: the output is the input/,
      );
  });

  test("an output that is the importance matrix", async () => {
    await refused(
      ["tiny.gguf", "tiny.imatrix.gguf", "Q8_0", "--imatrix", "tiny.imatrix.gguf", "--force"],
      2,
      /^error\[E_OUTPUT_IS_INPUT\]/,
    );
  });

  test("an output that is the file of tensor types", async () => {
    writeFileSync(join(folder, "precious.txt"), "attn_v=Q8_0");
    await refused(
      ["tiny.gguf", "precious.txt", "Q4_0", "--tensor-type-file=precious.txt", "--force"],
      2,
      /^error\[E_OUTPUT_IS_INPUT\] .*precious\.txt: the output is the input precious\.txt/,
    );
  });

  test("a file of tensor types that is none", async () => {
    await refused(
      ["tiny.gguf", "x.gguf", "Q4_0", "--tensor-type-file=."],
      4,
      /^error\[E_IO\] \.: it is a folder, not a regular file\./,
    );
    await refused(
      ["tiny.gguf", "x.gguf", "Q4_0", "--tensor-type-file=nowhere.txt"],
      4,
      /^error\[E_IO\] nowhere\.txt: opening failed: there is no such file or folder \(ENOENT\)\./,
    );
  });

  test("an output that another run is writing", async () => {
    writeFileSync(join(folder, "busy.gguf.partial"), "half");
    await refused(
      ["tiny.gguf", "busy.gguf", "Q8_0"],
      5,
      /^error\[E_BUSY\] .*busy\.gguf\.partial: another run/,
    );
  });

  test("a model that is not there", async () => {
    await refused(["nowhere.gguf", "--type=Q8_0"], 4, /^error\[E_IO\] nowhere\.gguf: .*no such file.*ENOENT/);
  });

  test("a folder as the model", async () => {
    await refused(
      [".", "x.gguf", "--type=Q8_0"],
      4,
      /^error\[E_IO\] \.: it is a folder without model\.safetensors\.index\.json or model\.safetensors\./,
    );
  });

  test("an output folder that is not there", async () => {
    await refused(["tiny.gguf", "no/where.gguf", "--type=Q8_0"], 4, /^error\[E_IO\] .*no: .*ENOENT/);
  });

  test("an output that is named twice", async () => {
    await refused(
      ["tiny.gguf", "a.gguf", "--output", "b.gguf", "--type=Q8_0"],
      2,
      /^error\[E_USAGE\] The output is named twice: a\.gguf and b\.gguf\. Name it once\./,
    );
  });

  test("no type, an unknown one, and one whose package is missing", async () => {
    await refused(["tiny.gguf"], 2, /^error\[E_USAGE\] No type is given\. Pass --type/);
    await refused(
      ["tiny.gguf", "--type=Q4_K_N"],
      2,
      /^error\[E_RECIPE_UNKNOWN\] .*"Q4_K_N"\. Registered: Q4_K/,
    );
    await refused(
      ["tiny.gguf", "--type=INT8_CHANNEL"],
      2,
      /"INT8_CHANNEL".* @fewbit\/scheme-per-channel brings it: npm install @fewbit\/scheme-per-channel, then add --plugin @fewbit\/scheme-per-channel\.\n$/,
    );
  });

  test("options that make no sense", async () => {
    for (const [args, text] of [
      [["--typo"], "Unknown option '--typo'"],
      [["--threads", "0"], '"0" is no number of threads'],
      [["--tensor-type", "x"], '"x" is no tensor type'],
      [["--tensor-type", "x=Q9_Z"], '"Q9_Z"'],
      [["--nonfinite", "maybe"], "maybe"],
      [["--override-kv", "x"], '"x"'],
      [
        ["--include-weights", "a"],
        "--include-weights says how to use an importance matrix, and there is none",
      ],
    ] as const) {
      const { status, stderr } = await quantize("tiny.gguf", "--type=Q8_0", "--dry-run", ...args);
      expect(stderr).toMatch(/^error\[E_\w+\] /);
      expect(stderr).toContain(text);
      expect(status).toBe(2);
    }
  });

  test("a weight that is not a number, unless it may become zero", async () => {
    const values = weights(64 * 32, 5);
    values[70] = Number.NaN;
    writeGguf(
      join(folder, "nan.gguf"),
      [{ key: "general.architecture", type: "string", value: "llama" }],
      [{ name: "blk.0.ffn_up.weight", shape: [64, 32], bytes: float32(values) }],
    );
    await refused(
      ["nan.gguf", "--type=Q8_0"],
      3,
      /^error\[E_NONFINITE\] nan\.gguf: .*blk\.0\.ffn_up\.weight.*row 2, column 6.*at byte \d+.* --nonfinite zero/,
    );
    const { status, stdout } = await quantize("nan.gguf", "--type=Q8_0", "--nonfinite", "zero");
    expect(stdout).toContain("1 weight was NaN or infinite and became zero");
    expect(status).toBe(0);
  });

  test("a weight too large for the scale of its type", async () => {
    const values = weights(64 * 256, 6);
    values[3 * 256 + 40] = 1e7;
    writeGguf(
      join(folder, "large.gguf"),
      [{ key: "general.architecture", type: "string", value: "llama" }],
      [{ name: "blk.0.ffn_up.weight", shape: [64, 256], bytes: float32(values) }],
    );
    for (const type of ["Q8_0", "Q4_0"])
      await refused(
        ["large.gguf", "--type", type],
        3,
        /^error\[E_SCALE_OVERFLOW\] large\.gguf: .*blk\.0\.ffn_up\.weight.*at byte \d+.* --tensor-type/,
      );
    expect((await quantize("large.gguf", "--type", "BF16")).status).toBe(0);
  });

  test("a model that is quantized already", async () => {
    expect((await quantize("tiny.gguf", "once.gguf", "Q8_0")).status).toBe(0);
    await refused(["once.gguf", "--type=Q4_K_M"], 2, /^error\[E_REQUANTIZE\] .*--allow-requantize/);
    expect((await quantize("once.gguf", "twice.gguf", "Q4_K_M", "--allow-requantize")).status).toBe(0);
  });

  test("under --json the error is the document", async () => {
    const { status, stdout, stderr } = await quantize("nowhere.gguf", "--type=Q8_0", "--json");
    expect({ status, stderr }).toEqual({ status: 4, stderr: "" });
    expect(JSON.parse(stdout)).toMatchObject({
      error: { code: "E_IO", file: "nowhere.gguf", remedy: expect.any(String) },
    });
    const usage = await quantize("--json", "--typo");
    expect(JSON.parse(usage.stdout)).toMatchObject({ error: { code: "E_USAGE" } });
  });

  test("a stack is shown only when asked for", async () => {
    expect((await quantize("nowhere.gguf", "--type=Q8_0")).stderr).not.toContain("    at ");
    expect((await quantize("nowhere.gguf", "--type=Q8_0", "--debug")).stderr).toContain("    at ");
  });
});

test("a split model stays split, or becomes one file", async () => {
  const keep = join(folder, "split");
  mkdirSync(keep);
  writeGguf(
    join(keep, "m.gguf"),
    [{ key: "general.architecture", type: "string", value: "llama" }],
    [0, 1].map((no) => ({
      name: `blk.${no}.ffn_up.weight`,
      shape: [64, 256],
      dtype: "BF16" as const,
      bytes: bfloat16(weights(64 * 256, no)),
    })),
  );
  await fewbit(["split", "m.gguf", "--split-max-tensors", "1"], keep);
  const one = await fewbit(["quantize", "m-00001-of-00002.gguf", "--type=Q8_0"], keep);
  expect(one).toMatchObject({ status: 0, stderr: "" });
  const two = await fewbit(
    ["quantize", "m-00001-of-00002.gguf", "s.gguf", "--type=Q8_0", "--keep-split"],
    keep,
  );
  expect(two).toMatchObject({ status: 0, stderr: "" });
  expect(readdirSync(keep).sort()).toEqual([
    "m-00001-of-00002.gguf",
    "m-00002-of-00002.gguf",
    "m-Q8_0.gguf",
    "m.gguf",
    "s-00001-of-00002.gguf",
    "s-00002-of-00002.gguf",
  ]);
  expect(existsSync(join(keep, "s.gguf"))).toBe(false);
});

test("--quiet prints nothing at all", async () => {
  const ended = await quantize("tiny.gguf", "quiet.gguf", "--type", "Q8_0", "--quiet");
  expect(ended).toMatchObject({ status: 0, stdout: "", stderr: "" });
  expect(existsSync(join(folder, "quiet.gguf"))).toBe(true);
});
