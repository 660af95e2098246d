// Q4_1 and Q5_1 without importance: where the fast path for ordinary blocks ends, and where rounding is delicate.
import { describe, expect, test } from "vitest";
import { generator } from "../../../tooling/cases.js";
import { encodeWith } from "../../../tooling/identity.js";
import { type GgmlType, oracleEncode, oracleFolder } from "../../../tooling/oracle.js";
import plugin from "../src/index.js";
import { reference } from "../src/reference.js";

const BLOCKS = 96;
const COLUMNS = 32 * BLOCKS;

type Weight = (i: number, uniform: () => number, block: number) => number;

/** The number before 0.5: adding ½ rounds up to 1. */
const almostHalf = 0.5 - 2 ** -25;

const rows: Readonly<Record<string, Weight>> = {
  "zeros of both signs": (_, u) => (u() < 0.5 ? 0 : -0),
  "positive weights and zeros of both signs": (_, u) => (u() < 0.3 ? 0 : u() < 0.5 ? -0 : u()),
  "negative weights and zeros of both signs": (_, u) => (u() < 0.3 ? 0 : u() < 0.5 ? -0 : -u()),
  "one ordinary block among zeros": (_, u, block) => (block % 4 === 1 ? u() - 0.5 : 0),
  "scales around the smallest normal half": (_, u, block) => (u() - 0.5) * 2 ** (-16 + block / 8),
  "subnormal halves": (_, u, block) => (u() - 0.5) * 2 ** (-26 + block / 8),
  "minimums around 4": (_, u, block) => -4 + (block - 48) / 1000 + u(),
  "beyond the largest half": (_, u, block) => (u() - 0.5) * 2 ** (12 + block / 8),
  "ranges beyond float32": (i) => (i % 2 ? 3.2e38 : -3.2e38) * (1 - i / 100),
  "subnormal ranges": (_, u, block) => u() * 2 ** (-149 + block / 3),
  "levels at ties": (i) => (i % 32 === 0 ? 0 : i % 32 === 1 ? 15 : (i % 15) + 0.5),
  "levels just below ties": (i) =>
    i % 32 === 0 ? 0 : i % 32 === 1 ? 31 : i % 2 ? almostHalf : 2 ** (i % 5) - almostHalf,
};

describe.each(plugin.schemes.filter(({ id }) => id.endsWith("_1")))("$id", (scheme) => {
  test.each(Object.entries(rows))("%s", async (_, weight) => {
    const codec = await scheme.load();
    const { uniform } = generator(3);
    const x = Float32Array.from({ length: COLUMNS }, (_, i) => weight(i, uniform, Math.floor(i / 32)));
    const ours = encodeWith(scheme, codec, x, COLUMNS);
    const slow = new Uint8Array(ours.length);
    reference.get(scheme.id)!.encode(x, [slow], { columns: COLUMNS });
    expect(Buffer.from(ours).toString("hex")).toBe(Buffer.from(slow).toString("hex"));
    if (!oracleFolder) return;
    const theirs = oracleEncode(scheme.id as GgmlType, x, COLUMNS);
    expect(Buffer.from(ours).toString("hex")).toBe(Buffer.from(theirs).toString("hex"));
  });
});
