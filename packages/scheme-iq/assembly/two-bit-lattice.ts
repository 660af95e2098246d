// The lattice of points with eight coordinates 1, 3 or 5 (levels 0, 1, 2), few of which are entries of a codebook.
// llama.cpp rounds eight weights to a point and, if that is no entry, tries the entries of the nearest one or two
// distances ("shells"). Here these candidates are listed once for every point, at first use in each thread.
//
// A point is known by its mask, two bits per coordinate, and by its number, the sum of level · 3^coordinate:
//
//   bit      15 … 8                    7 … 0
//   mask     coordinate j ≥ level 2    coordinate j ≥ level 1
//
// The exclusive or of two masks marks the thresholds that lie between two points. That makes distances bit counts.

/** Offsets in the memory of a lattice. */
const SIZE: usize = 0; // u32: entries of the codebook
const SHELLS: usize = 4; // u32: distances to search
export const MASKS: usize = 16; // u16 per entry
export const ROWS: usize = MASKS + 1024 * 2; // eight floats 1, 3, 5 per entry
export const NEAREST: usize = ROWS + 1024 * 32; // u32 per point: ON_GRID | entry, or first list block << 8 | 1 + candidates
export const LISTS: usize = (NEAREST + 6561 * 4 + 63) & ~63;

/** Bit of NEAREST: the point is an entry. */
export const ON_GRID: u32 = 0x80000000;

// A list block holds sixteen places in 64 bytes, a line of the cache. The first place of a list is the point itself, the
// last block repeats the last candidate as often as needed. Coordinates are taken in pairs (p, p + 4), p = 0 … 3, as a
// table look-up in two-bit-search.ts wants them:
//
//   byte c           codes of pairs 0 (low nibble) and 1 of place c
//   byte 16 + c      codes of pairs 2 and 3
//   byte 32 + 2 c    entry (u16)
export const LISTED: usize = 2 * 16;
export const LIST_BLOCK: usize = LISTED + 16 * 2;

/** Entries of the codebook. */
// @ts-ignore: decorator
@inline
export function sizeOf(lattice: usize): u32 {
  return load<u32>(lattice, SIZE);
}

/** How many distances are searched: 1 or 2. */
// @ts-ignore: decorator
@inline
export function shellsOf(lattice: usize): u32 {
  return load<u32>(lattice, SHELLS);
}

/** u16 per mask byte, the number of the point that has these coordinates at level 1. */
const NUMBERS: usize = memory.data(256 * 2);

/** Number of the point with this mask. */
// @ts-ignore: decorator
@inline
export function numberOf(mask: u32): u32 {
  return <u32>load<u16>(NUMBERS + ((<usize>mask & 255) << 1)) + <u32>load<u16>(NUMBERS + (<usize>mask >> 8 << 1));
}

/** Codes of a pair by 3 · level of p + 4, plus level of p: places in a table of eight, and 8, which is outside. */
const PAIR_CODES: usize = memory.data<u8>([2, 1, 7, 0, 8, 4, 3, 5, 6]);

// Scratch.
const DISTANCES: usize = 0x2000; // u8 per entry
const KEPT: usize = 0x2400; // u16 per candidate kept: its mask relative to the point

/**
 * Fills the memory of a lattice, unless that has been done: candidates of all points take some tens of milliseconds.
 * @param codebook u16 per entry, two bits per level
 * @param entries 256, 512 or 1024
 * @param shells how many distances are searched: 1 or 2
 */
export function buildLattice(lattice: usize, codebook: usize, entries: u32, shells: u32): void {
  if (sizeOf(lattice)) return;
  store<u32>(lattice, entries, SIZE);
  store<u32>(lattice, shells, SHELLS);
  for (let byte: u32 = 0; byte < 256; byte++) {
    let number: u32 = 0;
    for (let j: u32 = 0, power: u32 = 1; j < 8; j++, power *= 3) if (byte & (1 << j)) number += power;
    store<u16>(NUMBERS + (<usize>byte << 1), <u16>number);
  }
  for (let entry: usize = 0; entry < entries; entry++) {
    const digits = <u32>load<u16>(codebook + (entry << 1));
    let mask: u32 = 0;
    for (let j: u32 = 0; j < 8; j++) {
      const level = (digits >> (2 * j)) & 3;
      if (level >= 1) mask |= 1 << j;
      if (level >= 2) mask |= 256 << j;
      store<f32>(lattice + (entry << 5) + (<usize>j << 2), <f32>(level + level + 1), ROWS);
    }
    store<u16>(lattice + (entry << 1), <u16>mask, MASKS);
    store<u32>(lattice + (<usize>numberOf(mask) << 2), ON_GRID | <u32>entry, NEAREST);
  }
  let block: u32 = 0;
  for (let number: u32 = 0; number < 6561; number++) {
    const at = lattice + (<usize>number << 2);
    if (load<u32>(at, NEAREST) & ON_GRID) continue;
    const count = listCandidates(lattice, block, maskOf(number));
    store<u32>(at, (block << 8) | count, NEAREST);
    block += (count + 15) >> 4;
  }
}

