import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { oracleFolder } from "../../../tooling/oracle.js";
import { figureOf } from "../src/commands/bench.js";
import { type Energy, openEnergy } from "../src/energy.js";
import { fewbit, runHere, start } from "./command-line.js";
import { temporaryFolder } from "./temporary.js";

const folder = temporaryFolder();
const stories = fileURLToPath(new URL("../../../tooling/fixture/stories.gguf", import.meta.url));
copyFileSync(stories, join(folder, "stories.gguf"));
writeFileSync(join(folder, "letter.gguf"), "Dear reader, this is not a model.");
const alien = readFileSync(stories);
alien.write("alien", alien.indexOf("llama"));
writeFileSync(join(folder, "alien.gguf"), alien);

if (oracleFolder === undefined)
  console.warn("Skipped: there is no build of llama.cpp for this machine, so nothing can be timed.");

const SHORT = ["-p", "16", "-n", "0", "-r", "1"];
/** One thread: more of them stall on a busy machine. */
const bench = (...args: string[]) => fewbit(["bench", ...args, "--threads", "1"], folder);

interface Document {
  readonly engine: string;
  readonly energy: { readonly available: boolean; readonly why?: string };
  readonly models: readonly {
    readonly model: string;
    readonly bytes: number;
    readonly loadSeconds: number;
    readonly peakMemory: number;
    readonly tests: readonly {
      readonly test: string;
      readonly tokensPerSecond: {
        readonly mean: number;
        readonly deviation: number;
        readonly samples: number[];
      };
      readonly joulesPerToken: { readonly mean: number } | null;
    }[];
  }[];
}

describe.skipIf(oracleFolder === undefined)("fewbit bench", () => {
  test("measures every test of every model, as --json", async () => {
    const { status, stdout, stderr } = await bench(
      ...["stories.gguf", stories, "-p", "64", "-n", "8", "-d", "0,32", "-r", "3", "--json"],
    );
    expect(stderr).toBe("");
    expect(status).toBe(0);
    const { engine, energy, models, ...settings } = JSON.parse(stdout) as Document;
    expect(engine).toMatch(/^llama\.cpp v0\.5\.0/);
    expect(settings).toMatchObject({
      threads: 1,
      repetitions: 3,
      batch: 2048,
      microBatch: 512,
      gpuLayers: 0,
    });
    expect(models.map(({ model }) => model)).toEqual(["stories.gguf", stories]);
    for (const { bytes, loadSeconds, peakMemory, tests } of models) {
      expect(bytes).toBe(7_480_320);
      expect(loadSeconds).toBeGreaterThan(0);
      expect(peakMemory).toBeGreaterThan(bytes);
      expect(tests.map(({ test }) => test)).toEqual(["pp64", "tg8", "pp64 @ d32", "tg8 @ d32"]);
      for (const { tokensPerSecond, joulesPerToken } of tests) {
        const { mean, deviation, samples } = tokensPerSecond;
        expect(samples.length).toBe(3);
        expect(Math.min(...samples)).toBeGreaterThan(0);
        expect(mean).toBeCloseTo(samples.reduce((a, b) => a + b) / 3);
        expect(deviation).toBeCloseTo(figureOf(samples).deviation);
        expect(joulesPerToken === null).toBe(!energy.available);
      }
    }
    expect(energy.available || energy.why).toBeTruthy();
  });

  test("prints two tables, and says what ran", async () => {
    const { status, stdout } = await bench("stories.gguf", ...SHORT);
    expect(status).toBe(0);
    const [models, tests, about] = stdout.split("\n\n").map((part) => part.trim().split("\n"));
    expect(models![0]).toMatch(/^MODEL +KIND +SIZE +WEIGHTS +LOAD +MEMORY$/);
    expect(models![1]).toMatch(/^stories\.gguf +llama \?B F16 +7\.48 MB +3\.74 M +[\d.]+ m?s +[\d.]+ MB$/);
    expect(tests![0]).toMatch(/^MODEL +TEST +TOKENS\/S +± SD( +J\/TOKEN)?$/);
    expect(tests![1]).toMatch(/^stories\.gguf +pp16 +[\d.]+ +0\.00/);
    expect(tests!.length).toBe(2);
    expect(about![0]).toMatch(/^llama\.cpp v0\.5\.0 .*on CPU: .*, 1 thread$/);
  });

  test("says where layers were that no GPU could take", async () => {
    const { status, stdout, stderr } = await bench("stories.gguf", ...SHORT, "--gpu-layers", "2", "--json");
    expect(status).toBe(0);
    const without = JSON.parse(stdout).devices.length === 1;
    expect(stderr).toBe(
      without ? "warning: the engine has no GPU here: all layers were on the processor\n" : "",
    );
  });

  test("prints what was measured before a model that cannot be loaded", async () => {
    const { status, stdout, stderr } = await bench("stories.gguf", "alien.gguf", ...SHORT);
    expect(status).toBe(3);
    expect(stdout).toMatch(/^stories\.gguf +pp16/m);
    expect(stderr).toMatch(
      /^error\[E_ENGINE_LOAD\] alien\.gguf: llama\.cpp cannot load the model: unknown model architecture: 'alien'/,
    );
  });

  test("refuses what is no model before anything is measured", async () => {
    const { status, stdout, stderr } = await bench("stories.gguf", "letter.gguf", ...SHORT);
    expect(status).toBe(3);
    expect(stdout).toBe("");
    expect(stderr).toMatch(/^error\[E_GGUF_MAGIC\] letter\.gguf: The file is no GGUF file: /);
  });

  test.skipIf(process.platform === "win32")("stops when it is told to", async () => {
    const { child, ended } = start(["bench", "stories.gguf", "-p", "0", "-n", "500", "-r", "1000"], folder);
    // At any moment it has to stop; after this long the engine computes.
    setTimeout(() => child.kill("SIGINT"), 1500);
    const { status, stdout, stderr } = await ended;
    expect(status).toBe(130);
    expect(stdout).toBe("");
    expect(stderr).toMatch(/^error\[E_ABORTED\] Stopped by SIGINT/m);
  });
});

