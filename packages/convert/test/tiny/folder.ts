// Tiny checkpoints in a folder of their own, which goes when the tests end.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRegistry, type Registry } from "@fewbit/core";
import { openModel } from "@fewbit/core/node";
import safetensors from "@fewbit/format-safetensors";
import { afterAll } from "vitest";
import type { Checkpoint } from "../../src/checkpoint.js";
import plugin from "../../src/index.js";
import { type Tiny, writeCheckpoint } from "./checkpoint.js";

export const registry: Registry = createRegistry([safetensors, plugin]);

/** A folder for the tests of one file. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "fewbit-convert-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** Writes the checkpoint into a folder of its name, and opens it. */
export async function checkpointIn(folder: string, tiny: Tiny): Promise<Checkpoint> {
  const path = join(folder, tiny.name);
  writeCheckpoint(path, tiny);
  return {
    name: tiny.name,
    model: await openModel(path, registry),
    files: {
      path: (name) => join(path, name),
      async read(name) {
        try {
          return readFileSync(join(path, name));
        } catch {
          return undefined;
        }
      },
    },
  };
}
