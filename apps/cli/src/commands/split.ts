import { FewbitError } from "@fewbit/core";
import { openModel } from "@fewbit/core/node";
import { splitBy, splitting, verbatim, writer } from "@fewbit/format-gguf";
import type { Command } from "commander";
import { stemOf } from "../choices.js";
import { escapeControls, formatBytes } from "../render.js";
import { examples, openSession, type Session, type Surroundings, withCommonOptions } from "../session.js";
import { type SplitOptions, splitLimit, withSplitOptions } from "../splitting.js";
import { type CopyOptions, copyModel, planCopy, refuseOther, withCopyOptions } from "../verbatim.js";

const HELP = `
The files are called <output>-00001-of-0000N.gguf and so on; programs open the first and find the others beside it.
Each holds whole tensors: one that is larger than the limit has a file of its own, and the first file holds the
metadata on top. They are the bytes that llama-gguf-split writes, and appear only when all are complete.
${examples(
  "fewbit split model-Q8_0.gguf --split-max-size 4G",
  "fewbit split model-Q8_0.gguf --split-max-tensors 128 -o parts/model",
  "fewbit split model-Q8_0.gguf --split-max-size 500M --no-tensor-first-split --dry-run",
)}`;

export function addSplit(program: Command, world: Surroundings): void {
  const command = withSplitOptions(
    withCopyOptions(
      program
        .command("split")
        .description("Write a GGUF model as several smaller files.")
        .argument("<model>", "a GGUF file (of a split model the first), or its address"),
      "what the files are called after (default: the model, beside it)",
    ),
  );
  withCommonOptions(command)
    .addHelpText("after", HELP)
    .action(async (path: string, options: CopyOptions & SplitOptions) => {
      await split(path, options, openSession(world, options));
    });
}

async function split(path: string, options: CopyOptions & SplitOptions, session: Session): Promise<void> {
  const limit = splitLimit(options);
  if (limit === undefined)
    throw new FewbitError(
      "E_USAGE",
      "Nothing says where to split the model.",
      {},
      "Add --split-max-size, such as 4G, or --split-max-tensors.",
    );
  const registry = await session.registry(path);
  const model = await session.stoppable(openModel(path, registry));
  refuseOther(model, path, "split");
  for (const warning of model.warnings) session.note(`warning: ${escapeControls(warning)}`);
  const planned = planCopy(model, registry, splitting(verbatim), splitBy(limit));
  const { files } = planned.plan;
  if (files.length === 1)
    throw new FewbitError(
      "E_USAGE",
      `The model fits into one file of ${formatBytes(files[0]!)}: there is nothing to split.`,
      { file: path },
      "Allow fewer bytes or tensors in each file.",
    );
  const output = options.output ?? stemOf(path, writer.extensions, session.cwd);
  await copyModel({ model, registry, planned, path: output }, options, session);
}
