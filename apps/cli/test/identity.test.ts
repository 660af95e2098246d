// Whole files, byte for byte what llama.cpp writes: against the hashes that may lie beside the project, and against
// the library itself for every recipe and every choice of the command line.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { openModel } from "@fewbit/core/node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sharedFolder } from "../../../tooling/golden.js";
import {
  type KeyValue,
  type LlamaFtype,
  llamaFtypes,
  type OracleFileOptions,
  oracleFolder,
  oracleProcess,
} from "../../../tooling/oracle-file.js";
import { loadRegistry } from "../src/plugins.js";
import { runHere } from "./command-line.js";
import { chunks, datasets, writeMatrix } from "./importance.js";
import { temporaryFolder } from "./temporary.js";

const folder = temporaryFolder();
const registry = await loadRegistry(folder, [], undefined);

/** Throws what the program printed where it did not succeed. */
async function fewbit(...args: string[]): Promise<void> {
  const { status, stdout, stderr } = await runHere(args, folder);
  if (status !== 0) throw new Error(stdout + stderr);
}

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Recipes that llama.cpp has too, and whose schemes are all bundled. The list is written out, so that none is lost. */
const recipes: readonly LlamaFtype[] = [
  "F32",
  "F16",
  "BF16",
  "Q4_0",
  "Q4_1",
  "Q5_0",
  "Q5_1",
  "Q8_0",
  "Q2_K",
  "Q2_K_S",
  "Q3_K_S",
  "Q3_K_M",
  "Q3_K_L",
  "Q4_K_S",
  "Q4_K_M",
  "Q5_K_S",
  "Q5_K_M",
  "Q6_K",
  "TQ1_0",
  "TQ2_0",
  "MXFP4_MOE",
  "Q1_0",
  "Q2_0",
  "IQ1_S",
  "IQ1_M",
  "IQ2_XXS",
  "IQ2_XS",
  "IQ2_S",
  "IQ2_M",
  "IQ3_XXS",
  "IQ3_XS",
  "IQ3_S",
  "IQ3_M",
  "IQ4_NL",
  "IQ4_XS",
];
/** Those that cannot be made without an importance matrix. */
const needImportance: readonly string[] = [
  "Q2_K_S",
  ...["IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M", "IQ3_XXS", "IQ3_XS"],
];

test("every recipe that llama.cpp has too is tried here", () => {
  const others = registry.recipes
    .map(({ value }) => value.id)
    .filter((id) => id in llamaFtypes && !recipes.includes(id as LlamaFtype));
  expect(others).toEqual([]);
  for (const id of recipes) expect(registry.recipe(id).value.id).toBe(id);
});

interface GoldenResult {
  readonly name: string;
  readonly imatrix: 0 | 1;
  readonly rc: number;
  readonly file_sha256?: string;
  readonly tensors?: Readonly<Record<string, readonly [type: string, hash: string]>>;
}

const golden = sharedFolder === undefined ? undefined : join(sharedFolder, "golden-model");
const haveGolden = golden !== undefined && existsSync(join(golden, "tiny-results.json"));

describe.skipIf(!haveGolden)(
  `the stored results${haveGolden ? "" : " (skipped: no ../shared/golden-model)"}`,
  () => {
    const results: readonly GoldenResult[] = haveGolden
      ? JSON.parse(readFileSync(join(golden!, "tiny-results.json"), "utf8")).results
      : [];
    const model = golden === undefined ? "" : join(golden, "tiny-bf16.gguf");
    const mine = results.filter(({ name }) => recipes.includes(name as LlamaFtype));

    test.each(mine.filter(({ rc }) => rc === 0))(
      "$name, importance $imatrix",
      async ({ name, imatrix, ...result }) => {
        const output = join(folder, `golden-${name}-${imatrix}.gguf`);
        const importance = imatrix === 1 ? ["--imatrix", join(golden!, "tiny.imatrix.gguf")] : [];
        await fewbit("quantize", model, output, "--type", name, ...importance, "--threads", "1");
        const bytes = readFileSync(output);
        const { tensors } = await openModel(output, registry);
        const found = Object.fromEntries(
          tensors.map((tensor) => [
            tensor.name,
            [tensor.dtype, sha256(bytes.subarray(tensor.offset, tensor.offset + tensor.bytes)).slice(0, 16)],
          ]),
        );
        expect(found).toEqual(result.tensors);
        expect(tensors.map((tensor) => tensor.name)).toEqual(Object.keys(result.tensors!));
        // With importance, the stored file lacks the metadata about it, which the caller of the library adds.
        if (imatrix === 0) expect(sha256(bytes)).toBe(result.file_sha256);
        rmSync(output);
      },
    );

    test.each(needImportance)("%s is refused without importance, as llama.cpp refuses it", async (name) => {
      expect(mine.find((result) => result.name === name && result.imatrix === 0)?.rc).not.toBe(0);
      await expect(fewbit("quantize", model, join(folder, "refused.gguf"), "--type", name)).rejects.toThrow(
        "error[E_IMPORTANCE_MISSING]",
      );
    });
  },
);

