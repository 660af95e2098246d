// The lowest floor that sees the engine together with its contract.
import { fileURLToPath } from "node:url";
import plugin from "@fewbit/engine-llama";
import { testEngine } from "@fewbit/testing";
import { describe, test } from "vitest";
import { oracleFolder } from "../../../tooling/oracle.js";

const model = fileURLToPath(new URL("../../../tooling/fixture/stories.gguf", import.meta.url));

if (oracleFolder === undefined)
  console.warn("Skipped: there is no build of llama.cpp for this machine, so the engine cannot be run.");
describe.skipIf(oracleFolder === undefined)("the engine", () => {
  for (const engine of plugin.engines!) testEngine(engine, { test, model });
});
