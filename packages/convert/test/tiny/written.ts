import { existsSync } from "node:fs";
import { join } from "node:path";
import { createRegistry, inlineRunner, type Model, makePlan, type Recipe } from "@fewbit/core";
import { nodeIo, writeModel } from "@fewbit/core/node";
import gguf, { writer } from "@fewbit/format-gguf";
import scheme from "@fewbit/scheme-float";

const registry = createRegistry([gguf, scheme]);
const runner = inlineRunner([gguf, scheme], nodeIo());

/** Writes a model as GGUF, in one thread. */
export async function written(model: Model, recipe: Recipe, folder: string, name: string): Promise<string> {
  const path = join(folder, `${name}.gguf`);
  if (existsSync(path)) return path;
  const planned = makePlan({ model, recipe, context: { options: {} }, registry, writer });
  for await (const _ of writeModel({ ...planned, model, registry, writer, runner, path })) {
    // Until it is complete.
  }
  return path;
}
