/** A plain number type that needs no plugin to read. */
export interface FloatType {
  readonly bytes: number;
  /** Little-endian `bytes` to float32; NaN payloads and signed zeros survive where float32 can hold them. */
  decode(bytes: Uint8Array, out: Float32Array): void;
  /** Index of the first NaN or infinity, or -1. Reads bits: no value passes through a number. */
  nonfinite(bytes: Uint8Array): number;
}

/**
 * Adding one to a full exponent carries into the sign's place: no branch per weight, and two 16-bit weights at once.
 * `lanes` is the number of weights per 32-bit word.
 */
const scanExponents =
  (exponent: number, one: number, carry: number, lanes: 1 | 2) =>
  (bytes: Uint8Array): number => {
    const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
    // Signed words and four at a time: anything wider than int32, or one chain of ORs, takes twice as long in V8.
    const words = new Int32Array(aligned.buffer, aligned.byteOffset, bytes.length >>> 2);
    const whole = words.length & ~3;
    let carried = 0;
    let carried2 = 0;
    for (let i = 0; i < whole; i += 4) {
      carried |= ((words[i]! & exponent) + one) | ((words[i + 1]! & exponent) + one);
      carried2 |= ((words[i + 2]! & exponent) + one) | ((words[i + 3]! & exponent) + one);
    }
    carried |= carried2;
    for (let i = whole; i < words.length; i++) carried |= (words[i]! & exponent) + one;
    const size = 4 / lanes;
    const tail = words.length * 4; // an odd 16-bit weight at the end
    if ((carried & carry) === 0 && tail === bytes.length) return -1;
    const top = size - 1;
    const high = (exponent >>> 24) & 0x7f;
    const low = (exponent >>> 16) & 0xff;
    for (let p = (carried & carry) === 0 ? tail : 0; p < bytes.length; p += size)
      if ((bytes[p + top]! & high) === high && (bytes[p + top - 1]! & low) === low) return p / size;
    return -1;
  };

const f32Nonfinite = scanExponents(0x7f800000, 0x00800000, 0x80000000, 1);
const f16Nonfinite = scanExponents(0x7c007c00, 0x04000400, 0x80008000, 2);
const bf16Nonfinite = scanExponents(0x7f807f80, 0x00800080, 0x80008000, 2);

function f64Nonfinite(bytes: Uint8Array): number {
  for (let p = 0; p < bytes.length; p += 8)
    if ((bytes[p + 7]! & 0x7f) === 0x7f && (bytes[p + 6]! & 0xf0) === 0xf0) return p / 8;
  return -1;
}

/** float16 bit pattern → float32 bit pattern; made on first use (256 KiB). */
let halfTable: Uint32Array | undefined;

function makeHalfTable(): Uint32Array {
  const table = new Uint32Array(65536);
  for (let half = 0; half < 65536; half++) {
    const sign = (half & 0x8000) << 16;
    const exponent = (half >>> 10) & 31;
    const mantissa = half & 1023;
    if (exponent === 31) table[half] = sign | 0x7f800000 | (mantissa << 13);
    else if (exponent > 0) table[half] = sign | ((exponent + 112) << 23) | (mantissa << 13);
    else {
      // Subnormal: mantissa × 2⁻²⁴, exact in float32.
      const bits = new Uint32Array(Float32Array.of(mantissa * 2 ** -24).buffer)[0]!;
      table[half] = sign | bits;
    }
  }
  return table;
}

/** `bytes` as 16-bit words, copied only where the view is not aligned. */
function words(bytes: Uint8Array): Uint16Array {
  const aligned = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice();
  return new Uint16Array(aligned.buffer, aligned.byteOffset, bytes.length >>> 1);
}

const bitsOf = (out: Float32Array): Uint32Array => new Uint32Array(out.buffer, out.byteOffset, out.length);

/** By the field's spelling. A `Map`, so that a type named `constructor` is simply unknown. */
export const floatTypes: ReadonlyMap<string, FloatType> = new Map<string, FloatType>([
  [
    "F32",
    {
      bytes: 4,
      nonfinite: f32Nonfinite,
      decode: (bytes, out) => new Uint8Array(out.buffer, out.byteOffset, out.byteLength).set(bytes),
    },
  ],
  [
    "F16",
    {
      bytes: 2,
      nonfinite: f16Nonfinite,
      decode(bytes, out) {
        halfTable ??= makeHalfTable();
        const table = halfTable;
        const from = words(bytes);
        const to = bitsOf(out);
        for (let i = 0; i < to.length; i++) to[i] = table[from[i]!]!;
      },
    },
  ],
  [
    "BF16",
    {
      bytes: 2,
      nonfinite: bf16Nonfinite,
      decode(bytes, out) {
        const from = words(bytes);
        const to = bitsOf(out);
        for (let i = 0; i < to.length; i++) to[i] = from[i]! << 16;
      },
    },
  ],
  [
    "F64",
    {
      bytes: 8,
      nonfinite: f64Nonfinite,
      decode(bytes, out) {
        const aligned = bytes.byteOffset % 8 === 0 ? bytes : bytes.slice();
        out.set(new Float64Array(aligned.buffer, aligned.byteOffset, out.length));
      },
    },
  ],
]);
