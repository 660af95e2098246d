import { existsSync } from "node:fs";
import { join } from "node:path";
import { createRegistry, inlineRunner, type Model, makePlan, type Recipe } from "@fewbit/core";
import { nodeIo, writeModel } from "@fewbit/core/node";
import gguf, { writer } from "@fewbit/format-gguf";
import scheme from "@fewbit/scheme-float";

const registry = createRegistry([gguf, scheme]);
const runner = inlineRunner([gguf, scheme], nodeIo());

/** Every matrix as F32, also those that a checkpoint holds packed. */
const recipe: Recipe = {
  id: "F32",
  summary: "Everything as F32.",
  base: "F32",
  assign: (model) =>
    model.tensors.map(({ name }) => ({ tensor: name, scheme: "F32", reason: "as exact as can be" })),
};

/** Writes a model as GGUF in F32, in one thread. */
export async function writtenInF32(model: Model, folder: string, name: string): Promise<string> {
  const path = join(folder, `${name}.gguf`);
  if (existsSync(path)) return path;
  const planned = makePlan({
    model,
    recipe,
    context: { options: {} },
    registry,
    writer,
    allowRequantize: true,
  });
  for await (const _ of writeModel({ ...planned, model, registry, writer, runner, path })) {
    // Until it is complete.
  }
  return path;
}
