// Whole files: `fewbit quantize` against llama.cpp's `llama_model_quantize`, each in a process of its own.
import { spawn } from "node:child_process";
import { closeSync, fsyncSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type LlamaFtype, oracleQuantizeFile } from "../oracle-file.js";
import { peakMemoryHook } from "../peak-memory.js";
import { median } from "./timing.js";

export const cli = fileURLToPath(new URL("../../apps/cli/dist/main.js", import.meta.url));

export interface Run {
  readonly seconds: number;
  /** Bytes the process held at most. */
  readonly peak: number;
}

export interface FileResult {
  readonly recipe: LlamaFtype;
  readonly threads: number;
  /** The fastest of all repetitions, and the largest peak. */
  readonly theirs: Run;
  readonly ours: Run;
  /** How many times faster ours is: by best runs, and by the median of pairs. */
  readonly best: number;
  readonly median: number;
  readonly same: boolean;
}

/** In turns, `repeats` times. Ours counts from starting the program to its end; llama.cpp's only the call. */
export async function benchFile(
  model: string,
  recipe: LlamaFtype,
  threads: number,
  repeats: number,
  folder: string,
): Promise<FileResult> {
  const outputs = { theirs: join(folder, "theirs.gguf"), ours: join(folder, "ours.gguf") };
  const runs: { theirs: Run; ours: Run }[] = [];
  let same = true;
  try {
    for (let i = 0; i < repeats; i++) {
      const order = i % 2 ? (["ours", "theirs"] as const) : (["theirs", "ours"] as const);
      const pair: Partial<Record<"theirs" | "ours", Run>> = {};
      for (const side of order)
        pair[side] = await (side === "ours" ? runOurs : runTheirs)(model, outputs[side], recipe, threads);
      if (i === 0) same = sameFiles(outputs.theirs, outputs.ours);
      runs.push(pair as { theirs: Run; ours: Run });
      for (const output of Object.values(outputs)) rmSync(output);
    }
  } finally {
    for (const output of Object.values(outputs)) rmSync(output, { force: true });
  }
  const total = (side: "theirs" | "ours"): Run => ({
    seconds: Math.min(...runs.map((run) => run[side].seconds)),
    peak: Math.max(...runs.map((run) => run[side].peak)),
  });
  const theirs = total("theirs");
  const ours = total("ours");
  return {
    recipe,
    threads,
    theirs,
    ours,
    best: theirs.seconds / ours.seconds,
    median: median(runs.map((run) => run.theirs.seconds / run.ours.seconds)),
    same,
  };
}

async function runTheirs(model: string, output: string, recipe: LlamaFtype, threads: number): Promise<Run> {
  const result = await oracleQuantizeFile(model, output, recipe, { threads });
  if (!result.ok) throw new Error(`llama.cpp could not make ${recipe}:\n${result.log.slice(-500)}`);
  return { seconds: result.milliseconds / 1000, peak: result.peakMemory };
}

function runOurs(model: string, output: string, recipe: LlamaFtype, threads: number): Promise<Run> {
  const args = ["--import", peakMemoryHook, cli];
  args.push("quantize", model, output, "--type", recipe, "--threads", `${threads}`);
  const start = performance.now();
  const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe", "pipe"] });
  let messages = "";
  let peak = "";
  child.stderr!.setEncoding("utf8").on("data", (text: string) => {
    messages += text;
  });
  child.stdio[3]!.on("data", (bytes: Buffer) => {
    peak += bytes;
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      if (code !== 0) reject(new Error(`fewbit ended with ${code} on ${recipe}:\n${messages}`));
      else resolve({ seconds: (performance.now() - start) / 1000, peak: Number(peak) });
    });
  });
}

/** Reading and writing the same bytes with nothing in between, made durable: the floor under every figure here. */
export function copyFile(model: string, output: string): number {
  const start = performance.now();
  const piece = Buffer.allocUnsafe(1 << 22);
  const from = openSync(model, "r");
  const to = openSync(output, "w");
  for (let n = readSync(from, piece); n > 0; n = readSync(from, piece)) writeSync(to, piece, 0, n);
  fsyncSync(to);
  closeSync(from);
  closeSync(to);
  const seconds = (performance.now() - start) / 1000;
  rmSync(output);
  return seconds;
}

function sameFiles(a: string, b: string): boolean {
  const files = [openSync(a, "r"), openSync(b, "r")] as const;
  const pieces = [Buffer.alloc(1 << 22), Buffer.alloc(1 << 22)] as const;
  try {
    for (;;) {
      const lengths = [readSync(files[0], pieces[0]), readSync(files[1], pieces[1])] as const;
      if (lengths[0] !== lengths[1]) return false;
      if (lengths[0] === 0) return true;
      if (pieces[0].compare(pieces[1], 0, lengths[0], 0, lengths[0]) !== 0) return false;
    }
  } finally {
    for (const file of files) closeSync(file);
  }
}
