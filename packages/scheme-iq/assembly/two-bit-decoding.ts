// Decoding of the IQ2 types: entries as magnitudes, signs as masks.

/** Sixteen vectors: sign masks of four elements for four bits of signs. */
const SIGN_MASKS: usize = memory.data(16 * 16, 16);
/** What levels 0, 1, 2 stand for. */
const MAGNITUDES: usize = memory.data<u8>([8, 25, 43, 0]);

/** Expands a codebook to eight bytes per entry, once. */
export function expandMagnitudes(rows: usize, codebook: usize, entries: usize): void {
  if (load<u8>(rows)) return;
  for (let nibble: usize = 0; nibble < 16; nibble++)
    for (let j: usize = 0; j < 4; j++)
      store<u32>(SIGN_MASKS + (nibble << 4) + (j << 2), <u32>((nibble >> j) & 1) << 31);
  for (let entry: usize = 0; entry < entries; entry++) {
    const digits = <usize>load<u16>(codebook + (entry << 1));
    for (let j: usize = 0; j < 8; j++)
      store<u8>(rows + (entry << 3) + j, load<u8>(MAGNITUDES + ((digits >> (2 * j)) & 3)));
  }
}

/** scale · magnitude · sign of eight weights; bit j of `signs` is set where weight j is negative. */
// @ts-ignore: decorator
@inline
export function putEight(target: usize, row: usize, signs: usize, scale: v128): void {
  const magnitudes = v128.load8x8_u(row);
  const low = f32x4.convert_i32x4_u(i32x4.extend_low_i16x8_u(magnitudes));
  const high = f32x4.convert_i32x4_u(i32x4.extend_high_i16x8_u(magnitudes));
  v128.store(target, v128.xor(f32x4.mul(scale, low), v128.load(SIGN_MASKS + ((signs & 15) << 4))));
  v128.store(target, v128.xor(f32x4.mul(scale, high), v128.load(SIGN_MASKS + (signs >> 4 << 4))), 16);
}

/** Seven signs and the eighth that makes the number of minus signs even. */
// @ts-ignore: decorator
@inline
export function eightSigns(seven: usize): usize {
  return seven | ((popcnt(seven) & 1) << 7);
}

/** d (l + ½) / 4. */
// @ts-ignore: decorator
@inline
export function scaleOf(d: f32, level: u32): v128 {
  return f32x4.splat(d * (<f32>0.5 + <f32>level) * <f32>0.25);
}
