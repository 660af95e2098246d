import type { Codec } from "@fewbit/core";

export const f32: Codec = {
  encode(rows, [out]) {
    const view = new DataView(out!.buffer, out!.byteOffset, out!.byteLength);
    for (let i = 0; i < rows.length; i++) view.setFloat32(i * 4, rows[i]!, true);
  },
  decode([bytes], out) {
    const view = new DataView(bytes!.buffer, bytes!.byteOffset, bytes!.byteLength);
    for (let i = 0; i < out.length; i++) out[i] = view.getFloat32(i * 4, true);
  },
};
