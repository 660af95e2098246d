// The codebook of IQ1_S and IQ1_M: 2048 of the 3⁸ = 6561 points whose eight coordinates are -1, 0 or 1, and for all the
// others the entries that may be nearest. Facts of the file format, except for the lists.
//
//   level     coordinate + 1: 0, 1 or 2
//   number    Σ level j · 3^j of a point; entries are numbered in the order of their numbers
//   digits    level j in bits 2 j and 2 j + 1
//
// Whatever follows from the bit per point is expanded at first use in each thread; lists when a point is first met.

export const ENTRIES: usize = 2048;
const POINTS: usize = 6561;
/** How far llama.cpp looks: entries at the three smallest distances. */
const SHELLS: u32 = 3;

/** Bit n: whether point n is an entry. */
const IS_ENTRY: usize = memory.data<u32>([
  0x85142555, 0x514202a0, 0xa8314508, 0xa28a2086, 0x202a081a, 0x14508514, 0x45442082, 0xa0051525, 0x88208202, 0x82080018, 0xa02a03a0, 0x0aaabb88,
  0x000baa90, 0xaa0a0022, 0x08a0828c, 0x45085140, 0x50808821, 0x08514214, 0x9808308a, 0x2a8008a0, 0x14214508, 0x42482085, 0x01450855, 0x20a0c22c,
  0x2a00268a, 0xa2aaa824, 0x08afe208, 0x00282808, 0x284202a0, 0xa82028aa, 0x9b0a2080, 0xa8bab908, 0x89aeca20, 0x3aaaaea2, 0xbaeaeb7c, 0xb80e82bb,
  0xd3caba22, 0x2202920e, 0xa8202200, 0x820aba8a, 0x2a000802, 0x3ba2e04a, 0xa22b2022, 0x81408100, 0x08288aaa, 0x85140122, 0x20821550, 0x54214509,
  0x0208a085, 0x203aa823, 0x54208284, 0xa2085142, 0x50950820, 0x082a0214, 0x8082a8b8, 0x200248a0, 0x68a28208, 0xab2802a2, 0x2085082a, 0x08308208,
  0x45004045, 0xa0851421, 0x00514200, 0x82290145, 0x2a828a00, 0x1430a108, 0x82145005, 0x21450828, 0x02208514, 0x2aaa2002, 0xb1122000, 0xa828ae8a,
  0xa8aaa1ba, 0x0a820070, 0x22280208, 0x82008402, 0xa0804800, 0xaa2ab0ea, 0xba8b20c2, 0xa7daea22, 0xa86e8b8b, 0xaa2ab092, 0x448a8b72, 0x48202a0c,
  0x8a284084, 0x20aa082a, 0x22a2ccc8, 0xa09aafa2, 0x0002a8e8, 0xa82a0002, 0x80200088, 0xa2a28ba0, 0x80a0ba28, 0xba0a3282, 0xfebab8be, 0x2ba0a2eb,
  0x0a8a08a2, 0x00a2ea28, 0x0c0232a1, 0xdeeaa4fa, 0x2ea82bef, 0xeb7ebe8d, 0xbf7ff7fa, 0xdeba7de6, 0xff27fb69, 0x12fa26bf, 0x228ae1e9, 0x0ebeaa10,
  0xb208aa84, 0xae820ba8, 0xe924baff, 0x62048083, 0xa8f2682c, 0x002ba40a, 0x08082a02, 0x0012aae2, 0x0a2a8202, 0x82c920a6, 0x28829089, 0x8c00a200,
  0x82001380, 0x6c000808, 0xbbaaaa8a, 0x8abea602, 0x8002caa0, 0xd02e976b, 0x8210e9b2, 0xdeaa2e10, 0xa5d11528, 0x820a0004, 0x20828a00, 0x20a10108,
  0xba39aa82, 0xa0843222, 0x00188009, 0x0262a28a, 0x51441481, 0xac214500, 0x42145082, 0x20aa0851, 0x0a87aa28, 0x45082a12, 0xa0051421, 0x08514208,
  0x02200145, 0x22a240a0, 0x08008800, 0x8a6a08a2, 0xaaaab86e, 0x0a200080, 0x22c8e282, 0x50440821, 0x09514214, 0x8515208a, 0x0a861450, 0x2a2aaa08,
  0x420a0080, 0x21450851, 0x145000a8, 0xe2085142, 0x0a828820, 0x082a8218, 0x8aaaa2aa, 0x0a028bb0, 0x2820aa2a, 0x0aaa8082, 0x00280828, 0x220288a9,
  0x280bbea0, 0xba8a08b8, 0xffaeb24b, 0xaef8a4ba, 0x285220aa, 0x30a0b668, 0x020a80e6, 0x6a220828, 0x0a208062, 0x2baaaa02, 0xa9a2eaaa, 0x0808a2a0,
  0x8aa02010, 0x0e820022, 0x14214500, 0x400aa085, 0x21450851, 0x4a0006a9, 0xa50802aa, 0x440d1000, 0x08288214, 0x05142145, 0x82820800, 0x0020f2ac,
  0x0aaa0000, 0x20ba0a28, 0x0002a2ea, 0x28094882, 0x110014e9, 0x0051454b, 0x02a80145, 0x51421450, 0x08248808, 0x400a2888, 0x01450008, 0x02a00514,
  0x45085140, 0x00000001,
]);