function maskOf(number: u32): u32 {
  let mask: u32 = 0;
  for (let j: u32 = 0; j < 8; j++, number /= 3) {
    if (number % 3 >= 1) mask |= 1 << j;
    if (number % 3 === 2) mask |= 256 << j;
  }
  return mask;
}

/**
 * The distance of every entry from a point, as the sum of squares of level differences: u8 per entry in scratch.
 * Returns the two smallest, the nearest in the low byte.
 */
export function measure(lattice: usize, mask: u32): u32 {
  const entries = sizeOf(lattice);
  const point = i16x8.splat(<i16>mask);
  const low = i16x8.splat(255);
  let nearest = i8x16.splat(-1);
  for (let entry: usize = 0; entry < entries; entry += 16) {
    const a = squares(v128.xor(v128.load(lattice + (entry << 1), MASKS), point), low);
    const b = squares(v128.xor(v128.load(lattice + (entry << 1), MASKS + 16), point), low);
    const distances = i8x16.narrow_i16x8_u(a, b);
    v128.store(entry, distances, DISTANCES);
    nearest = i8x16.min_u(nearest, distances);
  }
  const first = smallest(nearest);
  const splat = i8x16.splat(<i8>first);
  nearest = i8x16.splat(-1);
  for (let entry: usize = 0; entry < entries; entry += 16) {
    const distances = v128.load(entry, DISTANCES);
    nearest = i8x16.min_u(nearest, v128.or(distances, i8x16.eq(distances, splat)));
  }
  return first | (smallest(nearest) << 8);
}

/** A coordinate counts 1 for each threshold crossed, and 2 more for both: 0, 1, 4. */
// @ts-ignore: decorator
@inline
function squares(crossed: v128, low: v128): v128 {
  const ones = i8x16.popcnt(crossed);
  const both = i8x16.popcnt(v128.and(v128.and(crossed, low), i16x8.shr_u(crossed, 8)));
  const sum = i16x8.add(v128.and(ones, low), i16x8.shr_u(ones, 8));
  return i16x8.add(sum, i16x8.shl(both, 1));
}

function smallest(bytes: v128): u32 {
  let least: u32 = 255;
  v128.store(KEPT, bytes);
  for (let i: usize = 0; i < 16; i++) least = min(least, <u32>load<u8>(i, KEPT));
  return least;
}

/** Which of sixteen entries, from this one on, have the distance, after `measure`. */
// @ts-ignore: decorator
@inline
export function entriesAt(distance: u32, entry: usize): u32 {
  return i8x16.bitmask(i8x16.eq(v128.load(entry, DISTANCES), i8x16.splat(<i8>distance)));
}

/**
 * Lists a point that is no entry and its candidates, nearest first, by index within a shell: the order in which
 * llama.cpp compares them, the first of equals winning.
 *
 * A candidate that crosses all the thresholds another one crosses, and more, is left out: in each coordinate it is at
 * least as far from any weights that round to this point, and so it loses, or is equal and comes later (see
 * two-bit-search.ts).
 */
function listCandidates(lattice: usize, block: u32, mask: u32): u32 {
  const entries = sizeOf(lattice);
  const shells = shellsOf(lattice);
  const distances = measure(lattice, mask);
  putPlace(lattice, block, 0, mask, 0);
  let kept: usize = 0;
  let last: u32 = 0;
  for (let shell: u32 = 0; shell < shells; shell++) {
    const distance = (distances >> (8 * shell)) & 255;
    for (let group: usize = 0; group < entries; group += 16)
      for (let bits = entriesAt(distance, group); bits; bits &= bits - 1) {
        const entry = group + ctz(bits);
        const crossed = <u32>load<u16>(lattice + (entry << 1), MASKS) ^ mask;
        if (isDominated(crossed, kept)) continue;
        store<u16>(kept << 1, <u16>crossed, KEPT);
        last = <u32>entry;
        kept++;
        putPlace(lattice, block, kept, crossed ^ mask, last);
      }
  }
  for (let i = kept + 1; i & 15; i++) putPlace(lattice, block, i, load<u16>(lattice + (<usize>last << 1), MASKS), last);
  return <u32>kept + 1;
}

function isDominated(crossed: u32, kept: usize): bool {
  for (let i: usize = 0; i < kept; i++) if ((<u32>load<u16>(i << 1, KEPT) & ~crossed) == 0) return true;
  return false;
}

function putPlace(lattice: usize, block: u32, i: usize, mask: u32, entry: u32): void {
  const at = lattice + LISTS + LIST_BLOCK * (<usize>block + (i >> 4)) + (i & 15);
  store<u8>(at, <u8>(pairCode(mask, 0) | (pairCode(mask, 1) << 4)));
  store<u8>(at, <u8>(pairCode(mask, 2) | (pairCode(mask, 3) << 4)), 16);
  store<u16>(at + (i & 15), <u16>entry, LISTED);
}

function pairCode(mask: u32, p: u32): u32 {
  return load<u8>(PAIR_CODES + <usize>(3 * levelOf(mask, p + 4) + levelOf(mask, p)));
}

function levelOf(mask: u32, j: u32): u32 {
  return ((mask >> j) & 1) + ((mask >> (8 + j)) & 1);
}
