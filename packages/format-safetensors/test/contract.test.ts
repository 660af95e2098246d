import { testPlugin, testReader, testWriter } from "@fewbit/testing";
import { test } from "vitest";
import plugin, { reader, writer } from "../src/index.js";
import { checkpoint, small } from "./build.js";

testPlugin(plugin, { test });
testReader(reader, { test, samples: [{ name: "model.safetensors", bytes: small() }, checkpoint()] });
testWriter(writer, {
  test,
  reader,
  metadata: [
    { key: "format", type: "string", value: "pt" },
    { key: "", type: "string", value: "é \u0000\n\u{1f600}" },
    { key: "__proto__", type: "string", value: "kept" },
  ],
});