/** Eight bytes -1, 0 or 1 per entry. */
export const ROWS: usize = memory.data(2048 * 8);
/** u16 per entry. */
const DIGITS: usize = memory.data(2048 * 2);
/** u16 per entry: bit j if level j ≥ 1, bit 8 + j if level j ≥ 2. */
const MASKS: usize = memory.data(2048 * 2);

/** u32 per point: ENTRY | entry, or its first list block << 8 | number of list blocks, or 0 before it is listed. */
const NEAREST: usize = memory.data(6561 * 4);
const ENTRY: u32 = 0x80000000;

// A list block holds four candidates, each digits | entry << 16. The last block repeats its last candidate.
const BLOCK: usize = 4 * 4;
const LISTS: usize = memory.data(19676 * 16, 16); // room for all points

// The same with every entry that llama.cpp compares, four u16 in a block.
const NEAREST_OF_ALL: usize = memory.data(6561 * 4);
const BLOCK_OF_ALL: usize = 4 * 2;
const LISTS_OF_ALL: usize = memory.data(83615 * 8, 16);

let blocks: u32 = 0;
let blocksOfAll: u32 = 0;
let expanded: bool = false;

export function expandCodebook(): void {
  if (expanded) return;
  expanded = true;
  let entry: usize = 0;
  for (let point: usize = 0; point < POINTS; point++) {
    if (!((load<u32>(IS_ENTRY + (point >> 5 << 2)) >> (<u32>point & 31)) & 1)) continue;
    let digits: u32 = 0;
    for (let j: u32 = 0, rest = <u32>point; j < 8; j++, rest /= 3) {
      digits |= (rest % 3) << (2 * j);
      store<i8>(ROWS + (entry << 3) + j, <i8>(rest % 3) - 1);
    }
    store<u16>(DIGITS + (entry << 1), <u16>digits);
    store<u16>(MASKS + (entry << 1), <u16>maskOf(<u32>point));
    store<u32>(NEAREST + (point << 2), ENTRY | <u32>entry);
    entry++;
  }
}

function maskOf(point: u32): u32 {
  let mask: u32 = 0;
  for (let j: u32 = 0; j < 8; j++, point /= 3) {
    if (point % 3 >= 1) mask |= 1 << j;
    if (point % 3 == 2) mask |= 256 << j;
  }
  return mask;
}

// Scratch.
const COUNTS: usize = 0x8000; // u32 per distance 0 … 32
const DISTANCES: usize = COUNTS + 33 * 4 + 12; // u8 per entry
const KEPT: usize = DISTANCES + 2048; // u16 per candidate kept: thresholds between it and the point

/**
 * The distance of every entry from a point, as a sum of squares, to DISTANCES. Exclusive or of masks marks the
 * thresholds between two points: a coordinate counts 1 for one, 4 for both.
 * Returns the three smallest, the nearest in the low byte.
 */
