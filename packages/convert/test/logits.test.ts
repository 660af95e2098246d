// llama.cpp loads what comes out of a checkpoint of each architecture, and computes from it what an independent
// computation makes of the checkpoint itself.
import { describe, expect, it } from "vitest";
import { convert } from "../src/convert.js";
import { checkConversion } from "../src/forward/check-conversion.js";
import { engine } from "./tiny/engine.js";
import { checkpointIn, registry, runner, temporaryFolder } from "./tiny/folder.js";
import { models, variants } from "./tiny/models.js";

const folder = temporaryFolder();

/**
 * llama.cpp looks GELU up in a table of 16-bit floats, and rounds where the slowed positions of gpt-oss begin and end,
 * which that model does not ask for.
 */
const approximated = /^(bert|distilbert|gemma|gpt-2|gpt-oss|roberta|starcoder2)/;

describe.each([...models, ...variants].map((tiny) => [tiny.name, tiny] as const))("%s", (name, tiny) => {
  it("gives llama.cpp what it says by itself", async () => {
    const checkpoint = await checkpointIn(folder, tiny);
    const check = await checkConversion({
      checkpoint,
      converted: await convert(checkpoint, registry),
      registry,
      runner,
      engine,
      texts: ["the heron and 12 other birds are on a reed in the wet sand. They sing!", "Hello"],
    });
    expect(check).toMatchObject({ checked: true, agrees: true, texts: 2 });
    expect(check.checked && check.maxRelative).toBeLessThan(approximated.test(name) ? 5e-4 : 1e-6);
  });
});
