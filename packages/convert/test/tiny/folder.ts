// Tiny checkpoints in a folder of their own, which goes when the tests end.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRegistry, inlineRunner, type Registry, type Runner } from "@fewbit/core";
import { nodeIo, openModel } from "@fewbit/core/node";
import gguf from "@fewbit/format-gguf";
import safetensors from "@fewbit/format-safetensors";
import float from "@fewbit/scheme-float";
import { afterAll } from "vitest";
import type { Checkpoint } from "../../src/checkpoint.js";
import plugin from "../../src/index.js";
import { type Tiny, writeCheckpoint } from "./checkpoint.js";

const plugins = [safetensors, gguf, float, plugin];
export const registry: Registry = createRegistry(plugins);

/** In one thread. */
export const runner: Runner = inlineRunner(plugins, nodeIo());

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
