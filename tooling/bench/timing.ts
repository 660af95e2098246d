// Two ways of doing the same, timed against each other on a machine that does other things too: short slices in turn,
// so that both see the same disturbances; the best slice, and the median of the ratios of neighbouring slices.

export interface Side {
  /** Not timed: fresh input for slice `i`. */
  prepare?(i: number): void;
  run(i: number): void;
}

export interface Comparison {
  /** Milliseconds of the best slice. */
  readonly theirs: number;
  readonly ours: number;
  /** How many times faster ours is: by best slices, and by the median of pairs. */
  readonly best: number;
  readonly median: number;
}

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
};

/** V8 compiles WebAssembly twice, the second time in the background and for what is called often: time, not calls. */
const WARM_MILLISECONDS = 250;

/** Ours warms up until it is fully compiled; theirs needs a few slices to fill the caches. */
export function compare(pairs: number, theirs: Side, ours: Side): Comparison {
  const until = performance.now() + WARM_MILLISECONDS;
  for (let i = 0; performance.now() < until; i++) slice(ours, i);
  for (let i = 0; i < 3; i++) slice(theirs, i);
  const times: [number, number][] = [];
  for (let i = 0; i < pairs; i++) {
    // Whoever goes second finds the rows in a warmer cache: take turns.
    const pair: [number, number] = [0, 0];
    for (const side of i % 2 ? [0, 1] : [1, 0]) pair[side] = slice(side ? ours : theirs, i);
    times.push(pair);
  }
  const best = (side: 0 | 1) => Math.min(...times.map((pair) => pair[side]));
  return {
    theirs: best(0),
    ours: best(1),
    best: best(0) / best(1),
    median: median(times.map(([a, b]) => a / b)),
  };
}

function slice(side: Side, i: number): number {
  side.prepare?.(i);
  const start = performance.now();
  side.run(i);
  return performance.now() - start;
}
