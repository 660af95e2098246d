// Sums in single precision must keep llama.cpp's order, so lanes hold independent blocks, never parts of one sum.

/**
 * Turns 4 × 4 numbers around:
 *
 *   source            a0 a1 a2 a3        target        a0 b0 c0 d0
 *   + stride          b0 b1 b2 b3        + 16          a1 b1 c1 d1
 *   + 2 stride        c0 c1 c2 c3   →    + 32          a2 b2 c2 d2
 *   + 3 stride        d0 d1 d2 d3        + 48          a3 b3 c3 d3
 */
// @ts-ignore: decorator
@inline
export function transpose(source: usize, stride: usize, target: usize): void {
  const a = v128.load(source);
  const b = v128.load(source + stride);
  const c = v128.load(source + 2 * stride);
  const d = v128.load(source + 3 * stride);
  const ab = v128.shuffle<f32>(a, b, 0, 4, 1, 5);
  const cd = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
  const ab2 = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
  const cd2 = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
  v128.store(target, v128.shuffle<f64>(ab, cd, 0, 2));
  v128.store(target, v128.shuffle<f64>(ab, cd, 1, 3), 16);
  v128.store(target, v128.shuffle<f64>(ab2, cd2, 0, 2), 32);
  v128.store(target, v128.shuffle<f64>(ab2, cd2, 1, 3), 48);
}
