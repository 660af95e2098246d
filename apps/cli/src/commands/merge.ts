import { FewbitError } from "@fewbit/core";
import { openModel } from "@fewbit/core/node";
import { verbatim, writer } from "@fewbit/format-gguf";
import type { Command } from "commander";
import { stemOf } from "../choices.js";
import { escapeControls } from "../render.js";
import { examples, openSession, type Session, type Surroundings, withCommonOptions } from "../session.js";
import { type CopyOptions, copyModel, planCopy, refuseOther, withCopyOptions } from "../verbatim.js";

const HELP = `
The others are found beside the first. What comes of it is the file that was split, to the byte where llama.cpp's
tools or fewbit wrote it. It appears under its name only when it is complete; the files it is made from stay.
${examples(
  "fewbit merge model-Q8_0-00001-of-00003.gguf",
  "fewbit merge parts/model-00001-of-00003.gguf -o model.gguf",
  "fewbit merge parts/model-00001-of-00003.gguf --dry-run",
)}`;

export function addMerge(program: Command, world: Surroundings): void {
  const command = withCopyOptions(
    program
      .command("merge")
      .description("Write a GGUF model that is split as one file.")
      .argument("<model>", "the first file of a split GGUF model, or its address"),
    "the file to write (default: <model>.gguf beside it)",
  );
  withCommonOptions(command)
    .addHelpText("after", HELP)
    .action(async (path: string, options: CopyOptions) => {
      await merge(path, options, openSession(world, options));
    });
}

async function merge(path: string, options: CopyOptions, session: Session): Promise<void> {
  const registry = await session.registry(path);
  const model = await session.stoppable(openModel(path, registry));
  refuseOther(model, path, "merged");
  if (model.files.length === 1)
    throw new FewbitError(
      "E_USAGE",
      "The model is one file already: there is nothing to merge.",
      { file: path },
      "Give the first file of a split model, …-00001-of-0000N.gguf.",
    );
  for (const warning of model.warnings) session.note(`warning: ${escapeControls(warning)}`);
  const planned = planCopy(model, registry, verbatim, (bytes) => bytes.map(() => 0));
  const output = options.output ?? `${stemOf(path, writer.extensions, session.cwd)}${writer.extensions[0]}`;
  await copyModel({ model, registry, planned, path: output }, options, session);
}
