// Scratch addresses of the IQ3 types, below 64 KiB.

// A super-block, 256 floats each.
export const X: usize = 0x5000; // magnitudes, or minus the magnitude where parity demands the other sign
export const W: usize = 0x5400; // weight of each element's error
export const ROOT: usize = 0x5800; // its square root: what the search for the nearest entry weighs with
export const WX: usize = 0x5c00; // weight · x

// The trials of one sub-block, 32 at most.
export const INVERSES: usize = 0x6000; // floats: inverse scales, increasing
export const HALVES: usize = 0x6080; // floats: half of each
export const SCALES: usize = 0x6100; // floats
export const PER_INVERSE: usize = 0x6180; // float: trials per unit of inverse scale
/** u16 per trial, 64 bytes per group of four elements: the point that the group rounds to. */
export const ROUNDED: usize = 0x61a0;
export const ROUNDED_BYTES: usize = 64;
/** u16 per trial, for each group: the entry it goes to, and room behind for some that overrun. */
export const CHOSEN: usize = 0x7000;
export const CHOSEN_BYTES: usize = 128;
/** 16 bytes per trial: the same, u16 per group. */
export const WINNERS: usize = 0x6640;

// The distinct ones of these, in order.
export const DISTINCT: usize = 0x6860; // 16 bytes each, and room for three that repeat the last
export const FIRSTS: usize = 0x6a90; // u8 each: the first trial that leads there; one more ends the list
export const SUMS_QX: usize = 0x6ac0; // floats: Σ w x q of each
export const SUMS_QQ: usize = 0x6b50; // floats: Σ w q q

// Its eight groups of four elements.
export const TWICE: usize = 0x6be0; // 32 floats: 2 · root · x
export const DOUBTS: usize = 0x6c60; // a float per group: differences of scores below mean nothing

// One group.
export const DISTANCES: usize = 0x6d00; // two vectors per list block, 5 at most

export const VARIANCES: usize = 0x6e20; // four floats, of super-blocks in a row

// The result of a super-block.
export const SUB_SCALES: usize = 0x6e40; // 8 floats
export const ENTRIES: usize = 0x6e60; // 64 u16
export const SIGNS: usize = 0x6ee0; // 32 bytes
export const EMPTY: usize = 0x6f00; // 8 bytes: the sub-block counts as all zero
/** u32: llama.cpp would give up on this super-block. */
export const REFUSED: usize = 0x6f08;

// Constants that must come from memory: V8 would build a literal anew at every use in a loop.
export const HALF: usize = 0x6f10;
export const MAGIC: usize = 0x6f20;
export const SEVEN: usize = 0x6f30; // bytes
export const PAIR_MASK: usize = 0x6f40;
export const ENTRY_MASK: usize = 0x6f50;
export const NUMERATORS: usize = 0x6f60; // 32 floats: what the trials take the largest element to

// The runs of trials of a sub-block, 136 at most and one more that is not counted.
export const RUNS: usize = 0x7400; // 32 bytes each: see three-bit-runs.ts
export const FEW: usize = 0x8540; // u16: offset in RUNS, of those with four candidates at most
export const MANY: usize = 0x88a0; // u16: offset in RUNS, of those with more
export const CROSSINGS: usize = 0x8660; // u16: offset in RUNS
export const THRESHOLDS: usize = 0x8780; // u16: offset in RUNS
