// pnpm bench: see `help` below.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { LlamaFtype } from "../oracle-file.js";
import { benchFile, cli, copyFile, type FileResult } from "./files.js";
import { benchScheme, comparableSchemes } from "./kernels.js";
import {
  largeShape,
  type ModelShape,
  type SourceType,
  shapeOfSize,
  smallShape,
  writeModel,
} from "./model.js";
import {
  describeMachine,
  fileHeading,
  fileRow,
  kernelHeading,
  kernelRow,
  line,
  loadNow,
  memoryHeading,
  memoryRow,
  type Report,
  toMarkdown,
} from "./report.js";

const help = `pnpm bench: how fast fewbit is, against llama.cpp, on this machine.

  --filter <regular expression>   only schemes and recipes whose name matches
  --only kernels | files          half of it
  --quick                         fewer repetitions
  --size <MB>                     of the model whose file is quantized (300)
  --source F16 | BF16             its type (BF16)
  --memory                        also peak memory on a model of 4 GiB, with holes for weights
  --folder <folder>               where the models are written (a new temporary folder)
  --json                          one JSON document instead of tables
  --write                         also into BENCHMARKS.md
  --help                          this`;

const args = process.argv.slice(2).filter((arg) => arg !== "--");
const { values: options } = parseArgs({
  args,
  options: {
    filter: { type: "string", default: "" },
    only: { type: "string" },
    quick: { type: "boolean", default: false },
    size: { type: "string", default: "300" },
    source: { type: "string", default: "BF16" },
    memory: { type: "boolean", default: false },
    folder: { type: "string" },
    json: { type: "boolean", default: false },
    write: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});
if (options.help) {
  console.log(help);
  process.exit();
}
const filter = new RegExp(options.filter, "i");
const recipes = (["Q4_K_M", "Q6_K", "Q8_0", "F16"] as const).filter((name) => filter.test(name));
const print = (text: string) => options.json || console.log(text);

const startLoad = loadNow();
print(`load average ${startLoad.toFixed(2)} on ${availableParallelism()} cores`);
if (startLoad > availableParallelism() / 2)
  console.warn(
    "warning: this machine is busy; trust the median of pairs more than the best, and neither much",
  );

const kernels: Report["kernels"][number][] = [];
const files: Report["files"] = [];
if (options.only !== "files") await benchKernels();
if (options.only !== "kernels")
  await benchFiles().catch((error: Error) => {
    console.error(`error: ${error.message}`);
    process.exitCode = 1; // what was measured is reported all the same
  });

const report: Report = { machine: describeMachine(args, startLoad), kernels, files };
print(`load average ${report.machine.load[1].toFixed(2)}`);
if (options.json) console.log(JSON.stringify(report, undefined, 2));
if (options.write)
  writeFileSync(fileURLToPath(new URL("../../BENCHMARKS.md", import.meta.url)), toMarkdown(report));
if ([...kernels, ...files.flatMap(({ results }) => results)].some(({ same }) => !same)) {
  console.error("error: not everything is the same as llama.cpp's");
  process.exitCode = 1;
}

async function benchKernels(): Promise<void> {
  const widths = [8, 18, 9, 9, 6, 6, 9];
  print(`\nmillion weights per second, one thread\n${line(kernelHeading, widths)}`);
  for (const scheme of await comparableSchemes(filter))
    for await (const result of benchScheme(scheme, options.quick ? 10 : 60)) {
      kernels.push(result);
      print(line(kernelRow(result), widths));
    }
}

async function benchFiles(): Promise<void> {
  if (!existsSync(cli)) {
    console.warn("warning: no whole files, because apps/cli is not built: run pnpm build");
    return;
  }
  const source = options.source.toUpperCase() as SourceType;
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), "fewbit-bench-"));
  try {
    const repeats = options.quick ? 1 : 3;
    const small = shapeOfSize(smallShape, Number(options.size) * 1e6);
    await benchModel(`random ${source} weights`, small, source, folder, recipes, [1, 2], repeats, false);
    if (options.memory) {
      const large = shapeOfSize(largeShape, 4.2 * 2 ** 30);
      await benchModel(`holes as ${source}`, large, source, folder, recipes.slice(0, 1), [1, 2], 1, true);
    }
  } finally {
    if (options.folder === undefined) rmSync(folder, { recursive: true });
  }
}

async function benchModel(
  name: string,
  shape: ModelShape,
  source: SourceType,
  folder: string,
  recipes: readonly LlamaFtype[],
  threads: readonly number[],
  repeats: number,
  sparse: boolean,
): Promise<void> {
  const path = join(folder, "model.gguf");
  try {
    const size = await writeModel(path, shape, source, sparse);
    const copies = Array.from({ length: sparse ? 0 : repeats }, () =>
      copyFile(path, join(folder, "copy.gguf")),
    );
    const copy = Math.min(...copies);
    const widths = sparse ? [8, 7, 9, 9, 9] : [8, 7, 9, 9, 6, 6, 18, 9];
    print(
      `\n${name}, ${(size / 1e6).toFixed(0)} MB${sparse ? "" : `; a plain copy takes ${copy.toFixed(2)} s`}`,
    );
    print(line(sparse ? memoryHeading : fileHeading, widths));
    const results: FileResult[] = [];
    files.push({ source: name, size, ...(sparse ? {} : { copy }), results });
    for (const recipe of recipes)
      for (const count of threads) {
        const result = await benchFile(path, recipe, count, repeats, folder);
        results.push(result);
        print(line((sparse ? memoryRow : fileRow)(result), widths));
      }
  } finally {
    rmSync(path, { force: true });
  }
}
