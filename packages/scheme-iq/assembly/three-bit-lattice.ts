// The lattice of points with four coordinates 1, 3 … 15 (levels 0 … 7), few of which are entries of a codebook.
// llama.cpp rounds four weights to a point and, if that is no entry, tries the entries at the nearest two or three
// distances ("shells"). Here these candidates are listed once for every point, at first use in each thread.
//
// A point is known by its number: level j in bits 3j … 3j + 2. Two lists are kept where they differ: of all candidates,
// and of those that can win while each weight lies within the bounds of its level. With the levels as thermometers,
//
//   level            0          1          …   7
//   thermometer      0000000    0000001    …   1111111     (four of them: 28 bits)
//
// the exclusive or of two points marks the thresholds between them. A candidate that crosses all thresholds that an
// earlier one crosses, and more, is nowhere nearer than that one: see three-bit-search.ts.

/** Offsets in the memory of a lattice. */
const READY: usize = 0; // u32
export const ROWS: usize = 16; // four floats 1, 3 … 15 per entry
export const POINTS: usize = ROWS + 512 * 16; // u32 per point
export const LISTS: usize = POINTS + 4096 * 4;

// A word of POINTS: ON_GRID | entry, or
//
//   bit 0 … 13     first list block
//   bit 14 … 19    candidates that can win; fewer than all if there is a second list, behind the first
//   bit 20 … 25    all candidates
export const ON_GRID: u32 = 0x80000000;

// A list block holds eight candidates; the last of a list repeats its last candidate as often as needed.
//
//   byte 16 j + 2 c    coordinate j of candidate c: the high half of a float, the low half of which is zero
//   byte 64 + 2 c      entry (u16)
const ENTRIES: usize = 4 * 8 * 2;
export const LIST_BLOCK: usize = ENTRIES + 8 * 2;

// @ts-ignore: decorator
@inline
export function winnerCount(point: u32): u32 {
  return (point >>> 14) & 63;
}

// @ts-ignore: decorator
@inline
export function candidateCount(point: u32): u32 {
  return (point >>> 20) & 63;
}

/** The list of candidates that can win. */
// @ts-ignore: decorator
@inline
export function winners(lattice: usize, point: u32): usize {
  return lattice + LISTS + LIST_BLOCK * <usize>(point & 0x3fff);
}

/** The list of all candidates. */
// @ts-ignore: decorator
@inline
export function candidates(lattice: usize, point: u32): usize {
  const first = winners(lattice, point);
  return winnerCount(point) == candidateCount(point) ? first : first + listBytes(winnerCount(point));
}

// @ts-ignore: decorator
@inline
export function listBytes(count: u32): usize {
  return LIST_BLOCK * <usize>((count + 7) >>> 3);
}

/** Entry number of candidate `c` of a list. */
// @ts-ignore: decorator
@inline
export function entryAt(list: usize, c: u32): u32 {
  return load<u16>(list + LIST_BLOCK * <usize>(c >>> 3) + (<usize>(c & 7) << 1), ENTRIES);
}

/** The same of one of the first four. */
// @ts-ignore: decorator
@inline
export function entryOfFour(list: usize, c: u32): u32 {
  return load<u16>(list + (<usize>c << 1), ENTRIES);
}

// Scratch.
const LEVELS: usize = 0x5000; // four i16 per entry
const THERMOMETERS: usize = LEVELS + 512 * 8; // u32 per entry
const DISTANCES: usize = THERMOMETERS + 512 * 4; // u8 per entry
const SEEN: usize = DISTANCES + 512; // u8 per distance
const FOUND: usize = SEEN + 256; // u16 per candidate
const KEPT: usize = FOUND + 128;

/**
 * Fills the memory of a lattice, unless that has been done: some ten milliseconds.
 * @param codebook u16 per entry
 * @param entries 256 or 512
 * @param shells how many distances are searched: 2 or 3
 */
