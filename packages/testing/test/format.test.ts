import { test } from "vitest";
import { testPlugin, testReader, testWriter } from "../src/index.js";
import plugin, { plain } from "./plain.js";
import { plainReader, plainSample, plainWriter } from "./plain-format.js";

testPlugin(plugin, { test });
testReader(plainReader, { test, samples: [plainSample(), plainSample(2)] });
testWriter(plainWriter, {
  test,
  reader: plainReader,
  schemes: [plain],
  metadata: [{ key: "general.name", type: "string", value: "plain" }],
});
