// The check of the logits itself: what it finds, what it does not check, and the perplexity of trained models.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { nodeIo, openCheckpoint } from "@fewbit/core/node";
import { afterAll, describe, expect, it } from "vitest";
import { sharedFolder } from "../../../tooling/golden.js";
import type { Checkpoint } from "../src/checkpoint.js";
import { convert } from "../src/convert.js";
import { checkLogits, type LogitsRequest } from "../src/forward/check-logits.js";
import { engine } from "./tiny/engine.js";
import { checkpointIn, registry, temporaryFolder } from "./tiny/folder.js";
import { models } from "./tiny/models.js";
import { writtenInF32 } from "./tiny/written.js";

const io = nodeIo();
afterAll(() => io.close());
const folder = temporaryFolder();
const tiny = (name: string) => models.find((each) => each.name === name)!;

const check = (request: Omit<LogitsRequest, "registry" | "engine" | "read">) =>
  checkLogits({
    ...request,
    registry,
    engine,
    read: (from, offset, into) => io.read(from, offset, into),
  });

const written = async (checkpoint: Checkpoint): Promise<string> =>
  writtenInF32(await convert(checkpoint, registry), folder, checkpoint.name);

describe("checkLogits", () => {
  it("finds a file of other weights", async () => {
    const checkpoint = await checkpointIn(folder, tiny("mistral"));
    const other = await checkpointIn(folder, { ...tiny("mistral"), name: "mistral-2" });
    const result = await check({ checkpoint, path: await written(other) });
    expect(result).toMatchObject({ checked: true, compared: "logits", agrees: false });
  });

  it("finds queries and keys that were not turned", async () => {
    const checkpoint = await checkpointIn(folder, tiny("llama-2"));
    const model = await convert(checkpoint, registry);
    // The tensor as it is stored, in place of the one whose rows are in llama.cpp's order.
    const stored = checkpoint.model.tensors.find(({ name }) =>
      name.endsWith("layers.1.self_attn.q_proj.weight"),
    )!;
    const tensors = model.tensors.map((tensor) =>
      tensor.name === "blk.1.attn_q.weight" ? { ...stored, name: tensor.name } : tensor,
    );
    const path = await writtenInF32({ ...model, tensors }, folder, "unturned");
    expect(await check({ checkpoint, path })).toMatchObject({ checked: true, agrees: false });
  });

  it("says that a model is too large, and the limit", async () => {
    const checkpoint = await checkpointIn(folder, tiny("llama-3"));
    expect(await check({ checkpoint, path: "none.gguf", limit: 50_000 })).toEqual({
      checked: false,
      reason: "The model has 108 thousand weights; logits are checked of up to 50 thousand.",
    });
  });

  it("says that a file belongs to another vocabulary", async () => {
    const checkpoint = await checkpointIn(folder, tiny("llama-3"));
    const path = await written(await checkpointIn(folder, tiny("starcoder2")));
    await expect(check({ checkpoint, path })).rejects.toMatchObject({
      code: "E_MODEL_MISMATCH",
      message: "After each token the file gives 277 numbers; the checkpoint gives 344.",
    });
  });
});

const real = sharedFolder === undefined ? undefined : join(sharedFolder, "models");
const stories =
  sharedFolder === undefined ? "" : readFileSync(join(sharedFolder, "texts/tinystories_197k.txt"), "utf8");

// Where ../shared is absent there are no trained models to try.
describe.skipIf(real === undefined || !existsSync(real))("trained models", () => {
  it.each(["stories260K", "TinyStories-656K"])(
    "keeps the perplexity of %s within a millionth",
    async (name) => {
      const path = join(real!, name);
      const { model, folder: files } = await openCheckpoint(path, registry);
      const checkpoint = { name, model, files };
      // TinyStories' tokenizer has no bytes, and llama.cpp no way out of letters that it does not know.
      const texts = stories.split("\n").filter((text) => /^[A-Za-z ,.]{100,}$/.test(text));
      const result = await check({
        checkpoint,
        path: await written(checkpoint),
        texts: texts.slice(0, 6),
        longest: 128,
      });
      expect(result).toMatchObject({ checked: true, agrees: true });
      if (!result.checked) return;
      const { checkpoint: own, file } = result.perplexity!;
      expect(Math.abs(file / own - 1)).toBeLessThan(1e-6);
    },
  );
});
