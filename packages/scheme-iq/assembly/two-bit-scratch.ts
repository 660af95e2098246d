// Scratch addresses of the IQ2 types, below 64 KiB. 0x2000 … 0x2fff is used by two-bit-lattice.ts.

// A super-block, 256 floats each.
export const X: usize = 0x3000; // magnitudes, or minus the magnitude where parity demands the other sign
export const W: usize = 0x3400; // weight of each element's error
export const ROOT: usize = 0x3800; // its square root: what the search for the nearest entry weighs with
export const WX: usize = 0x3c00; // weight · x

// The trials of one sub-block. Slot FITTED holds the scale fitted in the end.
export const INVERSES: usize = 0x4000; // 32 floats: inverse scales, increasing
export const SCALES: usize = 0x4080; // 32 floats
export const FITTED: u32 = 24;
/** 8 bytes per trial: four u16, an entry per group, with ON_GRID_BIT where rounding alone led to it. */
export const WINNERS: usize = 0x4100;
/** The distinct ones of them, in order. */
export const DISTINCT: usize = 0x4200;
export const SUMS_QX: usize = 0x4300; // 24 floats: Σ w x q of each distinct one
export const SUMS_QQ: usize = 0x4380; // 24 floats: Σ w q q

// Per group of eight elements, four at most.
export const FIRST: usize = 0x4400; // u32: number of the point that the group rounds to before all trials
export const BREAKS: usize = 0x4410; // u32: bit t: trial t rounds to another point than trial t − 1
export const UNIQUES: usize = 0x4420; // u32: bit t: the winner of trial t is one by a clear margin
export const STEPS: usize = 0x4440; // 64 bytes per group: u16 per trial: what the point's number grows by
export const FIXED: usize = 0x4540; // 6 vectors per group: see two-bit-search.ts
export const FIXED_BYTES: usize = 96;

export const TABLES: usize = 0x4700; // 10 vectors: costs of pairs of coordinates at two scales
export const SCORES: usize = 0x4800; // 4 vectors per list block, 9 blocks at most

// The result of a super-block.
export const SUB_SCALES: usize = 0x4b00; // 16 floats
export const ENTRIES: usize = 0x4b40; // 32 u16
export const SIGNS: usize = 0x4b80; // 32 bytes

export const ON_GRID_BIT: u32 = 0x8000;
