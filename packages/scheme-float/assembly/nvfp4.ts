// NVFP4: 64 weights in 4 + 32 = 36 bytes: four sub-blocks of 16.
//
//   byte s                 scale of sub-block s                                      UE4M3, 0 ≤ s < 4
//   byte 4 + 8 s + j       code of its weight j | code of its weight j + 8 << 4      E2M1, 0 ≤ j < 8
import { decodeE2m1, encodeE2m1, encodeE2m1Slowly, largest, largestLane } from "./e2m1";

const WEIGHTS = 64;
const SUB_BLOCKS = 4;
const BYTES = SUB_BLOCKS + WEIGHTS / 2;

/** Beyond this, differences of weights and values round; the largest scale ends long before. */
const EXACT: f32 = 1073741824; // 2^30

/** Half the scale, which makes the doubled values of E2M1 right. UE4M3's NaN counts as zero, as in the reference. */
// @ts-ignore: decorator
@inline
function halfScale(scale: i32): f32 {
  if (scale == 0x7f) return 0;
  const bits = scale & 0x7f;
  return bits < 8 ? <f32>bits * <f32>0.0009765625 : reinterpret<f32>((bits << 20) + ((127 - 7 - 1) << 23));
}

/** UE4M3 as the reference rounds it: half up, and everything from 256 becomes 448. */
// @ts-ignore: decorator
@inline
function encodeScale(x: f32): i32 {
  if (x < <f32>0.015625) return min(<i32>(x * 512 + <f32>0.5), 7);
  const bits = reinterpret<i32>(min(x, <f32>448));
  const code = (bits >> 20) - ((127 - 7) << 3) + ((bits >> 19) & 1);
  return code < 15 << 3 ? code : 0x7e;
}

function encodeRow(source: usize, target: usize, columns: i32): void {
  const end = source + (<usize>columns << 2);
  for (; source < end; source += WEIGHTS * 4, target += BYTES)
    for (let s = 0; s < SUB_BLOCKS; s++) encodeSubBlock(source + s * 64, target + s, target + SUB_BLOCKS + s * 8);
}

// @ts-ignore: decorator
@inline
function encodeSubBlock(source: usize, scaleAt: usize, codesAt: usize): void {
  const amax = reinterpret<f32>(largestLane(largest(source)));
  const scale = encodeScale(amax / 6);
  store<u8>(scaleAt, <u8>scale);
  if (scale == 0) {
    store<u64>(codesAt, 0); // every value is equally near: the first one wins
    return;
  }
  const d = halfScale(scale);
  if (amax > EXACT) {
    for (let j: usize = 0; j < 8; j++) {
      const low = encodeE2m1Slowly(load<f32>(source + j * 4), d);
      store<u8>(codesAt + j, low | (encodeE2m1Slowly(load<f32>(source + 32 + j * 4), d) << 4));
    }
    return;
  }
  const codes = encodeE2m1(source, f32x4.splat(d));
  const high = i8x16.shl(v128.shuffle<i64>(codes, codes, 1, 0), 4);
  store<u64>(codesAt, i64x2.extract_lane(v128.or(codes, high), 0));
}

export function nvfp4_encode(source: usize, target: usize, rows: i32, columns: i32): void {
  const bytes = (columns / WEIGHTS) * BYTES;
  for (let row = 0; row < rows; row++) encodeRow(source + <usize>row * columns * 4, target + <usize>row * bytes, columns);
}

export function nvfp4_decode(source: usize, target: usize, blocks: i32): void {
  const end = source + <usize>blocks * BYTES;
  for (; source < end; source += BYTES)
    for (let s = 0; s < SUB_BLOCKS; s++, target += 64) {
      const codes = v128.load64_zero(source + SUB_BLOCKS + s * 8);
      const both = v128.shuffle<i64>(codes, i8x16.shr_u(codes, 4), 0, 2);
      decodeE2m1(v128.and(both, i8x16.splat(15)), f32x4.splat(halfScale(load<u8>(source + s))), target);
    }
}

/** The first block with UE4M3's NaN as a scale, or -1. */
export function nvfp4_invalid(source: usize, blocks: i32): i32 {
  for (let block = 0; block < blocks; block++) {
    const scales = v128.load32_splat(source + <usize>block * BYTES);
    if (v128.any_true(i8x16.eq(v128.and(scales, i8x16.splat(0x7f)), i8x16.splat(0x7f)))) return block;
  }
  return -1;
}
