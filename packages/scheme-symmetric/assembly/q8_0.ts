import { decodeHalf, encodeHalf } from "@fewbit/assembly";

export function q8_0_encode(source: usize, target: usize, rows: u32, columns: u32): void {
  const end = source + <usize>rows * columns * 4;
  for (; source < end; source += 128, target += 34) {
    let largest: f32 = 0;
    for (let i: usize = 0; i < 32; i++) largest = max<f32>(largest, abs<f32>(load<f32>(source + 4 * i)));
    const scale = largest / 127;
    let inverse: f32 = scale != 0 ? <f32>1 / scale : 0;
    if (inverse == f32.POSITIVE_INFINITY) inverse = 0;
    store<u16>(target, encodeHalf(scale));
    for (let i: usize = 0; i < 32; i++) {
      const x = load<f32>(source + 4 * i) * inverse;
      store<i8>(target + 2 + i, <i8>(<i32>trunc<f32>(x + copysign<f32>(reinterpret<f32>(0x3effffff), x))));
    }
  }
}

export function q8_0_decode(source: usize, target: usize, blocks: u32): void {
  for (const end = target + <usize>blocks * 128; target < end; source += 34, target += 128) {
    const scale = decodeHalf(load<u16>(source));
    for (let i: usize = 0; i < 32; i++) store<f32>(target + 4 * i, <f32>load<i8>(source + 2 + i) * scale);
  }
}
