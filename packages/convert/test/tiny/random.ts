// Weights that are the same on every machine: a small generator of whole numbers, and a sum of them for a bell shape.

/** Whole numbers below 2³², the same for the same seed. */
export function numbers(seed: string): () => number {
  let state = 2166136261;
  for (const c of seed) state = Math.imul(state ^ c.codePointAt(0)!, 16777619);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

/** About standard normal; no function of the platform's mathematics is involved. */
export function bell(next: () => number): () => number {
  return () => {
    let sum = 0;
    for (let i = 0; i < 12; i++) sum += next() / 2 ** 32;
    return sum - 6;
  };
}
