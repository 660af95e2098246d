/** The index of the first 16-bit number whose exponent field `exponent` is all ones, or -1. */
export function firstWithExponent(source: usize, count: i32, exponent: u16): i32 {
  const mask = i16x8.splat(exponent);
  let i = 0;
  for (; i <= count - 8; i += 8) {
    const bad = i16x8.eq(v128.and(v128.load(source + (<usize>i << 1)), mask), mask);
    if (v128.any_true(bad)) return i + ctz(i16x8.bitmask(bad));
  }
  for (; i < count; i++) if ((load<u16>(source + (<usize>i << 1)) & exponent) == exponent) return i;
  return -1;
}
