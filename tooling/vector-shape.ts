import { createHash } from "node:crypto";

/** Rows × columns of every stored vector: several rows, and tails of fewer than four blocks. */
export const vectorShape = { rows: 3, columns: 768 };

/** The first 64 bits of SHA-256: enough to notice any difference, small enough to read in a diff. */
export const hash = (bytes: Uint8Array): string =>
  createHash("sha256").update(bytes).digest("hex").slice(0, 16);