function measure(mask: u32): u32 {
  memory.fill(COUNTS, 0, 33 * 4);
  for (let entry: usize = 0; entry < ENTRIES; entry++) {
    const crossed = mask ^ load<u16>(MASKS + (entry << 1));
    const distance = popcnt(crossed) + 2 * popcnt(crossed & (crossed >> 8) & 255);
    store<u8>(DISTANCES + entry, <u8>distance);
    const count = COUNTS + (<usize>distance << 2);
    store<u32>(count, load<u32>(count) + 1);
  }
  let smallest: u32 = 0;
  for (let distance: u32 = 0, shell: u32 = 0; distance < 33 && shell < SHELLS; distance++)
    if (load<u32>(COUNTS + (<usize>distance << 2))) smallest |= distance << (8 * shell++);
  return smallest;
}

/** Bit i: whether entry `entry` + i, one of sixteen, has the distance. */
// @ts-ignore: decorator
@inline
function entriesAt(distance: u32, entry: usize): u32 {
  return i8x16.bitmask(i8x16.eq(v128.load(DISTANCES + entry), i8x16.splat(<i8>distance)));
}

/**
 * Lists the candidates of a point that is no entry, nearest first, by number within a distance: the order in which
 * llama.cpp compares them, the first of equals winning.
 *
 * A candidate that crosses all the thresholds which another one crosses, and more, is left out: see `nearest`.
 */
function list(point: usize): u32 {
  const mask = maskOf(<u32>point);
  const distances = measure(mask);
  const begin = LISTS + BLOCK * blocks;
  let kept: usize = 0;
  for (let shell: u32 = 0; shell < SHELLS; shell++)
    for (let group: usize = 0; group < ENTRIES; group += 16)
      for (let bits = entriesAt((distances >> (8 * shell)) & 255, group); bits; bits &= bits - 1) {
        const entry = group + ctz(bits);
        const crossed = mask ^ load<u16>(MASKS + (entry << 1));
        if (isDominated(crossed, kept)) continue;
        store<u16>(KEPT + (kept << 1), <u16>crossed);
        store<u32>(begin + (kept << 2), candidate(entry));
        kept++;
      }
  const last = load<u32>(begin + ((kept - 1) << 2));
  for (; kept & 3; kept++) store<u32>(begin + (kept << 2), last);
  const listed = (blocks << 8) | <u32>(kept >> 2);
  blocks += <u32>(kept >> 2);
  store<u32>(NEAREST + (point << 2), listed);
  return listed;
}

function isDominated(crossed: u32, kept: usize): bool {
  for (let i: usize = 0; i < kept; i++) if ((<u32>load<u16>(KEPT + (i << 1)) & ~crossed) == 0) return true;
  return false;
}

/** The same without leaving any out. */
function listAll(point: usize): u32 {
  const distances = measure(maskOf(<u32>point));
  const begin = LISTS_OF_ALL + BLOCK_OF_ALL * blocksOfAll;
  let at = begin;
  for (let shell: u32 = 0; shell < SHELLS; shell++)
    for (let group: usize = 0; group < ENTRIES; group += 16)
      for (let bits = entriesAt((distances >> (8 * shell)) & 255, group); bits; bits &= bits - 1, at += 2)
        store<u16>(at, <u16>(group + ctz(bits)));
  const last = load<u16>(at - 2);
  for (; (at - begin) & 7; at += 2) store<u16>(at, last);
  const listed = (blocksOfAll << 8) | <u32>((at - begin) >> 3);
  blocksOfAll += <u32>((at - begin) >> 3);
  store<u32>(NEAREST_OF_ALL + (point << 2), listed);
  return listed;
}

// @ts-ignore: decorator
@inline
function candidate(entry: usize): u32 {
  return <u32>load<u16>(DIGITS + (entry << 1)) | (<u32>entry << 16);
}

// @ts-ignore: decorator
@inline
function candidatesAt(entries: usize): v128 {
  return i32x4(
    candidate(load<u16>(entries)),
    candidate(load<u16>(entries, 2)),
    candidate(load<u16>(entries, 4)),
    candidate(load<u16>(entries, 6)),
  );
}

/** Whether a point is an entry. */
// @ts-ignore: decorator
@inline
export function isEntry(point: usize): bool {
  return (load<u32>(NEAREST + (point << 2)) & ENTRY) != 0;
}

