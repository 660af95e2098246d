// The tables: as plain text while measuring, as Markdown for BENCHMARKS.md.
import { arch, cpus, loadavg, platform, totalmem } from "node:os";
import type { FileResult } from "./files.js";
import type { KernelResult } from "./kernels.js";

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memory: number;
  readonly platform: string;
  readonly node: string;
  readonly date: string;
  /** `pnpm bench` and its arguments. */
  readonly command: string;
  /** Of one minute, at the start and at the end. */
  readonly load: readonly [number, number];
}

export interface Report {
  readonly machine: Machine;
  readonly kernels: readonly KernelResult[];
  readonly files: {
    readonly source: string;
    /** Bytes of the model. */
    readonly size: number;
    /** Seconds of a plain copy; absent where the weights are holes, whose times say nothing. */
    readonly copy?: number;
    readonly results: readonly FileResult[];
  }[];
}

export const loadNow = (): number => loadavg()[0]!;

export function describeMachine(args: readonly string[], startLoad: number): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: cpus().length,
    memory: totalmem(),
    platform: `${platform()} ${arch()}`,
    node: process.version,
    date: new Date().toISOString().slice(0, 10),
    command: ["pnpm bench", ...args].join(" "),
    load: [startLoad, loadNow()],
  };
}

/** Cells of a row; the first row is the heading. Numbers are right-aligned by the caller's choice of columns. */
export type Table = readonly (readonly string[])[];

const speed = (weights: number, milliseconds: number): string => {
  const millions = weights / milliseconds / 1000;
  return millions < 10 ? millions.toFixed(1) : millions.toFixed(0);
};
const times = (ratio: number): string => `${ratio.toFixed(ratio < 10 ? 1 : 0)}×`;
const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;
const yes = (same: boolean): string => (same ? "same" : "DIFFERENT");

export const kernelHeading = ["scheme", "operation", "llama.cpp", "fewbit", "best", "median", "bytes"];
export const kernelRow = (r: KernelResult): string[] => [
  r.scheme,
  r.operation,
  speed(r.weights, r.theirs),
  speed(r.weights, r.ours),
  times(r.best),
  times(r.median),
  yes(r.same),
];

export const fileHeading = [
  "recipe",
  "threads",
  "llama.cpp",
  "fewbit",
  "best",
  "median",
  "peak memory",
  "bytes",
];
export const fileRow = (r: FileResult): string[] => [
  r.recipe,
  `${r.threads}`,
  `${r.theirs.seconds.toFixed(2)} s`,
  `${r.ours.seconds.toFixed(2)} s`,
  times(r.best),
  times(r.median),
  `${megabytes(r.theirs.peak)} → ${megabytes(r.ours.peak)}`,
  yes(r.same),
];

export const memoryHeading = ["recipe", "threads", "llama.cpp", "fewbit", "bytes"];
export const memoryRow = (r: FileResult): string[] => [
  r.recipe,
  `${r.threads}`,
  megabytes(r.theirs.peak),
  megabytes(r.ours.peak),
  yes(r.same),
];

/** A line of fixed columns, so that rows can be printed as they are measured. */
export const line = (cells: readonly string[], widths: readonly number[]): string =>
  cells.map((cell, i) => (i < 2 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join("  ");

const markdown = ([heading, ...rows]: Table): string =>
  [heading!, heading!.map((_, i) => (i < 2 ? "---" : "---:")), ...rows]
    .map((cells) => `| ${cells.join(" | ")} |`)
    .join("\n");

export function toMarkdown({ machine, kernels, files }: Report): string {
  const sections = [
    "# Benchmarks",
    `Written by \`${machine.command}\` on ${machine.date}: ${machine.cpu}, ${machine.cores} cores, ` +
      `${(machine.memory / 2 ** 30).toFixed(0)} GiB, ${machine.platform}, Node ${machine.node}; load average ` +
      `${machine.load[0].toFixed(1)} at the start, ${machine.load[1].toFixed(1)} at the end. llama.cpp is the portable ` +
      "library that the npm package node-llama-cpp pinned in tooling/package.json ships.",
    "Ratios are what carries over to other machines, not speeds. *best*: the fastest slice of theirs by the fastest of " +
      "ours; *median*: of the ratios of neighbouring slices. Both sides take turns on the same rows.",
  ];
  if (kernels.length > 0)
    sections.push(
      "## Kernels",
      "One thread, million weights per second.",
      markdown([kernelHeading, ...kernels.map(kernelRow)]),
    );
  for (const { source, size, copy, results } of files)
    if (copy === undefined)
      sections.push(
        `## Peak memory: ${source}, ${megabytes(size)}`,
        "llama.cpp maps its input into memory, which counts as its memory on Linux.",
        markdown([memoryHeading, ...results.map(memoryRow)]),
      );
    else
      sections.push(
        `## Whole files: ${source}, ${megabytes(size)}`,
        `fewbit's time is that of the whole program, from its start until the output is on the disk; llama.cpp's is ` +
          "that of the call alone, and it leaves its output to the operating system. A plain copy of the input, made " +
          `durable, takes ${copy.toFixed(2)} s.`,
        markdown([fileHeading, ...results.map(fileRow)]),
      );
  return `${sections.join("\n\n")}\n`;
}
