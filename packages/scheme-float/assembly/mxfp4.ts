// MXFP4: 32 weights in 1 + 16 = 17 bytes.
//
//   byte 0         E: the scale is 2^(E − 127)                       E8M0
//   byte 1 + j     code of weight j | code of weight j + 16 << 4     E2M1, 0 ≤ j < 16
import { decodeE2m1, encodeE2m1, encodeE2m1Slowly, largest, largestLane } from "./e2m1";

const WEIGHTS = 32;
const BYTES = 1 + WEIGHTS / 2;

/** Half the scale 2^(E − 127), which makes the doubled values of E2M1 right. */
// @ts-ignore: decorator
@inline
function halfScale(e: i32): f32 {
  return reinterpret<f32>(e < 2 ? 0x00200000 << e : (e - 1) << 23);
}

/**
 * E = floor(log2(x)) − 2 + 127, modulo 256, for the number x ≥ 0 that has these bits. The reference's logarithm is single
 * precision: where x lies below a power of two 2^k by less than half a unit in the last place of k, it is k. That is a
 * distance of ln 2 · 2^floor(log2 |k|) in units of 2^(k − 24), |k| taken on the near side; 45426 = ln 2 · 2^16.
 */
// @ts-ignore: decorator
@inline
function exponent(bits: i32): i32 {
  let floor = (bits >> 23) - 127;
  if (floor == -127 || floor == 128) {
    if (bits == 0 || floor == 128) return 0; // infinity: what x86 makes of it
    bits = reinterpret<i32>(reinterpret<f32>(bits) * <f32>4294967296.0);
    floor = (bits >> 23) - 127 - 32;
  }
  const distance = 0x00800000 - (bits & 0x007fffff);
  if (distance < 128) {
    const k = floor + 1;
    const size = k > 0 ? k - 1 : -k;
    if (size > 0 && distance <= (45426 << (31 - clz(size))) >> 16) floor++;
  }
  return (floor - 2 + 127) & 0xff;
}

function encodeRow(source: usize, target: usize, columns: i32): void {
  const end = source + (<usize>columns << 2);
  for (; source < end; source += WEIGHTS * 4, target += BYTES) {
    const size = largestLane(i32x4.max_s(largest(source), largest(source + 64)));
    const e = exponent(size);
    store<u8>(target, <u8>e);
    if (size == 0) {
      v128.store(target, i64x2.splat(0), 1); // the scale is subnormal then, and slow to work with
      continue;
    }
    if (e == 253 || size >= 0x7f800000) {
      encodeSlowly(source, target + 1, halfScale(e)); // 8 and 12 times half of 2^126 overflow
      continue;
    }
    const d = f32x4.splat(halfScale(e));
    const low = encodeE2m1(source, d);
    const high = encodeE2m1(source + 64, d);
    v128.store(target, v128.or(low, i8x16.shl(high, 4)), 1);
  }
}

function encodeSlowly(source: usize, target: usize, d: f32): void {
  for (let j: usize = 0; j < 16; j++) {
    const low = encodeE2m1Slowly(load<f32>(source + j * 4), d);
    store<u8>(target + j, low | (encodeE2m1Slowly(load<f32>(source + 64 + j * 4), d) << 4));
  }
}

export function mxfp4_encode(source: usize, target: usize, rows: i32, columns: i32): void {
  const bytes = (columns / WEIGHTS) * BYTES;
  for (let row = 0; row < rows; row++) encodeRow(source + <usize>row * columns * 4, target + <usize>row * bytes, columns);
}

export function mxfp4_decode(source: usize, target: usize, blocks: i32): void {
  const end = source + <usize>blocks * BYTES;
  for (; source < end; source += BYTES, target += WEIGHTS * 4) {
    const d = f32x4.splat(halfScale(load<u8>(source)));
    const codes = v128.load(source, 1);
    decodeE2m1(v128.and(codes, i8x16.splat(15)), d, target);
    decodeE2m1(i8x16.shr_u(codes, 4), d, target + 64);
  }
}

/** The first block whose scale is E8M0's NaN, or -1. */
export function mxfp4_invalid(source: usize, blocks: i32): i32 {
  for (let block = 0; block < blocks; block++) if (load<u8>(source + <usize>block * BYTES) == 0xff) return block;
  return -1;
}
