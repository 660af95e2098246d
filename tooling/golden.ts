// The golden vectors that may lie beside the project: inputs, importance rows and the bytes llama.cpp made of them.
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Material shared between checkouts; tests that need it skip where it is absent. FEWBIT_SHARED overrides the place. */
export const sharedFolder: string | undefined = [
  process.env.FEWBIT_SHARED,
  fileURLToPath(new URL("../../shared", import.meta.url)),
].find((folder) => folder !== undefined && existsSync(folder));

export interface GoldenRecord {
  readonly name: string;
  readonly columns: number;
  readonly rows: Float32Array;
  readonly importance: Float32Array | undefined;
  readonly bytes: Uint8Array;
  /** SHA-256 of the decoded float32, NaNs canonicalised. */
  readonly decodedHash: string;
}

export interface GoldenBlocks {
  readonly bytes: Uint8Array;
  readonly decodedHash: string;
}

interface Manifest {
  cases: { name: string; width: number; rows: number; off: number }[];
  imatrices: { name: string; width: number; off: number }[];
  records: [
    string,
    number,
    number,
    number,
    number,
    string,
    string,
    number,
    string,
    number,
    number,
    number,
    number,
  ][];
  decode: [string, number, number, string, string, number, number][];
}

const floats = (file: Buffer): Float32Array =>
  new Float32Array(file.buffer.slice(file.byteOffset, file.byteOffset + file.length));

/** Records and random blocks of one type; undefined where the vectors are absent. */
export function readGolden(type: string): { records: GoldenRecord[]; blocks: GoldenBlocks[] } | undefined {
  const folder = sharedFolder && `${sharedFolder}/golden`;
  if (!folder || !existsSync(folder)) return undefined;
  const manifest = JSON.parse(readFileSync(`${folder}/manifest.json`, "utf8")) as Manifest;
  const inputs = floats(readFileSync(`${folder}/inputs.f32`));
  const importances = floats(readFileSync(`${folder}/imatrix.f32`));
  const golden = readFileSync(`${folder}/golden.bin`);
  const bytesAt = (offset: number, length: number) =>
    new Uint8Array(golden.subarray(offset, offset + length));
  return {
    records: manifest.records
      .filter(([id, , , , offset]) => id === type && offset >= 0)
      .map(([, c, m, length, offset, , decodedHash]) => {
        const input = manifest.cases[c]!;
        const matrix = manifest.imatrices[m];
        return {
          name: `${input.name} ${input.rows}×${input.width}${matrix ? ` + ${matrix.name}` : ""}`,
          columns: input.width,
          rows: inputs.slice(input.off, input.off + input.rows * input.width),
          importance: matrix && importances.slice(matrix.off, matrix.off + matrix.width),
          bytes: bytesAt(offset, length),
          decodedHash,
        };
      }),
    blocks: manifest.decode
      .filter(([id]) => id === type)
      .map(([, length, offset, , decodedHash]) => ({ bytes: bytesAt(offset, length), decodedHash })),
  };
}
