// Material that is kept outside the repository: malformed files and expected results.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const folder = process.env.FEWBIT_SHARED ?? fileURLToPath(new URL("../../../../shared", import.meta.url));

export const shared = (path: string): string => `${folder}/${path}`;

/** Why tests that need it are skipped, or undefined where it is there. */
export const missing = (path: string): string | undefined =>
  existsSync(shared(path)) ? undefined : `${path} is not there; set FEWBIT_SHARED to the folder that has it`;