const fixture = fileURLToPath(new URL("../../../tooling/fixture/stories.gguf", import.meta.url));
const matrix = join(folder, "stories.imatrix.gguf");
const skipLive = oracleFolder === undefined || !existsSync(fixture);
const reason = !skipLive
  ? ""
  : ` (skipped: ${oracleFolder === undefined ? "no prebuilt llama.cpp for this platform" : "no tooling/fixture/stories.gguf"})`;

describe.skipIf(skipLive)(`the library itself${reason}`, () => {
  const oracle = oracleProcess();
  afterAll(() => oracle.close());
  let importance: ReadonlyMap<string, Float32Array>;

  beforeAll(async () => {
    importance = writeMatrix(matrix, await openModel(fixture, registry));
  });

  /** What llama-quantize adds when it is given a matrix in its own folder; the library leaves it to its caller. */
  const aboutImportance = (): KeyValue[] => [
    { key: "quantize.imatrix.file", string: basename(matrix) },
    { key: "quantize.imatrix.dataset", string: datasets[0]! },
    { key: "quantize.imatrix.entries_count", int: importance.size },
    { key: "quantize.imatrix.chunks_count", int: chunks },
  ];

  async function expectSame(
    name: string,
    args: readonly string[],
    ftype: LlamaFtype,
    options: OracleFileOptions,
    input = fixture,
  ): Promise<void> {
    const work = join(folder, name.replace(/\W+/g, "-"));
    for (const side of ["ours", "theirs"]) mkdirSync(join(work, side), { recursive: true });
    // With keepSplit llama.cpp wants a prefix.
    const theirs = join(work, "theirs", options.keepSplit ? "out" : "out.gguf");
    const [answer] = await Promise.all([
      oracle.quantize(input, theirs, ftype, { threads: 1, ...options }),
      fewbit("quantize", input, join(work, "ours", "out.gguf"), ...args),
    ]);
    expect(answer.ok, answer.log).toBe(true);
    const files = readdirSync(join(work, "theirs")).sort();
    expect(files.length).toBeGreaterThan(0);
    expect(readdirSync(join(work, "ours")).sort()).toEqual(files);
    for (const file of files) await expectSameFile(join(work, "ours", file), join(work, "theirs", file));
    rmSync(work, { recursive: true });
  }

  const byType = (type: string): string[] => ["--type", type];

  test.each(recipes.filter((id) => !needImportance.includes(id)))("%s", async (id) => {
    await expectSame(`plain ${id}`, byType(id), id, {});
  });

  test.each(recipes)("%s with importance", async (id) => {
    await expectSame(`matrix ${id}`, [...byType(id), "--imatrix", matrix], id, {
      importance,
      keyValues: aboutImportance(),
    });
  });

  test("--pure", async () => {
    for (const id of ["Q4_K_M", "Q5_0", "Q3_K_L"] as const)
      await expectSame(`pure ${id}`, [...byType(id), "--pure"], id, { pure: true });
  });

  test("--leave-output-tensor", async () => {
    await expectSame("leave", [...byType("Q4_K_M"), "--leave-output-tensor"], "Q4_K_M", {
      quantizeOutputTensor: false,
    });
  });

  test("--output-tensor-type and --token-embedding-type", async () => {
    await expectSame(
      "types",
      [...byType("Q4_K_S"), "--output-tensor-type", "q5_k", "--token-embedding-type", "Q8_0"],
      "Q4_K_S",
      { outputTensorType: "Q5_K", tokenEmbeddingType: "Q8_0" },
    );
  });

  test("--tensor-type, first match first", async () => {
    await expectSame(
      "patterns",
      [
        ...byType("Q4_K_M"),
        "--tensor-type",
        "blk\\.[02]\\.ffn_down=q6_k",
        "--tensor-type",
        "ffn_(down|up)=Q3_K",
        "--tensor-type",
        "attn_v=q5_1",
      ],
      "Q4_K_M",
      {
        tensorTypes: [
          { pattern: "blk\\.[02]\\.ffn_down", type: "Q6_K" },
          { pattern: "ffn_(down|up)", type: "Q3_K" },
          { pattern: "attn_v", type: "Q5_1" },
        ],
      },
    );
  });

  test("--tensor-type with --pure", async () => {
    await expectSame(
      "pure patterns",
      [...byType("Q4_K_M"), "--pure", "--tensor-type", "attn_q=q8_0"],
      "Q4_K_M",
      {
        pure: true,
        tensorTypes: [{ pattern: "attn_q", type: "Q8_0" }],
      },
    );
  });

  test("--prune-layers", async () => {
    await expectSame("prune", [...byType("Q4_K_M"), "--prune-layers", "3,1"], "Q4_K_M", {
      pruneLayers: [1, 3],
    });
  });

  test("--override-kv of every type", async () => {
    await expectSame(
      "override",
      [
        ...byType("Q8_0"),
        "--override-kv",
        "general.name=str:another name",
        "--override-kv",
        "llama.context_length=int:256",
        "--override-kv",
        "tokenizer.ggml.add_bos_token=bool:false",
        "--override-kv",
        "llama.rope.freq_base=float:500000.5",
        "--override-kv",
        "my.own.key=int:-7",
      ],
      "Q8_0",
      {
        keyValues: [
          { key: "general.name", string: "another name" },
          { key: "llama.context_length", int: 256 },
          { key: "tokenizer.ggml.add_bos_token", bool: false },
          { key: "llama.rope.freq_base", float: 500000.5 },
          { key: "my.own.key", int: -7 },
        ],
      },
    );
  });

  test("--override-kv with importance", async () => {
    await expectSame(
      "override matrix",
      [...byType("Q4_K_S"), "--imatrix", matrix, "--override-kv", "general.name=str:x"],
      "Q4_K_S",
      { importance, keyValues: [{ key: "general.name", string: "x" }, ...aboutImportance()] },
    );
  });

  test("--include-weights and --exclude-weights", async () => {
    const chosen = (keep: (name: string) => boolean) => {
      const some = new Map([...importance].filter(([name]) => keep(name)));
      const keyValues = aboutImportance().map((entry) =>
        entry.key === "quantize.imatrix.entries_count" ? { key: entry.key, int: some.size } : entry,
      );
      return { importance: some, keyValues };
    };
    await expectSame(
      "include",
      [
        ...byType("Q4_K_M"),
        "--imatrix",
        matrix,
        "--include-weights",
        "attn_v",
        "--include-weights",
        "ffn_down",
      ],
      "Q4_K_M",
      chosen((name) => name.includes("attn_v") || name.includes("ffn_down")),
    );
    await expectSame(
      "exclude",
      [...byType("Q4_K_M"), "--imatrix", matrix, "--exclude-weights", "ffn"],
      "Q4_K_M",
      chosen((name) => !name.includes("ffn")),
    );
  });

  test("--allow-requantize, from every kind of block", async () => {
    for (const id of ["Q8_0", "Q6_K", "Q4_K_M", "Q5_1"] as const) {
      const source = join(folder, `source-${id}.gguf`);
      await fewbit("quantize", fixture, source, ...byType(id));
      await expectSame(
        `again ${id}`,
        [...byType("Q4_K_S"), "--allow-requantize"],
        "Q4_K_S",
        { allowRequantize: true },
        source,
      );
    }
  });

  test("COPY", async () => {
    await expectSame("copy", byType("COPY"), "F32", { onlyCopy: true });
  });

  test("--keep-split, and a split model made one", async () => {
    const input = await splitFixture();
    await expectSame(
      "kept split",
      [...byType("Q4_K_M"), "--keep-split"],
      "Q4_K_M",
      { keepSplit: true },
      input,
    );
    await expectSame("joined", byType("Q4_K_M"), "Q4_K_M", {}, input);
  });
});

