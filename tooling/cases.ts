// Deterministic weights for tests and benchmarks: the same numbers on every machine.

/** xorshift32, and normal numbers as sums of twelve uniforms (no transcendental functions: identical everywhere). */
export function generator(seed: number): { uniform(): number; normal(): number } {
  let state = Math.imul(seed, 0x9e3779b1) >>> 0 || 1;
  const uniform = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 4294967296;
  };
  const normal = () => {
    let sum = -6;
    for (let i = 0; i < 12; i++) sum += uniform();
    return sum;
  };
  return { uniform, normal };
}

type Random = ReturnType<typeof generator>;

const toBfloat = (x: number): number => {
  const bits = new Uint32Array(Float32Array.of(x).buffer);
  bits[0] = bits[0]! & 0xffff0000;
  return new Float32Array(bits.buffer)[0]!;
};

/** Weights of one row by name: what real tensors look like, and what breaks kernels. */
export const weightCases: Readonly<Record<string, (random: Random, i: number, columns: number) => number>> = {
  normal: (r) => r.normal() * 0.02,
  bfloat: (r) => toBfloat(r.normal() * 0.02),
  heavy: (r) => (r.normal() * 0.02) / (0.05 + Math.abs(r.normal())),
  uniform: (r) => r.uniform() * 2 - 1,
  grid: (r) => (Math.floor(r.uniform() * 9) - 4) * 0.01,
  sparse: (r) => (r.uniform() < 0.9 ? 0 : r.normal()),
  positive: (r) => 0.1 + r.uniform(),
  negative: (r) => -0.1 - r.uniform(),
  zeros: () => 0,
  negativeZeros: () => -0,
  constant: () => 0.0375,
  alternating: (_, i) => (i % 2 === 0 ? 0.05 : -0.05),
  ramp: (_, i, n) => (2 * i) / n - 1,
  ties: (_, i) => (i % 32) - 15.5,
  spike: (r, i) => (i % 256 === 77 ? -8 : r.normal() * 0.01),
  onlySpike: (_, i) => (i % 64 === 5 ? 3 : 0),
  scaled: (r, i) => r.normal() * 2 ** ((i >> 5) % 24 - 20),
  tiny: (r) => r.normal() * 1e-10,
  subnormal: (r) => r.normal() * 1e-41,
  large: (r) => r.normal() * 2e4,
}; // biome-ignore format: a table

/** One importance per column by name. */
export const importanceCases: Readonly<Record<string, (random: Random, i: number) => number>> = {
  skewed: (r) => (r.uniform() * r.uniform() * r.uniform() * 4) ** 2 + 0.001,
  ones: () => 1,
  halfZero: (r) => (r.uniform() < 0.5 ? 0 : r.uniform()),
  zeros: () => 0,
  tiny: (r) => r.uniform() * 1e-7,
  single: (_, i) => (i % 32 === 9 ? 1 : 0),
};

export function makeRows(name: string, rows: number, columns: number, seed = 1): Float32Array {
  const random = generator(seed);
  const value = weightCases[name]!;
  return Float32Array.from({ length: rows * columns }, (_, i) => value(random, i % columns, columns));
}

export function makeImportance(name: string, columns: number, seed = 2): Float32Array {
  const random = generator(seed);
  const value = importanceCases[name]!;
  return Float32Array.from({ length: columns }, (_, i) => value(random, i));
}
