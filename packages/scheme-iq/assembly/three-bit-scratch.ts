// Scratch addresses of the IQ3 types, below 64 KiB.

// A super-block, 256 floats each.
export const X: usize = 0x5000; // magnitudes, or minus the magnitude where parity demands the other sign
export const W: usize = 0x5400; // weight of each element's error
export const ROOT: usize = 0x5800; // its square root: what the search for the nearest entry weighs with
export const WX: usize = 0x5c00; // weight · x

// Two sub-blocks are searched together: their 16 groups are counted through, and where sub-blocks count, the second is
// behind the first.

// The trials of each, 32 at most.
export const TRIALS_BYTES: usize = 128;
export const INVERSES: usize = 0x6000; // floats: inverse scales, increasing
export const HALVES: usize = 0x6100; // floats: half of each
export const SCALES: usize = 0x6200; // floats
export const PER_INVERSE: usize = 0x6300; // a float: trials per unit of inverse scale
export const MARKS: usize = 0x6308; // u32: a bit for each trial with an entry in WINNERS
export const LARGEST: usize = 0x6310; // a float: the largest x
/** A float: the largest |x|, 0 if numbers are not within bounds for the fast search, and -1 if it is empty. */
export const SPANS: usize = 0x6318;
/** u16 per trial, 64 bytes per group of four elements: the point that the group rounds to. */
export const ROUNDED: usize = 0x6340;
export const ROUNDED_BYTES: usize = 64;
/** A row per trial, u16 per group: the entry it goes to from here on, with the bits of three-bit-runs.ts; or 0. */
export const WINNERS: usize = 0x6740;
export const WINNERS_BYTES: usize = 32;
export const CHANGES: usize = 0x6b40; // u32 per group: bit t: trial t rounds to another point than trial t − 1
export const TWICE: usize = 0x6b80; // 64 floats: 2 · root · x
export const DOUBTS: usize = 0x6c80; // a float per group: differences of scores below mean nothing

// The distinct choices of one sub-block's entries, in order.
export const STATES: usize = 0x6cc0; // 16 bytes for each trial with a mark: WINNERS without gaps
export const DISTINCT: usize = 0x6ec0; // 16 bytes each, and room for three that repeat the last
export const FIRSTS: usize = 0x70f0; // u8 each: the first trial that leads there; one more ends the list
export const SUMS_QX: usize = 0x7120; // floats: Σ w x q of each
export const SUMS_QQ: usize = 0x71b0; // floats: Σ w q q

// One group.
export const DISTANCES: usize = 0x7240; // two vectors per list block, 5 at most

export const VARIANCES: usize = 0x72e0; // four floats, of super-blocks in a row

// The result of a super-block.
export const SUB_SCALES: usize = 0x7300; // 8 floats
export const ENTRIES: usize = 0x7320; // 64 u16
export const SIGNS: usize = 0x73a0; // 32 bytes
export const EMPTY: usize = 0x73c0; // 8 bytes: the sub-block counts as all zero
/** u32: llama.cpp would give up on this super-block. */
export const REFUSED: usize = 0x73c8;

// Constants that must come from memory: V8 would build a literal anew at every use in a loop.
export const HALF: usize = 0x73d0;
export const MAGIC: usize = 0x73e0;
export const SEVEN: usize = 0x73f0; // bytes
export const PAIR_MASK: usize = 0x7400;
export const ENTRY_MASK: usize = 0x7410;
export const NUMERATORS: usize = 0x7420; // 32 floats: what the trials take the largest element to

// The runs of trials, 272 at most and one more that is not counted.
export const RUNS: usize = 0x7500; // 32 bytes each: see three-bit-runs.ts
export const FEW: usize = 0x9800; // u16: offset in RUNS, of those with four candidates at most
export const MANY: usize = 0x9c00; // of those with more
export const CROSSINGS: usize = 0xa000;
export const THRESHOLDS: usize = 0xa400;