/**
 * The entry that costs least in place of a point, the entry itself if the point is one.
 *
 * Costs are summed over the coordinates in order in single precision, as llama.cpp does it; the first of equal
 * candidates wins. Only listed ones are compared if in every coordinate levels cost the more the farther they are from
 * the point, `regular`. Then no other can win: for each there is a listed one that crosses fewer thresholds, so that no
 * coordinate of it costs more. Rounding is monotone, so its sum is no larger either, and being nearer it comes first.
 *
 * @param costs of levels 0, 1 and 2 of coordinate j: three f32 at costs + 64 j
 */
export function nearest(point: usize, costs: usize, regular: bool): u32 {
  const listed = load<u32>(NEAREST + (point << 2));
  if (listed & ENTRY) return listed & ~ENTRY;
  if (regular) return cheapest(LISTS, listed ? listed : list(point), costs, false);
  const all = load<u32>(NEAREST_OF_ALL + (point << 2));
  return cheapest(LISTS_OF_ALL, all ? all : listAll(point), costs, true);
}

/** Leaders of four lanes: cost, list block, candidate. */
const LEADERS: usize = KEPT + 512;

// @ts-ignore: decorator
@inline
function cheapest(lists: usize, listed: u32, costs: usize, all: bool): u32 {
  const size = all ? BLOCK_OF_ALL : BLOCK;
  let at = lists + size * (listed >> 8);
  let least = f32x4.splat(Infinity);
  let leader = all ? candidatesAt(at) : v128.load(at);
  let leaderBlock = i32x4.splat(0);
  for (let block: u32 = 0; block < (listed & 255); block++, at += size) {
    const candidates = all ? candidatesAt(at) : v128.load(at);
    const sum = sumCosts(candidates, costs);
    const better = f32x4.lt(sum, least);
    least = v128.bitselect(sum, least, better);
    leader = v128.bitselect(candidates, leader, better);
    leaderBlock = v128.bitselect(i32x4.splat(block), leaderBlock, better);
  }
  v128.store(LEADERS, least);
  v128.store(LEADERS, leaderBlock, 16);
  v128.store(LEADERS, leader, 32);
  let first: usize = LEADERS;
  for (let lane: usize = LEADERS + 4; lane < LEADERS + 16; lane += 4) {
    const a = load<f32>(lane);
    const b = load<f32>(first);
    if (a < b || (a == b && load<u32>(lane, 16) < load<u32>(first, 16))) first = lane;
  }
  return load<u32>(first, 32) >> 16;
}

/** Σ cost of coordinate j at its level, over j in order, for four candidates. */
// @ts-ignore: decorator
@inline
function sumCosts(candidates: v128, costs: usize): v128 {
  // Digits of coordinates 0 … 3, then 4 … 7, in each byte of a lane.
  const low = i8x16.swizzle(candidates, i8x16(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12));
  const high = i8x16.swizzle(candidates, i8x16(1, 1, 1, 1, 5, 5, 5, 5, 9, 9, 9, 9, 13, 13, 13, 13));
  let sum = cost(costs, i32x4.shl(low, 2));
  sum = f32x4.add(sum, cost(costs + 64, low));
  sum = f32x4.add(sum, cost(costs + 128, i32x4.shr_u(low, 2)));
  sum = f32x4.add(sum, cost(costs + 192, i32x4.shr_u(low, 4)));
  sum = f32x4.add(sum, cost(costs + 256, i32x4.shl(high, 2)));
  sum = f32x4.add(sum, cost(costs + 320, high));
  sum = f32x4.add(sum, cost(costs + 384, i32x4.shr_u(high, 2)));
  return f32x4.add(sum, cost(costs + 448, i32x4.shr_u(high, 4)));
}

/** One of the floats at `costs` per lane, by the level in bits 2 and 3 of every byte. */
// @ts-ignore: decorator
@inline
function cost(costs: usize, levels: v128): v128 {
  const bytes = v128.or(v128.and(levels, i8x16.splat(12)), i32x4.splat(0x03020100));
  return i8x16.swizzle(v128.load(costs), bytes);
}

/** Eight weights: factor · (coordinate + shift). */
// @ts-ignore: decorator
@inline
export function decodeEntry(entry: usize, target: usize, factor: v128, shift: v128): void {
  const row = v128.load_ext<i8>(ROWS + (entry << 3));
  const low = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(row));
  const high = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(row));
  v128.store(target, f32x4.mul(factor, f32x4.add(low, shift)));
  v128.store(target, f32x4.mul(factor, f32x4.add(high, shift)), 16);
}
