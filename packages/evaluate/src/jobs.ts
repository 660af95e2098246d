import { type Extent, extent, type Job } from "@fewbit/core";
import type { Pair } from "./pair.js";

/** Weights per chunk, as in a plan. Fixed, because sums of other chunks would round otherwise. */
const CHUNK_WEIGHTS = 1 << 20;

/** Whole rows, never across a matrix of a 3-D tensor: experts have their own importance. */
interface Chunking {
  readonly columns: number;
  readonly rows: number;
  readonly matrices: number;
  /** Rows per matrix and per chunk. */
  readonly perMatrix: number;
  readonly chunk: number;
}

function chunking({ shape }: Pair): Chunking {
  const { columns, rows, matrices } = extent(shape);
  const perMatrix = matrices === 0 ? 0 : rows / matrices;
  return {
    columns,
    rows,
    matrices,
    perMatrix,
    chunk: Math.max(1, Math.floor(CHUNK_WEIGHTS / Math.max(columns, 1))),
  };
}

/** How many jobs a pair has. */
export function chunkCount(pair: Pair): number {
  const { columns, matrices, perMatrix, chunk } = chunking(pair);
  return columns === 0 ? 0 : matrices * Math.ceil(perMatrix / chunk);
}

/** One job for each chunk of each pair, in the order of pairs and rows. */
export function* measureJobs(pairs: readonly Pair[], nonfinite?: "refuse" | "zero"): Generator<Job> {
  let id = 0;
  for (const pair of pairs) {
    if (chunkCount(pair) === 0) continue;
    const { columns, rows, matrices, perMatrix, chunk } = chunking(pair);
    const part = (whole: Extent, row: number, count: number): Extent => ({
      ...whole,
      offset: whole.offset + row * (whole.bytes / rows),
      bytes: count * (whole.bytes / rows),
    });
    for (let matrix = 0; matrix < matrices; matrix++) {
      const importance = pair.importance?.slice(matrix * columns, (matrix + 1) * columns);
      for (let row = 0; row < perMatrix; row += chunk) {
        const count = Math.min(chunk, perMatrix - row);
        const firstRow = matrix * perMatrix + row;
        yield {
          id: id++,
          pass: "measure",
          tensor: pair.name,
          columns,
          firstRow,
          rows: count,
          read: part(pair.original, firstRow, count),
          against: part(pair.quantized, firstRow, count),
          write: [],
          ...(importance ? { importance } : {}),
          ...(nonfinite ? { nonfinite } : {}),
        };
      }
    }
  }
}
