// Deterministic, so that a failing law fails again.

/** xorshift32: uniform numbers in [0, 1). */
export function uniforms(seed: number): () => number {
  let state = Math.imul(seed, 0x9e3779b1) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 4294967296;
  };
}

/** Standard normal weights, N(0,1). */
export function normals(count: number, seed: number): Float32Array {
  const uniform = uniforms(seed);
  return Float32Array.from(
    { length: count },
    () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
}

export function randomBytes(count: number, seed: number): Uint8Array {
  const uniform = uniforms(seed);
  return Uint8Array.from({ length: count }, () => Math.floor(uniform() * 256));
}

/** Importance of very unequal columns: log-normal, the largest some ten thousand times the smallest. */
export const skewedImportance = (columns: number, seed: number): Float32Array =>
  normals(columns, seed).map((x) => Math.exp(2.5 * x));
