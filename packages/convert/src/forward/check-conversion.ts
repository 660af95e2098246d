import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Model, makePlan, type Recipe, type Runner } from "@fewbit/core";
import { nodeIo, writeModel } from "@fewbit/core/node";
import { checkLogits, type LogitsCheck, type LogitsRequest, notChecked } from "./check-logits.js";

/** A checkpoint, what it became, and who computes and writes. */
export interface ConversionRequest extends Omit<LogitsRequest, "path" | "read"> {
  /** What `convert` made of the checkpoint. The registry must bring a writer of GGUF and the scheme F32. */
  readonly converted: Model;
  readonly runner: Runner;
}

/** Every tensor as F32, also those that a checkpoint holds packed. */
const exact: Recipe = {
  id: "F32",
  summary: "Everything as F32.",
  base: "F32",
  assign: ({ tensors }) =>
    tensors.map(({ name }) => ({ tensor: name, scheme: "F32", reason: "as exact as can be" })),
};

/**
 * Writes the converted model in F32 into a folder of its own, which is removed afterwards, and compares its logits with
 * those of the checkpoint: see `checkLogits`.
 *
 * @throws what `checkLogits` and `writeModel` throw
 */
export async function checkConversion(request: ConversionRequest): Promise<LogitsCheck> {
  const { converted: model, registry, runner, signal } = request;
  const unchecked = await notChecked(request);
  if (unchecked !== undefined) return unchecked;
  const io = nodeIo();
  const folder = await mkdtemp(join(tmpdir(), "fewbit-check-"));
  try {
    const path = join(folder, "model.gguf");
    const { value: writer } = registry.writer("gguf");
    const planned = makePlan({
      model,
      recipe: exact,
      context: { options: {} },
      registry,
      writer,
      allowRequantize: true,
    });
    const steps = writeModel({
      ...planned,
      model,
      registry,
      writer,
      runner,
      path,
      ...(signal === undefined ? {} : { signal }),
    });
    for await (const _ of steps);
    return await checkLogits({
      ...request,
      path,
      read: (from, offset, into) => io.read(from, offset, into),
    });
  } finally {
    io.close();
    await rm(folder, { recursive: true, force: true });
  }
}
