// Which trial fits best, and with what scale: sums over the elements of a sub-block, each in its order.
import { ROWS } from "./two-bit-lattice";
import { DISTINCT, SUMS_QQ, SUMS_QX, W, WINNERS, WX } from "./two-bit-scratch";

const ENTRY: u32 = 0x7fff;

// @ts-ignore: decorator
@inline
function rowOf(lattice: usize, winners: usize): usize {
  return lattice + ((<usize>load<u16>(winners) & ENTRY) << 5) + ROWS;
}

/**
 * Σ w x q and Σ w q q of all trials that differ from the one before.
 * @param x offset of the sub-block
 * @param groups eights in it: 2 or 4
 * @returns how many differ; their winners are in DISTINCT
 */
export function sumTrials(lattice: usize, x: usize, groups: usize, trials: u32): u32 {
  const mask: u64 = groups == 4 ? ~(<u64>0) : 0xffffffff;
  let previous = load<u64>(WINNERS) & mask;
  store<u64>(DISTINCT, previous);
  let count: usize = 1;
  for (let t: usize = 8; t < <usize>trials << 3; t += 8) {
    const winners = load<u64>(t, WINNERS) & mask;
    store<u64>(count << 3, winners, DISTINCT);
    count += <usize>(winners != previous);
    previous = winners;
  }
  for (let i = count; i & 3; i++) store<u64>(i << 3, previous, DISTINCT);
  for (let i: usize = 0; i < count; i += 4) sumFour(lattice, x, groups, DISTINCT + (i << 3), i << 2);
  return <u32>count;
}

/** Lanes hold trials. */
function sumFour(lattice: usize, x: usize, groups: usize, winners: usize, out: usize): void {
  let qx = f32x4.splat(0);
  let qq = f32x4.splat(0);
  for (const end = x + (groups << 5); x < end; winners += 2) {
    let a = rowOf(lattice, winners);
    let b = rowOf(lattice, winners + 8);
    let c = rowOf(lattice, winners + 16);
    let d = rowOf(lattice, winners + 24);
    for (const half = x + 32; x < half; x += 16, a += 16, b += 16, c += 16, d += 16) {
      const a4 = v128.load(a);
      const b4 = v128.load(b);
      const c4 = v128.load(c);
      const d4 = v128.load(d);
      const ab = v128.shuffle<f32>(a4, b4, 0, 4, 1, 5);
      const cd = v128.shuffle<f32>(c4, d4, 0, 4, 1, 5);
      const ab2 = v128.shuffle<f32>(a4, b4, 2, 6, 3, 7);
      const cd2 = v128.shuffle<f32>(c4, d4, 2, 6, 3, 7);
      let q = v128.shuffle<f64>(ab, cd, 0, 2);
      qx = f32x4.add(qx, f32x4.mul(v128.load32_splat(x, WX), q));
      qq = f32x4.add(qq, f32x4.mul(f32x4.mul(v128.load32_splat(x, W), q), q));
      q = v128.shuffle<f64>(ab, cd, 1, 3);
      qx = f32x4.add(qx, f32x4.mul(v128.load32_splat(x, WX + 4), q));
      qq = f32x4.add(qq, f32x4.mul(f32x4.mul(v128.load32_splat(x, W + 4), q), q));
      q = v128.shuffle<f64>(ab2, cd2, 0, 2);
      qx = f32x4.add(qx, f32x4.mul(v128.load32_splat(x, WX + 8), q));
      qq = f32x4.add(qq, f32x4.mul(f32x4.mul(v128.load32_splat(x, W + 8), q), q));
      q = v128.shuffle<f64>(ab2, cd2, 1, 3);
      qx = f32x4.add(qx, f32x4.mul(v128.load32_splat(x, WX + 12), q));
      qq = f32x4.add(qq, f32x4.mul(f32x4.mul(v128.load32_splat(x, W + 12), q), q));
    }
  }
  v128.store(out, qx, SUMS_QX);
  v128.store(out, qq, SUMS_QQ);
}

/**
 * The scale that fits the entries of a sub-block best, Σ w x q / Σ w q q, or `scale` if they have no weight.
 * @param winners u16 per group
 */
export function fitScale(lattice: usize, x: usize, groups: usize, winners: usize, scale: f32): f32 {
  let qx: f32 = 0;
  let qq: f32 = 0;
  for (const end = x + (groups << 5); x < end; winners += 2) {
    const row = rowOf(lattice, winners);
    for (let j: usize = 0; j < 32; j += 4) {
      const q = load<f32>(row + j);
      qx += load<f32>(x + j, WX) * q;
      qq += load<f32>(x + j, W) * q * q;
    }
    x += 32;
  }
  return qq > 0 ? qx / qq : scale;
}