describe("options that make no sense", () => {
  const fails = async (...args: string[]) => {
    const { status, stderr } = await runHere(["bench", "stories.gguf", ...args], folder);
    expect(status).toBe(2);
    return stderr;
  };
  test("nothing to measure", async () => {
    expect(await fails("-p", "0", "-n", "0")).toMatch(
      /^error\[E_USAGE\] There is nothing to measure: --prompt and --generate are both 0\. Leave one/,
    );
  });
  test("no numbers", async () => {
    expect(await fails("--prompt", "64,many")).toMatch(
      /--prompt cannot be "many"\. Write a whole number from 0\./,
    );
    expect(await fails("-r", "0")).toMatch(/--repetitions cannot be "0"\. Write a whole number from 1\./);
    expect(await fails("--threads", "0")).toMatch(/"0" is no number of threads/);
  });
});

test("mean and deviation of samples", () => {
  expect(figureOf([2, 4, 4, 4, 5, 5, 7, 9])).toEqual({ mean: 5, deviation: Math.sqrt(32 / 7) });
  expect(figureOf([3])).toEqual({ mean: 3, deviation: 0 });
});

describe("energy counters", () => {
  const zones: Record<string, { name: string; range: number }> = {
    "intel-rapl:0": { name: "package-0", range: 1000 },
    "intel-rapl:0:0": { name: "core", range: 1000 },
    "intel-rapl:0:1": { name: "dram", range: 500 },
    "intel-rapl:1": { name: "package-1", range: 1000 },
    "intel-rapl:2": { name: "psys", range: 1000 },
    "intel-rapl-mmio:0": { name: "package-0", range: 1000 },
  };
  const write = (root: string, values: Record<string, number>): void => {
    for (const [zone, value] of Object.entries(values))
      writeFileSync(join(root, zone, "energy_uj"), `${value}\n`);
  };
  const make = (name: string): string => {
    const root = join(folder, name);
    for (const [zone, { name, range }] of Object.entries(zones)) {
      mkdirSync(join(root, zone), { recursive: true });
      writeFileSync(join(root, zone, "name"), `${name}\n`);
      writeFileSync(join(root, zone, "max_energy_range_uj"), `${range}\n`);
    }
    mkdirSync(join(root, "intel-rapl"));
    return root;
  };
  const why = (energy: Energy): string | undefined =>
    "unavailable" in energy ? energy.unavailable : undefined;

  test("processors and memory are added up, each once, across the end of a counter", () => {
    const root = make("rapl");
    const all = (value: number) => Object.fromEntries(Object.keys(zones).map((zone) => [zone, value]));
    write(root, all(100));
    const energy = openEnergy(root);
    if (!("meter" in energy)) throw new Error(energy.unavailable);
    write(root, all(160));
    expect(energy.meter.lap()).toBeCloseTo((3 * 60) / 1e6, 12);
    write(root, { ...all(160), "intel-rapl:1": 20, "intel-rapl:0:1": 10 });
    expect(energy.meter.lap()).toBeCloseTo((1000 - 140 + (500 - 150)) / 1e6, 12);
    expect(energy.meter.lap()).toBe(0);
  });

  test("none, or none that can be read, is said in words", () => {
    expect(why(openEnergy(join(folder, "nowhere")))).toBe("this machine shows no energy counters (RAPL)");
    mkdirSync(join(folder, "bare"));
    expect(why(openEnergy(join(folder, "bare")))).toBe("this machine shows no energy counters (RAPL)");
    const root = make("broken");
    for (const zone of Object.keys(zones)) mkdirSync(join(root, zone, "energy_uj"));
    expect(why(openEnergy(root))).toMatch(/^the energy counters \(RAPL\) cannot be read: EISDIR/);
  });

  test.skipIf(process.getuid === undefined || process.getuid() === 0)("what only root may read", async () => {
    const { chmodSync } = await import("node:fs");
    const root = make("private");
    write(root, { "intel-rapl:0": 1, "intel-rapl:1": 1, "intel-rapl:0:1": 1 });
    chmodSync(join(root, "intel-rapl:0", "energy_uj"), 0o000);
    expect(why(openEnergy(root))).toMatch(/may only be read by the administrator/);
  });
});
