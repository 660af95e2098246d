/** A plain number type that needs no plugin to read. */
export interface FloatType {
  readonly bytes: number;
  /** Little-endian `bytes` to float32; NaN payloads and signed zeros survive where float32 can hold them. */
  decode(bytes: Uint8Array, out: Float32Array): void;
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
      decode: (bytes, out) => new Uint8Array(out.buffer, out.byteOffset, out.byteLength).set(bytes),
    },
  ],
  [
    "F16",
    {
      bytes: 2,
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
      decode(bytes, out) {
        const aligned = bytes.byteOffset % 8 === 0 ? bytes : bytes.slice();
        out.set(new Float64Array(aligned.buffer, aligned.byteOffset, out.length));
      },
    },
  ],
]);
