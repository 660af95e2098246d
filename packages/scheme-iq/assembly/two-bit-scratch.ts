// Scratch addresses of the IQ2 types, below 64 KiB. 0x2000 … 0x2fff is used by two-bit-lattice.ts.

/** Of an entry that rounding alone led to, above the entry's bits. */
export const ON_GRID_BIT: u32 = 0x8000;
/** Of an entry that wins by a clear margin. */
export const UNIQUE_BIT: u32 = 0x4000;

// A super-block, 256 floats each.
export const X: usize = 0x3000; // magnitudes, or minus the magnitude where parity demands the other sign
export const W: usize = 0x3400; // weight of each element's error
export const ROOT: usize = 0x3800; // its square root: what the search for the nearest entry weighs with
export const WX: usize = 0x3c00; // weight · x

// The trials of sixteen sub-blocks at most.
export const TRIALS_BYTES: usize = 24 * 4;
export const INVERSES: usize = 0x4000; // 24 floats per sub-block: inverse scales, increasing
export const SCALES: usize = 0x4600; // 24 floats per sub-block
/** A row of u16 per group: the entry that wins each trial, with the bits above; room for what is written ahead. */
export const WINNERS: usize = 0x4c00;
export const WINNERS_BYTES: usize = 48 * 2;

// Per group of eight elements, 32 of them.
export const FIXED: usize = 0x5800; // 6 vectors: see two-bit-search.ts
export const FIXED_BYTES: usize = 96;
export const BREAKS: usize = 0x6400; // u32: bit t: trial t rounds to another point than trial t − 1
export const EXHAUSTED: usize = 0x6480; // u8: whether its trials were searched one by one
export const MARGINS: usize = 0x6f00; // float: see two-bit-search.ts

export const STEPS: usize = 0x6500; // 2 × 32 u16, per trial: what the number of a group's point grows by
export const SCORES: usize = 0x6700; // 4 vectors per list block, 9 blocks at most

// The distinct combinations of winners of one sub-block.
export const DISTINCT: usize = 0x6a00; // 24 × a u16 per group
export const KEYS: usize = 0x6b00; // the same of each trial, one before the first
export const FIRSTS: usize = 0x6e80; // u8 each, of two groups: the first trial that leads there; one more ends the list
export const SUMS_QX: usize = 0x6c00; // 24 floats: Σ w x q of each distinct one
export const SUMS_QQ: usize = 0x6c80; // 24 floats: Σ w q q

// The result of a super-block.
export const SUB_SCALES: usize = 0x6d00; // 16 floats
export const ENTRIES: usize = 0x6d40; // 32 u16
export const SIGNS: usize = 0x6d80; // 32 bytes

// Up to 32 · 19 runs of trials: see two-bit-runs.ts.
export const RUNS: usize = 0x7000; // 16 bytes each
export const QUEUE: usize = 0x9800; // u32 each: those that must be searched
export const MIXED: usize = 0xa400; // 24 u16 each: winners of runs that have more than two

export const TABLES: usize = 0xd000; // per group 8 vectors: costs of pairs of coordinates at two scales; 33 groups
export const TABLES_BYTES: usize = 128;
export const SUMS: usize = 0xe100; // 4 vectors per list block: see two-bit-search.ts
export const TAUS: usize = 0xe400; // i16 per trial: see two-bit-search.ts
