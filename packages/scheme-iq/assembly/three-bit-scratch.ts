// Scratch addresses of the IQ3 types, below 64 KiB.

// A super-block, 256 floats each.
export const X: usize = 0x5000; // magnitudes, or minus the magnitude where parity demands the other sign
export const W: usize = 0x5400; // weight of each element's error
export const ROOT: usize = 0x5800; // its square root: what the search for the nearest entry weighs with
export const WX: usize = 0x5c00; // weight · x

// The trials of one sub-block, 32 at most. Slots FITTED … FITTED + 3 of WINNERS are for what is fitted in the end.
export const INVERSES: usize = 0x6000; // floats: inverse scales, increasing
export const HALVES: usize = 0x6080; // floats: half of each
export const SCALES: usize = 0x6100; // floats
export const FITTED: usize = 32;
/** u16 per trial, 64 bytes per group of four elements: the point that the group rounds to. */
export const ROUNDED: usize = 0x6210;
export const ROUNDED_BYTES: usize = 64;
/** 16 bytes per trial: u16 per group, an entry. */
export const WINNERS: usize = 0x6420;
export const SUMS_QX: usize = 0x6680; // 36 floats: Σ w x q of each trial
export const SUMS_QQ: usize = 0x6720; // 36 floats: Σ w q q

// One group of four elements.
export const TWICE: usize = 0x67c0; // four floats: 2 · root · x
export const LINES: usize = 0x67d0; // two vectors per list block: Σ root q q and Σ 2 root x q
export const DISTANCES: usize = 0x68d0; // a vector per list block, 10 at most

// The result of a super-block.
export const SUB_SCALES: usize = 0x6980; // 8 floats
export const ENTRIES: usize = 0x69a0; // 64 u16
export const SIGNS: usize = 0x6a20; // 32 bytes
export const EMPTY: usize = 0x6a40; // 8 bytes: the sub-block counts as all zero
/** u32: llama.cpp would give up on this super-block. */
export const REFUSED: usize = 0x6a48;

// Constants that must come from memory: V8 would build a literal anew at every use in a loop.
export const HALF: usize = 0x6a50;
export const MAGIC: usize = 0x6a60;
export const SEVEN: usize = 0x6a70; // bytes
export const PAIR_MASK: usize = 0x6a80;
export const NUMERATORS: usize = 0x6a90; // 32 floats: what the trials take the largest element to
