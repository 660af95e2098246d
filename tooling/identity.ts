// Byte identity with llama.cpp: what every scheme that claims it is held to. Three witnesses, so that a checkout
// without the shared vectors or without a prebuilt library still proves something:
//   vectors.json of the package (hashes made by tooling/vectors.ts from the library),
//   the shared golden records, and the library itself on fresh rows.
import type { Codec, Scheme } from "@fewbit/core";
import { describe, expect, test } from "vitest";
import { generator, importanceCases, makeImportance, makeRows, weightCases } from "./cases.js";
import { readGolden } from "./golden.js";
import { type GgmlType, oracleDecode, oracleEncode, oracleFolder } from "./oracle.js";
import { hash, vectorShape } from "./vector-shape.js";

export function encodeWith(
  scheme: Scheme,
  codec: Codec,
  rows: Float32Array,
  columns: number,
  importance?: Float32Array,
): Uint8Array {
  const parts = scheme.layout([rows.length / columns, columns]);
  if ("unfit" in parts) throw new Error(parts.unfit);
  const out = new Uint8Array(parts[0]!.bytes);
  codec.encode(rows, [out], importance ? { columns, importance } : { columns });
  return out;
}

/** NaNs have many patterns and the library promises none: all become one before comparing. */
function floatBytes(values: Float32Array): Uint8Array {
  const bits = new Uint32Array(values.buffer.slice(values.byteOffset, values.byteOffset + values.byteLength));
  for (let i = 0; i < bits.length; i++) if ((bits[i]! & 0x7fffffff) > 0x7f800000) bits[i] = 0x7fc00000;
  return new Uint8Array(bits.buffer);
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** Fails with the first differing block, theirs and ours. */
function expectSameBlocks(ours: Uint8Array, theirs: Uint8Array, blockBytes: number, what: string): void {
  if (Buffer.compare(ours, theirs) === 0) return;
  const differing: number[] = [];
  for (let b = 0; b * blockBytes < theirs.length; b++)
    if (
      hex(ours.subarray(b * blockBytes, (b + 1) * blockBytes)) !==
      hex(theirs.subarray(b * blockBytes, (b + 1) * blockBytes))
    )
      differing.push(b);
  const at = differing[0]! * blockBytes;
  expect.fail(
    `${what}: ${differing.length} of ${theirs.length / blockBytes} blocks differ; block ${differing[0]}:\n` +
      `llama.cpp ${hex(theirs.subarray(at, at + blockBytes))}\nours      ${hex(ours.subarray(at, at + blockBytes))}`,
  );
}

/** Registers the tests of one scheme. `vectors` is the package's vectors.json. */
export function testIdentity(
  scheme: Scheme,
  vectors: Readonly<Record<string, Readonly<Record<string, string>>>>,
): void {
  const type = scheme.id as GgmlType;
  const blockColumns = [32, 64, 128, 256].find((n) => !("unfit" in scheme.layout([1, n])))!;
  const bytesOf = (columns: number): number => {
    const parts = scheme.layout([1, columns]);
    if ("unfit" in parts) throw new Error(parts.unfit);
    return parts[0]!.bytes;
  };
  const blockBytes = bytesOf(blockColumns);
  const plain = scheme.importance !== "required";
  const weighted = scheme.importance !== "ignored";

  describe(`${scheme.id} equals llama.cpp`, () => {
    test("on the stored vectors", async () => {
      const codec = await scheme.load();
      const stored = vectors[scheme.id];
      expect(stored, `vectors.json has no ${scheme.id}: run tooling/vectors.ts`).toBeDefined();
      const { columns } = vectorShape;
      for (const [name, expected] of Object.entries(stored!)) {
        const [weights, importance] = name.split(" + ");
        const matrix = importance ? makeImportance(importance, columns) : undefined;
        const bytes = encodeWith(
          scheme,
          codec,
          makeRows(weights!, vectorShape.rows, columns),
          columns,
          matrix,
        );
        expect(`${name} ${hash(bytes)}`).toBe(`${name} ${expected}`);
      }
    });

    const golden = readGolden(scheme.id);
    test.skipIf(!golden)(
      `on the golden records${golden ? "" : " (skipped: no ../shared/golden)"}`,
      async () => {
        const codec = await scheme.load();
        expect(golden!.records.length).toBeGreaterThan(50);
        for (const record of golden!.records) {
          const bytes = encodeWith(scheme, codec, record.rows, record.columns, record.importance);
          expectSameBlocks(bytes, record.bytes, blockBytes, record.name);
          const decoded = new Float32Array(record.rows.length);
          codec.decode([bytes], decoded, { columns: record.columns });
          expect(`${record.name} ${hash(floatBytes(decoded))}`).toBe(
            `${record.name} ${record.decodedHash.slice(0, 16)}`,
          );
        }
        for (const { bytes, decodedHash } of golden!.blocks) {
          const columns = (bytes.length / blockBytes) * blockColumns;
          const decoded = new Float32Array(columns);
          codec.decode([bytes], decoded, { columns });
          expect(hash(floatBytes(decoded))).toBe(decodedHash.slice(0, 16));
        }
      },
    );

    const reason = oracleFolder ? "" : " (skipped: no prebuilt llama.cpp for this platform)";
    test.skipIf(!oracleFolder)(`on fresh rows${reason}`, async () => {
      const codec = await scheme.load();
      const seed = 1 + Math.floor(Math.random() * 1e6);
      for (const columns of [blockColumns, blockColumns * 3, 1024]) {
        for (const weights of Object.keys(weightCases)) {
          const rows = makeRows(weights, 5, columns, seed);
          const matrices = weighted ? Object.keys(importanceCases) : [];
          for (const importance of [...(plain ? [undefined] : []), ...matrices]) {
            const matrix = importance ? makeImportance(importance, columns, seed + 1) : undefined;
            expectSameBlocks(
              encodeWith(scheme, codec, rows, columns, matrix),
              oracleEncode(type, rows, columns, matrix),
              blockBytes,
              `${weights}${importance ? ` + ${importance}` : ""}, seed ${seed}, 5×${columns}`,
            );
          }
        }
      }
    });

    test.skipIf(!oracleFolder)(`decoding random blocks${reason}`, async () => {
      const codec = await scheme.load();
      const seed = 1 + Math.floor(Math.random() * 1e6);
      const random = generator(seed);
      const blocks = 37;
      const bytes = Uint8Array.from({ length: blocks * blockBytes }, () =>
        Math.floor(random.uniform() * 256),
      );
      const ours = new Float32Array(blocks * blockColumns);
      codec.decode([bytes], ours, { columns: ours.length });
      const theirs = oracleDecode(type, bytes, ours.length);
      expectSameBlocks(floatBytes(ours), floatBytes(theirs), blockColumns * 4, `decoded, seed ${seed}`);
    });
  });
}
