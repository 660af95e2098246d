import { join } from "node:path";
import { type Model, makePlan } from "@fewbit/core";
import { writeModel } from "@fewbit/core/node";
import { outtypeRecipe } from "../../src/outtype.js";
import { registry, runner } from "./folder.js";

/** Writes a model as GGUF in F32. */
export async function writtenInF32(model: Model, folder: string, name: string): Promise<string> {
  const path = join(folder, `${name}.gguf`);
  const { value: writer } = registry.writer("gguf");
  const recipe = outtypeRecipe("F32");
  const planned = makePlan({ model, recipe, context: { options: {} }, registry, writer });
  for await (const _ of writeModel({ ...planned, model, registry, writer, runner, path, force: true }));
  return path;
}
