// A config.json in which any one setting is of another kind: a model comes of it, or an error that says what to do.
import { type FewbitError, isFewbitError } from "@fewbit/core";
import { writer } from "@fewbit/format-gguf";
import { expect, test } from "vitest";
import { commonMetadata } from "../src/common-metadata.js";
import { readConfig } from "../src/config.js";
import { mapTensors } from "../src/tensors.js";
import { checkpointIn, registry, temporaryFolder } from "./tiny/folder.js";
import { models } from "./tiny/models.js";

const folder = temporaryFolder();
const others = [null, -1, 0, 1.5, 2 ** 32 - 1, "x", [1], {}, undefined];

type Settings = Record<string, unknown>;

/** Every setting, those within settings too, with each other value in its place. */
function* changed(settings: Settings): Generator<Settings> {
  for (const [key, value] of Object.entries(settings)) {
    for (const other of others) yield { ...settings, [key]: other };
    if (typeof value === "object" && value !== null && !Array.isArray(value))
      for (const inner of changed(value as Settings)) yield { ...settings, [key]: inner };
  }
}

test.each(models.map((tiny) => [tiny.name, tiny] as const))("%s", async (_, tiny) => {
  const { model } = await checkpointIn(folder, tiny);
  for (const settings of changed(tiny.config)) {
    const bytes = new TextEncoder().encode(JSON.stringify(settings));
    try {
      const [className = ""] = readConfig(bytes, "config.json").strings("architectures");
      const { value: architecture } = registry.architecture(className);
      const config = readConfig(bytes, "config.json", architecture.defaults);
      mapTensors(model, architecture, config);
      const common = commonMetadata(architecture.id, config, 1);
      const metadata = architecture.metadata?.(config, common) ?? common;
      writer.layout({ metadata, tensors: [], files: 1 });
    } catch (thrown) {
      const { code, remedy } = thrown as FewbitError;
      const known = isFewbitError(thrown, "E_CHECKPOINT", "E_ARCHITECTURE") && remedy !== undefined;
      if (!known) expect.fail(`${JSON.stringify(settings)}: ${code} ${String(thrown)}`);
    }
  }
});
