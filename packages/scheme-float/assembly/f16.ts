// F16: one weight is one IEEE half, little-endian. Eight weights are two vectors of four, narrowed to one of eight:
//
//   rows     f0 f1 f2 f3 | f4 f5 f6 f7      2 × 4 × f32
//   blocks   h0 h1 h2 h3   h4 h5 h6 h7      8 × u16
import { decodeHalf, decodeHalves, encodeHalf, encodeHalves } from "@fewbit/assembly";
import { firstWithExponent } from "./invalid";

export function f16_encode(source: usize, target: usize, rows: i32, columns: i32): void {
  const end = source + ((<usize>rows * columns) << 2);
  for (; source + 32 <= end; source += 32, target += 16) {
    const low = encodeHalves(v128.load(source));
    const high = encodeHalves(v128.load(source, 16));
    v128.store(target, i16x8.narrow_i32x4_u(low, high));
  }
  for (; source < end; source += 4, target += 2) store<u16>(target, encodeHalf(load<f32>(source)));
}

export function f16_decode(source: usize, target: usize, blocks: i32): void {
  const end = source + (<usize>blocks << 1);
  for (; source + 16 <= end; source += 16, target += 32) {
    const halves = v128.load(source);
    v128.store(target, decodeHalves(i32x4.extend_low_i16x8_u(halves)));
    v128.store(target, decodeHalves(i32x4.extend_high_i16x8_u(halves)), 16);
  }
  for (; source < end; source += 2, target += 4) store<f32>(target, decodeHalf(load<u16>(source)));
}

/** The first NaN or infinity, or -1. */
export function f16_invalid(source: usize, blocks: i32): i32 {
  return firstWithExponent(source, blocks, 0x7c00);
}
