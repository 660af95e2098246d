import type { Codec } from "@fewbit/core";

const scratch = new DataView(new ArrayBuffer(4));

/** The upper 16 bits of a float32, rounded half to even; a NaN is made quiet instead. */
export function encodeBrain(x: number): number {
  scratch.setFloat32(0, x);
  const bits = scratch.getUint32(0);
  const upper = bits >>> 16;
  if (Number.isNaN(x)) return upper | 0x40;
  return (bits + 0x7fff + (upper & 1)) >>> 16;
}

export function decodeBrain(bits: number): number {
  scratch.setUint32(0, bits << 16);
  return scratch.getFloat32(0);
}

export const bf16: Codec = {
  encode(rows, [out]) {
    const view = new DataView(out!.buffer, out!.byteOffset, out!.byteLength);
    for (let i = 0; i < rows.length; i++) view.setUint16(i * 2, encodeBrain(rows[i]!), true);
  },
  decode([bytes], out) {
    const view = new DataView(bytes!.buffer, bytes!.byteOffset, bytes!.byteLength);
    for (let i = 0; i < out.length; i++) out[i] = decodeBrain(view.getUint16(i * 2, true));
  },
};