async function expectSameFile(ours: string, theirs: string): Promise<void> {
  const [a, b] = [readFileSync(ours), readFileSync(theirs)];
  if (a.equals(b)) return;
  const at = a.findIndex((byte, i) => byte !== b[i]);
  // Say which tensor, or which part of the header, before giving up.
  const [left, right] = await Promise.all([openModel(ours, registry), openModel(theirs, registry)]);
  expect(left.metadata.map(({ key, type, value }) => [key, type, value])).toEqual(
    right.metadata.map(({ key, type, value }) => [key, type, value]),
  );
  expect(left.tensors.map(({ name, dtype, offset }) => [name, dtype, offset])).toEqual(
    right.tensors.map(({ name, dtype, offset }) => [name, dtype, offset]),
  );
  const tensor = left.tensors.find(({ offset, bytes }) => at >= offset && at < offset + bytes);
  expect.fail(
    `files differ at byte ${at} of ${a.length} and ${b.length}, in ${tensor?.name} (${tensor?.dtype})`,
  );
}

/** The fixture in three files, by the writer's own rules. */
async function splitFixture(): Promise<string> {
  const model = await openModel(fixture, registry);
  const bytes = readFileSync(fixture);
  const { value: writer } = registry.writer("gguf");
  const output = writer.layout({
    metadata: model.metadata,
    files: 3,
    tensors: model.tensors.map((tensor, i) => ({
      ...tensor,
      file: Math.floor((i * 3) / model.tensors.length),
      parts: [{ name: "", dtype: tensor.dtype, shape: tensor.shape, bytes: tensor.bytes, per: "tensor" }],
    })),
  });
  const names = writer.fileNames!(join(folder, "stories.gguf"), 3);
  for (const [file, name] of names.entries()) {
    const { header, size } = output.files[file]!;
    const data = new Uint8Array(size);
    data.set(header);
    for (const place of output.places.filter((each) => each.file === file)) {
      const tensor = model.tensors.find(({ name: own }) => own === place.tensor)!;
      data.set(bytes.subarray(tensor.offset, tensor.offset + tensor.bytes), place.offset);
    }
    writeFileSync(name, data);
  }
  return names[0]!;
}
