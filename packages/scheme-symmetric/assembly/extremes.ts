/** Largest magnitude of 16 weights, over four lanes. */
// @ts-ignore: decorator
@inline
function largest16(source: usize): v128 {
  return f32x4.pmax(
    f32x4.pmax(f32x4.abs(v128.load(source)), f32x4.abs(v128.load(source, 16))),
    f32x4.pmax(f32x4.abs(v128.load(source, 32)), f32x4.abs(v128.load(source, 48))),
  );
}

/** Largest magnitude of 32 weights, over four lanes. */
// @ts-ignore: decorator
@inline
export function largest32(source: usize): v128 {
  return f32x4.pmax(largest16(source), largest16(source + 64));
}

/** Largest magnitude of 64 weights, over four lanes. */
// @ts-ignore: decorator
@inline
export function largest64(source: usize): v128 {
  return f32x4.pmax(largest32(source), largest32(source + 128));
}

/** Largest magnitude of 256 weights, over four lanes. */
export function largest256(source: usize): v128 {
  return f32x4.pmax(
    f32x4.pmax(largest64(source), largest64(source + 256)),
    f32x4.pmax(largest64(source + 512), largest64(source + 768)),
  );
}

/** Highest of 32 weights, over four lanes. */
// @ts-ignore: decorator
@inline
export function highest32(p: usize): v128 {
  return f32x4.pmax(
    f32x4.pmax(f32x4.pmax(v128.load(p), v128.load(p, 16)), f32x4.pmax(v128.load(p, 32), v128.load(p, 48))),
    f32x4.pmax(f32x4.pmax(v128.load(p, 64), v128.load(p, 80)), f32x4.pmax(v128.load(p, 96), v128.load(p, 112))),
  );
}

/** Lowest of 32 weights, over four lanes. */
// @ts-ignore: decorator
@inline
export function lowest32(p: usize): v128 {
  return f32x4.pmin(
    f32x4.pmin(f32x4.pmin(v128.load(p), v128.load(p, 16)), f32x4.pmin(v128.load(p, 32), v128.load(p, 48))),
    f32x4.pmin(f32x4.pmin(v128.load(p, 64), v128.load(p, 80)), f32x4.pmin(v128.load(p, 96), v128.load(p, 112))),
  );
}

/**
 * The highest lane of each of four vectors:
 *
 *   a0 a1 a2 a3 | b0 … | c0 … | d0 …   →   max(a) max(b) max(c) max(d)
 */
// @ts-ignore: decorator
@inline
export function highestOfEach(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.pmax(v128.shuffle<f32>(a, b, 0, 4, 1, 5), v128.shuffle<f32>(a, b, 2, 6, 3, 7));
  const cd = f32x4.pmax(v128.shuffle<f32>(c, d, 0, 4, 1, 5), v128.shuffle<f32>(c, d, 2, 6, 3, 7));
  return f32x4.pmax(v128.shuffle<f64>(ab, cd, 0, 2), v128.shuffle<f64>(ab, cd, 1, 3));
}

// @ts-ignore: decorator
@inline
export function lowestOfEach(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.pmin(v128.shuffle<f32>(a, b, 0, 4, 1, 5), v128.shuffle<f32>(a, b, 2, 6, 3, 7));
  const cd = f32x4.pmin(v128.shuffle<f32>(c, d, 0, 4, 1, 5), v128.shuffle<f32>(c, d, 2, 6, 3, 7));
  return f32x4.pmin(v128.shuffle<f64>(ab, cd, 0, 2), v128.shuffle<f64>(ab, cd, 1, 3));
}

/** The first of 32 weights whose magnitude is the largest, with its sign. */
function extreme32(source: usize): f32 {
  let extreme: f32 = 0;
  for (const end = source + 128; source < end; source += 4) {
    const x = load<f32>(source);
    if (abs<f32>(extreme) < abs<f32>(x)) extreme = x;
  }
  return extreme;
}

/** `extreme32` of four blocks of 32 weights that follow each other. */
// @ts-ignore: decorator
@inline
export function extremes32(source: usize): v128 {
  const high = highestOfEach(
    highest32(source),
    highest32(source + 128),
    highest32(source + 256),
    highest32(source + 384),
  );
  const low = lowestOfEach(
    lowest32(source),
    lowest32(source + 128),
    lowest32(source + 256),
    lowest32(source + 384),
  );
  const size = f32x4.neg(low);
  // Only the order of the weights can tell where +a and -a both occur.
  if (v128.any_true(f32x4.eq(high, size)))
    return f32x4(extreme32(source), extreme32(source + 128), extreme32(source + 256), extreme32(source + 384));
  return v128.bitselect(high, low, f32x4.gt(high, size));
}
