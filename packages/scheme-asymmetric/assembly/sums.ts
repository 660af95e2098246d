/**
 * Sums of squares of four runs of `length` numbers, `stride` bytes apart, each in its own order: four scalar chains at
 * once. Fewer than four runs repeat the last one. The sums, f32, go to `target`.
 */
export function fourSums(source: usize, stride: usize, runs: usize, length: usize, target: usize): void {
  const last = runs - 1;
  const a = source;
  const b = source + min<usize>(1, last) * stride;
  const c = source + min<usize>(2, last) * stride;
  const d = source + min<usize>(3, last) * stride;
  let sumA: f32 = 0;
  let sumB: f32 = 0;
  let sumC: f32 = 0;
  let sumD: f32 = 0;
  for (let i: usize = 0; i < length << 2; i += 4) {
    const xA = load<f32>(a + i);
    const xB = load<f32>(b + i);
    const xC = load<f32>(c + i);
    const xD = load<f32>(d + i);
    sumA += xA * xA;
    sumB += xB * xB;
    sumC += xC * xC;
    sumD += xD * xD;
  }
  store<f32>(target, sumA);
  store<f32>(target, sumB, 4);
  store<f32>(target, sumC, 8);
  store<f32>(target, sumD, 12);
}
