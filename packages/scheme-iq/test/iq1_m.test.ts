// The half of IQ1_M is scattered over four nibbles: its own kernel finds bad ones.

import { expect, test } from "vitest";
import plugin from "../src/index.js";

const scheme = plugin.schemes.find(({ id }) => id === "IQ1_M")!;

/** Blocks of zeros with these halves, a nibble in the highest four bits of each of the last four words. */
function blocksOf(...halves: number[]): Uint8Array {
  const bytes = new Uint8Array(56 * halves.length);
  halves.forEach((half, block) => {
    for (let i = 0; i < 4; i++) bytes[56 * block + 49 + 2 * i] = ((half >> (4 * i)) & 15) << 4;
  });
  return bytes;
}

test.each([
  ["infinity", 0x7c00],
  ["negative infinity", 0xfc00],
  ["NaN", 0x7e01],
])("%s is found in the third block", async (_, half) => {
  const codec = await scheme.load();
  expect(codec.invalid!([blocksOf(0x3c00, 0x7bff, half, half)], { columns: 1024 })).toBe(512);
});

test("finite halves are valid, and decoded", async () => {
  const codec = await scheme.load();
  const blocks = blocksOf(0x3c00, 0xbc00, 0x7bff);
  expect(codec.invalid!([blocks], { columns: 768 })).toBe(-1);
  const weights = new Float32Array(768);
  codec.decode([blocks], weights, { columns: 768 });
  // Entry 0 is all -1, shifted by an eighth.
  expect([weights[0], weights[256], weights[512]]).toEqual([-0.875, 0.875, -0.875 * 65504]);
});
