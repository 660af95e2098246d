// F32: the bytes are the weights.

export function f32_encode(source: usize, target: usize, rows: i32, columns: i32): void {
  memory.copy(target, source, (<usize>rows * columns) << 2);
}

export function f32_decode(source: usize, target: usize, blocks: i32): void {
  memory.copy(target, source, <usize>blocks << 2);
}

/** The first NaN or infinity, or -1. */
export function f32_invalid(source: usize, blocks: i32): i32 {
  const exponent = i32x4.splat(0x7f800000);
  let i = 0;
  for (; i <= blocks - 4; i += 4) {
    const bad = i32x4.eq(v128.and(v128.load(source + (<usize>i << 2)), exponent), exponent);
    if (v128.any_true(bad)) return i + ctz(i32x4.bitmask(bad));
  }
  for (; i < blocks; i++) if ((load<u32>(source + (<usize>i << 2)) & 0x7f800000) == 0x7f800000) return i;
  return -1;
}