export function buildThreeBitLattice(lattice: usize, codebook: usize, entries: u32, shells: u32): void {
  if (load<u32>(lattice, READY)) return;
  store<u32>(lattice, 1, READY);
  for (let entry: usize = 0; entry < entries; entry++) {
    const point = <u32>load<u16>(codebook + (entry << 1));
    store<u32>(lattice + (<usize>point << 2), ON_GRID | <u32>entry, POINTS);
    store<u32>(entry << 2, thermometer(point), THERMOMETERS);
    for (let j: usize = 0; j < 4; j++) {
      const level = (point >>> (3 * <u32>j)) & 7;
      store<i16>((entry << 3) + (j << 1), <i16>level, LEVELS);
      store<f32>(lattice + (entry << 4) + (j << 2), <f32>(level + level + 1), ROWS);
    }
  }
  let block: u32 = 0;
  for (let point: u32 = 0; point < 4096; point++) {
    const at = lattice + (<usize>point << 2);
    if (load<u32>(at, POINTS)) continue;
    const all = findCandidates(point, entries, shells);
    const few = keepWinners(point, all);
    store<u32>(at, block | (few << 14) | (all << 20), POINTS);
    block = writeList(lattice, block, KEPT, few);
    if (few != all) block = writeList(lattice, block, FOUND, all);
  }
}

function thermometer(point: u32): u32 {
  let bits: u32 = 0;
  for (let j: u32 = 0; j < 4; j++) bits |= ((1 << ((point >>> (3 * j)) & 7)) - 1) << (7 * j);
  return bits;
}

/** Lists the entries at the nearest distances, nearest first, of equally near ones the lower number first. */
function findCandidates(point: u32, entries: u32, shells: u32): u32 {
  memory.fill(SEEN, 0, 256);
  const half = i32x4(point & 7 | ((point & 56) << 13), ((point >>> 6) & 7) | ((point & 0xe00) << 7), 0, 0);
  const levels = v128.shuffle<i64>(half, half, 0, 0);
  for (let entry: usize = 0; entry < entries; entry += 2) {
    const difference = i16x8.sub(v128.load(entry << 3, LEVELS), levels);
    const squares = i32x4.dot_i16x8_s(difference, difference);
    const even = i32x4.extract_lane(squares, 0) + i32x4.extract_lane(squares, 1);
    const odd = i32x4.extract_lane(squares, 2) + i32x4.extract_lane(squares, 3);
    store<u8>(entry, <u8>even, DISTANCES);
    store<u8>(entry, <u8>odd, DISTANCES + 1);
    store<u8>(even, 1, SEEN);
    store<u8>(odd, 1, SEEN);
  }
  let count: u32 = 0;
  for (let distance: usize = 0; shells > 0; distance++) {
    if (!load<u8>(distance, SEEN)) continue;
    shells--;
    const wanted = i8x16.splat(<i8>distance);
    for (let first: usize = 0; first < entries; first += 16)
      for (let bits = i8x16.bitmask(i8x16.eq(v128.load(first, DISTANCES), wanted)); bits; bits &= bits - 1, count++)
        store<u16>(<usize>count << 1, <u16>(first + ctz(bits)), FOUND);
  }
  return count;
}

/** Lists those for which no earlier one crosses only thresholds that they cross too. */
function keepWinners(point: u32, all: u32): u32 {
  const from = thermometer(point);
  let count: u32 = 0;
  for (let c: u32 = 0; c < all; c++) {
    const entry = load<u16>(<usize>c << 1, FOUND);
    const crossed = from ^ load<u32>(<usize>entry << 2, THERMOMETERS);
    let k: u32 = 0;
    while (k < count && (from ^ load<u32>(<usize>load<u16>(<usize>k << 1, KEPT) << 2, THERMOMETERS)) & ~crossed) k++;
    if (k < count) continue;
    store<u16>(<usize>count << 1, entry, KEPT);
    count++;
  }
  return count;
}

/** Returns the next free list block. */
function writeList(lattice: usize, block: u32, list: usize, count: u32): u32 {
  for (let c: u32 = 0; c < count || c & 7; c++) {
    const entry = load<u16>(list + (<usize>min<u32>(c, count - 1) << 1));
    const at = winners(lattice, block + (c >>> 3));
    store<u16>(at + (<usize>(c & 7) << 1), entry, ENTRIES);
    for (let j: usize = 0; j < 4; j++)
      store<u16>(at + (j << 4) + (<usize>(c & 7) << 1), load<u16>(lattice + (<usize>entry << 4) + (j << 2), ROWS + 2));
  }
  return block + ((count + 7) >>> 3);
}
