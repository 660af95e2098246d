// What is peculiar to MXFP4 and NVFP4: the ends of their scales.

import { expect, test } from "vitest";
import { generator } from "../../../tooling/cases.js";
import { encodeWith } from "../../../tooling/identity.js";
import { oracleEncode, oracleFolder } from "../../../tooling/oracle.js";
import plugin from "../src/index.js";

const mxfp4 = plugin.schemes[3];
const nvfp4 = plugin.schemes[4];
const reason = oracleFolder ? "" : " (skipped: no prebuilt llama.cpp for this platform)";
const float = (bits: number) => new Float32Array(Uint32Array.of(bits).buffer)[0]!;

/** Rows of one block whose largest weight is `size`, the others spread below it, with ties among them. */
const blocks = (sizes: number[], weights: number, seed: number): Float32Array => {
  const random = generator(seed);
  return Float32Array.from({ length: sizes.length * weights }, (_, i) => {
    const size = sizes[Math.floor(i / weights)]!;
    if (i % weights === 3) return size;
    return (
      (random.uniform() < 0.3 ? Math.floor(random.uniform() * 33 - 16) / 16 : random.uniform() * 2 - 1) * size
    );
  });
};

test.skipIf(!oracleFolder)(
  `MXFP4 rounds the logarithm as llama.cpp below every power of two${reason}`,
  async () => {
    const codec = await mxfp4.load();
    for (let exponent = 1; exponent <= 255; exponent++) {
      const sizes = Array.from({ length: 100 }, (_, i) => float((exponent << 23) - 97 + i)).filter(
        Number.isFinite,
      );
      const rows = blocks(sizes, 32, exponent);
      expect(`2^${exponent - 127} ${Buffer.from(encodeWith(mxfp4, codec, rows, 32)).toString("hex")}`).toBe(
        `2^${exponent - 127} ${Buffer.from(oracleEncode("MXFP4", rows, 32)).toString("hex")}`,
      );
    }
  },
);

test.skipIf(!oracleFolder)(
  `MXFP4 and NVFP4 equal llama.cpp from the smallest to the largest float${reason}`,
  async () => {
    const seed = 1 + Math.floor(Math.random() * 1e6);
    const random = generator(seed);
    for (const [scheme, weights] of [
      [mxfp4, 32],
      [nvfp4, 64],
    ] as const) {
      const codec = await scheme.load();
      const sizes = Array.from({ length: 20000 }, () => float(Math.floor(random.uniform() * 0x7f800000)));
      const rows = blocks(sizes, weights, seed);
      const ours = encodeWith(scheme, codec, rows, weights);
      const theirs = oracleEncode(scheme.id as "MXFP4", rows, weights);
      const differing = ours.findIndex((byte, i) => byte !== theirs[i]);
      expect(`${scheme.id}, seed ${seed}: ${differing}`).toBe(`${scheme.id}, seed ${seed}: -1`);
    }
  },
);

test("a NaN scale is found at the block that has it", async () => {
  for (const [scheme, at, bad] of [
    [mxfp4, 0, 0xff],
    [nvfp4, 2, 0x7f],
    [nvfp4, 3, 0xff],
  ] as const) {
    const codec = await scheme.load();
    const parts = scheme.layout([1, 320]);
    const bytes = new Uint8Array("unfit" in parts ? 0 : parts[0]!.bytes);
    expect(codec.invalid!([bytes], { columns: 320 })).toBe(-1);
    bytes[(bytes.length / 5) * 3 + at] = bad;
    expect(codec.invalid!([bytes], { columns: 320 })).toBe(192);
  }
});
