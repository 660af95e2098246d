import { inlineRunner } from "@fewbit/core";
import { nodeIo } from "@fewbit/core/node";
// Threads import modules by their URL, which on Node 20 are JavaScript: this test is one of the built package.
import { testRunner as testBuiltRunner } from "@fewbit/testing";
import { test } from "vitest";
import { runnerPlugin, testRunner } from "../src/index.js";
import { threadRunner } from "./thread-runner.js";

testRunner(inlineRunner([runnerPlugin()], nodeIo()), { test });
testBuiltRunner(threadRunner, { test });
